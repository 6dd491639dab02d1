/** Many renames on the real filesystem: without a promise for each, as new files are made (new-files.ts). */
import fs from 'node:fs';
import { type Inside, settleByDirectory } from './directory-runs.ts';
import type { Files } from './host.ts';
import { pathBytes } from './raw-text.ts';
import { type Failure, settleAll, settleEach } from './settled.ts';

/** See Files.renameMany. */
export function renameMany(
  renames: readonly (readonly [from: string, to: string])[],
  inside: Inside,
  { rename }: Pick<Files, 'rename'>,
): Promise<Failure[]> {
  const targets = renames.map(([, to]) => to);
  return settleByDirectory(targets, inside, ({ directory, names, first }, base) => {
    const run = renames.slice(first, first + names.length);
    const isWithin = run.every(([from]) => from.slice(0, from.lastIndexOf('/')) === directory);
    if (!isWithin) return settleEach(run, ([from, to]) => rename(from, to));
    const at = (path: string) => pathBytes(`${base}${path.slice(path.lastIndexOf('/'))}`);
    return settleAll(run, ([from, to], done) => fs.rename(at(from), at(to), done));
  });
}
