/** Size and digests of the files that are packed: small ones many at a time, as most of a tree's time is waiting for them. */
import { hashPackage } from '../download/verify.ts';
import { asUpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { forEachInFlight } from '../host/in-flight.ts';
import { limits } from '../limits.ts';
import { loadTextDigest } from '../text-digest.ts';
import type { FileFacts } from './manifest-source.ts';
import { wholeContent } from './source-content.ts';
import type { SourceFile } from './sources.ts';

/** By the name in the package, in the order of `files`. Throws DOWNLOAD_FAILED naming a file that cannot be read. */
export async function factsOf(
  host: Pick<Host, 'files' | 'memory'>,
  files: readonly SourceFile[],
): Promise<Map<string, FileFacts>> {
  const [md5, sha256] = [await loadTextDigest('md5'), await loadTextDigest()];
  const facts = new Map<string, FileFacts>();
  for (const { entry } of files) facts.set(entry, { sizeBytes: 0, md5: '', sha256: '' }); // keeps the order
  await forEachInFlight(files, limits.filesInFlight, async (file) => {
    const isSmall = file.sizeBytes <= limits.wholeFileBytes;
    facts.set(file.entry, isSmall ? await factsOfSmall(file) : await factsOfLarge(host, file.path));
  });
  return facts;

  async function factsOfSmall(file: SourceFile): Promise<FileFacts> {
    const content = await wholeContent(host.files, file).catch((thrown: unknown) => {
      throw asUpdateError(thrown, 'DOWNLOAD_FAILED', `read ${file.path}`);
    });
    return { sizeBytes: content.length, md5: md5(content), sha256: sha256(content) };
  }
}

async function factsOfLarge(host: Pick<Host, 'files' | 'memory'>, path: string): Promise<FileFacts> {
  const { sizeBytes, md5, sha256 } = await hashPackage(host, path, true, new AbortController().signal);
  if (sha256 === undefined) throw new Error('a digest that was asked for is missing');
  return { sizeBytes, md5, sha256 };
}
