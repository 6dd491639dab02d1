/** The doctor on what runs at boot before the services: whether it finds the journal of this work directory. */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { Files } from '../host/host.ts';
import { checkOf, type Finding } from './finding.ts';
import { journalOf, linkedJournal } from './journal-link.ts';

/** `launcherDirectory`: where the launcher would lie; nothing is said without one, before the daemon's first start, and where all is well. */
export async function bootChecks(
  files: Files,
  launcherDirectory: string,
  workDirectory: string,
): Promise<Finding[]> {
  for (const place of [join(launcherDirectory, 'tope-updater-launch'), workDirectory])
    if ((await files.stat(place)) === undefined) return [];
  const [launcher, work] = [await realpath(launcherDirectory), await realpath(workDirectory)];
  if (launcher === work) return [];
  if ((await linkedJournal(launcher)) === journalOf(work)) return [];
  return [
    checkOf('boot').warn(
      `after a power cut in mid-update services start before the files in ${work} are whole`,
      `make the link ${join(launcher, 'journal')} to ${journalOf(work)}, as the daemon does at its start where it can write there`,
    ),
  ];
}
