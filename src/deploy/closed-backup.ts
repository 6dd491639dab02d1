/**
 * Backups of single files as 0.1.0 made them are closed: the file moves into a directory of its name which only root can enter,
 * as anybody could run a set-uid program there. May be cut anywhere and run again.
 */
import { posix } from 'node:path';
import type { Files } from '../host/host.ts';

/** The file in a backup that was closed. */
export function closedBackup(backup: string): string {
  return posix.join(backup, 'file');
}

const openName = /\.\d{8}T\d{9}Z\.bak$/;
const scratchName = /\.\d{8}T\d{9}Z\.bak\.closing$/;

/** To be called at a start, before anything looks for a backup. */
export async function closeBackups(files: Files, backupDirectory: string): Promise<void> {
  const names = await files.list(backupDirectory);
  const scratches = names.filter((name) => scratchName.test(name));
  const open: string[] = [];
  for (const name of names) {
    if (!openName.test(name)) continue;
    const kind = (await files.stat(posix.join(backupDirectory, name)))?.kind;
    if (kind === 'file' || kind === 'symlink') open.push(name);
  }
  if (scratches.length === 0 && open.length === 0) return;
  for (const name of open) {
    const backup = posix.join(backupDirectory, name);
    const scratch = `${backup}.closing`;
    if ((await files.stat(scratch)) === undefined) await files.makeDirectory(scratch, 0o700);
    await files.rename(backup, closedBackup(scratch));
    await files.syncDirectory(scratch);
  }
  await files.syncDirectory(backupDirectory);
  for (const name of new Set([...scratches, ...open.map((one) => `${one}.closing`)])) {
    const scratch = posix.join(backupDirectory, name);
    if (await files.stat(closedBackup(scratch)))
      await files.rename(scratch, scratch.slice(0, -'.closing'.length));
    else await files.removeDirectory(scratch);
  }
  await files.syncDirectory(backupDirectory);
}
