/** Backups: what a transaction replaces or removes, saved under backups/ before the first process is stopped. */
import { posix } from 'node:path';
import { asUpdateError, errno } from '../errors.ts';
import type { Files, Host } from '../host/host.ts';
import type { WriteGroup } from '../host/write-group.ts';
import { cloneFile, linkFile } from './clone.ts';
import { type FileStep, fileSteps, keptPath, type Plan } from './plan.ts';

const backupDirectoryMode = 0o700;

/**
 * Saves every file that the plan replaces or removes; all durable with `group` and the directories that are returned. Where
 * a backup had to be a copy the old file also keeps a second name beside its target (not durable: the backup is).
 */
export async function saveBackups(
  host: Pick<Host, 'files'>,
  backupDirectory: string,
  plan: Plan,
  group: WriteGroup,
): Promise<Iterable<string>> {
  const touched = new Set<string>([backupDirectory]);
  for (const step of fileSteps(plan)) {
    if (step.backup === null) continue;
    try {
      await makeParents(host, backupDirectory, posix.dirname(step.backup), touched);
      const how = await cloneFile(host.files, step.target, step.backup, group);
      if (how === 'copied') await linkFile(host.files, step.target, keptPath(step));
    } catch (thrown) {
      throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', `backing up ${step.target}`);
    }
  }
  return touched;
}

/** What undo takes the old file from: its second name beside the target, else the backup. */
export async function savedFile(files: Files, step: FileStep, backup: string): Promise<string> {
  const kept = keptPath(step);
  return (await files.stat(kept)) ? kept : backup;
}

/** Makes `directory` below `root` with all that is missing above it, and remembers each for the sync. */
async function makeParents(
  host: Pick<Host, 'files'>,
  root: string,
  directory: string,
  touched: Set<string>,
): Promise<void> {
  if (touched.has(directory) || directory === root) return;
  await makeParents(host, root, posix.dirname(directory), touched);
  try {
    await host.files.makeDirectory(directory, backupDirectoryMode);
  } catch (thrown) {
    if (errno(thrown) !== 'EEXIST') throw thrown;
  }
  touched.add(directory);
}
