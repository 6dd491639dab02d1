/** Which modules go with an update, by the release and by the record of what is deployed. Spec section 10. */
import { UpdateError } from '../errors.ts';
import { breather } from '../host/breathing.ts';
import type { Host } from '../host/host.ts';
import { type List, loadPacking } from '../packed-list.ts';
import type { Release } from '../release.ts';
import { currentRecord } from './current-record.ts';
import {
  type DeployedDirectory,
  type DeployedFile,
  type DeployedLink,
  type DeployedModule,
  openRecord,
} from './deployed-record.ts';

export type Placed = DeployedFile | DeployedLink | DeployedDirectory;

/** What the record tells of the modules that go. */
export interface Leaving {
  readonly modules: readonly DeployedModule[];
  readonly lines: List<Placed>;
}

export const nothingLeaves: Leaving = { modules: [], lines: [] };

/** Those of `remove` and `complete` that the record knows; others are gone already. INVALID_MANIFEST where the updater itself is named. */
export async function readLeaving(
  { files, log }: Pick<Host, 'files' | 'log'>,
  backupDirectory: string,
  { modules: coming, remove = [], complete }: Release,
): Promise<Leaving> {
  if (remove.length === 0 && complete !== true) return nothingLeaves;
  const named = new Set(remove);
  const comingNames = new Set(coming.map(({ name }) => name));
  const modules = new Map<string, DeployedModule>();
  const lines = (await loadPacking()).list<Placed>();
  const breathe = breather();
  const leaves = ({ name, isSelf }: DeployedModule): boolean => {
    if (!named.has(name)) return complete === true && isSelf !== true && !comingNames.has(name);
    if (isSelf !== true) return true;
    throw new UpdateError(
      'INVALID_MANIFEST',
      `remove: "${name}" is the updater itself: no package removes it`,
    );
  };
  try {
    const id = await currentRecord(files, backupDirectory);
    if (id !== undefined)
      for await (const line of (await openRecord(files, backupDirectory, id)).lines()) {
        if (line.kind === 'module') {
          if (leaves(line)) modules.set(line.name, line);
        } else if (modules.has(line.module)) lines.add(line);
        await breathe();
      }
  } catch (thrown) {
    if (!(thrown instanceof UpdateError) || thrown.code !== 'NO_BACKUP') throw thrown;
    log.warn(`no module is removed: ${thrown.message}`);
    return nothingLeaves;
  }
  for (const name of remove)
    if (!modules.has(name)) log.info(`module "${name}" is not installed: there is nothing to remove`);
  return { modules: [...modules.values()], lines };
}
