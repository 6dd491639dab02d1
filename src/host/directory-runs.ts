/** Many paths of few directories: what is done for a directory is done once for those of it that come in a row. */
import { nameByPath } from './anchors.ts';
import { type Failure, systemFailure } from './settled.ts';

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

/** Runs an action with a name of the directory that cannot be led elsewhere. */
export type Inside = <T>(directory: string, action: (name: string | Buffer) => Promise<T>) => Promise<T>;

/**
 * What goes wrong with each of `paths`, which `act` sees directory by directory. `base`: the directory, for the calls to be made; the
 * failures name it as the paths do. Where a directory cannot be had, that is the failure of all in it.
 */
export async function settleByDirectory(
  paths: readonly string[],
  inside: Inside,
  act: (run: DirectoryRun, base: string) => Promise<Failure[]>,
): Promise<Failure[]> {
  const failures: Failure[] = [];
  for (const run of directoryRuns(paths)) {
    const { directory, names } = run;
    try {
      failures.push(
        ...(await inside(directory, async (name) => {
          // A name that is no UTF-8 comes as bytes: there nothing is held open, and the path is as good.
          const base = typeof name === 'string' ? name : directory;
          const found = await act(run, base);
          for (const failure of found) nameByPath(failure, base, directory);
          return found;
        })),
      );
    } catch (thrown) {
      const failure = systemFailure(thrown);
      failures.push(...names.map(() => failure));
    }
  }
  return failures;
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}
