/** Many renames on the real filesystem: without a promise for each, as new files are made (new-files.ts). */
import fs from 'node:fs';
import { nameByPath } from './anchors.ts';
import { directoryRuns } from './directory-runs.ts';
import type { Files } from './host.ts';
import { pathBytes } from './raw-text.ts';
import { type Failure, settleAll, settleEach, systemFailure } from './settled.ts';

/** See Files.renameMany. `inside` runs an action with a name of the directory that cannot be led elsewhere. */
export async function renameMany(
  renames: readonly (readonly [from: string, to: string])[],
  inside: <T>(directory: string, action: (name: string | Buffer) => Promise<T>) => Promise<T>,
  { rename }: Pick<Files, 'rename'>,
): Promise<Failure[]> {
  const failures: Failure[] = [];
  for (const { directory, names, first } of directoryRuns(renames.map(([, to]) => to))) {
    const run = renames.slice(first, first + names.length);
    const isWithin = run.every(([from]) => from.slice(0, from.lastIndexOf('/')) === directory);
    if (!isWithin) {
      failures.push(...(await settleEach(run, ([from, to]) => rename(from, to))));
      continue;
    }
    try {
      failures.push(
        ...(await inside(directory, async (name) => {
          // A name that is no UTF-8 comes as bytes: there nothing is held open, and the path is as good.
          const base = typeof name === 'string' ? name : directory;
          const at = (path: string) => pathBytes(`${base}${path.slice(path.lastIndexOf('/'))}`);
          const found = await settleAll(run, ([from, to], done) => fs.rename(at(from), at(to), done));
          for (const failure of found) nameByPath(failure, base, directory);
          return found;
        })),
      );
    } catch (thrown) {
      const failure = systemFailure(thrown);
      failures.push(...run.map(() => failure));
    }
  }
  return failures;
}
