/** What the updater tells from its files without changing anything: what was done, what is installed, what waits. */
import { readHistory } from '../deploy/history-file.ts';
import { readInstalled } from '../deploy/installed-version.ts';
import { UpdateError } from '../errors.ts';
import type { Files } from '../host/host.ts';
import type { State } from './event.ts';
import type { Updater } from './state.ts';
import { waitingVersion } from './waiting.ts';

export function lookups(
  files: Files,
  backupDirectory: string,
  state: () => State,
): Pick<Updater, 'history' | 'versions'> {
  return {
    history: async () => (await readHistory(files, backupDirectory)).reverse(),
    versions: async () => ({
      installed: await readInstalled(files, backupDirectory),
      waiting: waitingVersion(state()),
    }),
  };
}

/** What an earlier run had told of the operation `id` before it was cut; undefined: nothing, or nothing but that it succeeded. */
export async function toldBecause(
  files: Files,
  backups: string,
  id: string,
): Promise<UpdateError | undefined> {
  const told = (await readHistory(files, backups)).find((entry) => entry.id === id);
  return told?.outcome === 'success' && told.error !== null ? UpdateError.parse(told.error) : undefined;
}
