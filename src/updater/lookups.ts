/** What the updater tells from its files without changing anything: what was done, and what is installed. */
import { readHistory } from '../deploy/history-file.ts';
import { readInstalled } from '../deploy/installed-version.ts';
import type { Files } from '../host/host.ts';
import type { Updater } from './state.ts';

export function lookups(files: Files, backupDirectory: string): Pick<Updater, 'history' | 'versions'> {
  return {
    history: async () => (await readHistory(files, backupDirectory)).reverse(),
    versions: async () => ({ installed: await readInstalled(files, backupDirectory) }),
  };
}
