/**
 * The journal of a work directory that is not the launcher's own: `journal`, a symlink beside the launcher. What runs at boot before
 * the services (tope-updater-recover.service, the init script) looks there and in the launcher's directory, so that a boot without a
 * journal starts nothing, wherever the work directory lies.
 */
import { open, readlink, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { errno } from '../errors.ts';

/**
 * Durable when it resolves; before any update begins. Where both directories are one, a link of before goes. Paths are absolute
 * and free of symlinks. Rejects with a system error, as on a root filesystem that is read-only.
 */
export async function linkJournal(launcherDirectory: string, workDirectory: string): Promise<void> {
  const link = journalLink(launcherDirectory);
  const wanted = launcherDirectory === workDirectory ? undefined : journalOf(workDirectory);
  if ((await linkedJournal(launcherDirectory)) === wanted) return;
  if (wanted === undefined) await rm(link);
  else {
    await rm(`${link}.new`, { force: true });
    await symlink(wanted, `${link}.new`);
    await rename(`${link}.new`, link);
  }
  const directory = await open(launcherDirectory);
  await directory.sync().finally(() => directory.close());
}

/** Where the link leads; undefined: there is none. */
export async function linkedJournal(launcherDirectory: string): Promise<string | undefined> {
  try {
    return await readlink(journalLink(launcherDirectory));
  } catch (thrown) {
    if (errno(thrown) === 'ENOENT' || errno(thrown) === 'EINVAL') return undefined;
    throw thrown;
  }
}

export function journalOf(workDirectory: string): string {
  return join(workDirectory, 'backups', 'journal');
}

function journalLink(launcherDirectory: string): string {
  return join(launcherDirectory, 'journal');
}
