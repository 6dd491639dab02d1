/** Many paths of few directories: what is done for a directory is done once for those of it that come in a row. Pure. */

export interface DirectoryRun {
  readonly directory: string;
  /** The last component of each, with its slash. */
  readonly names: readonly string[];
  /** Of the first of them among all paths. */
  readonly first: number;
}

/** Absolute paths in their shortest form, cut where the directory changes. */
export function* directoryRuns(paths: readonly string[]): Generator<DirectoryRun> {
  for (let first = 0; first < paths.length; ) {
    const directory = directoryOf(paths[first] ?? '');
    let end = first + 1;
    while (end < paths.length && directoryOf(paths[end] ?? '') === directory) end += 1;
    yield {
      directory,
      names: paths.slice(first, end).map((path) => path.slice(path.lastIndexOf('/'))),
      first,
    };
    first = end;
  }
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}
