/** What was thought to be an entry's content is not, or cannot be read: the entry is fetched. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
}
