/**
 * Undo: every target goes back to what its backup holds, and whatever the transaction made is removed.
 *
 * Invariants: idempotent, so that an undo cut anywhere is finished by running it again; a staged file that is still
 * there proves that its target was never switched; when it has returned every touched directory is synced. No room is
 * needed where the old files have kept a name on their own filesystem.
 */
import { asUpdateError, errno } from '../errors.ts';
import type { Files, Host } from '../host/host.ts';
import { savedFile } from './backup.ts';
import { cloneFile, sameFile } from './clone.ts';
import {
  directorySteps,
  type FileStep,
  fileSteps,
  keptPath,
  type Plan,
  putSteps,
  restorePath,
  stagedPath,
} from './plan.ts';
import { withPlanGroup } from './plan-group.ts';

/** Puts the old set back. Rejects with ROLLBACK_FAILED naming the target; it may be run again. */
export async function restoreTargets(host: Pick<Host, 'files' | 'log'>, plan: Plan): Promise<void> {
  for (const step of fileSteps(plan)) await attempt(step.target, () => restoreOne(host.files, step));
  await discardStaged(host, plan);
}

/** Removes staged files and new directories where nothing has been switched yet (or all has been put back), and syncs. */
export async function discardStaged(host: Pick<Host, 'files' | 'log'>, plan: Plan): Promise<void> {
  for (const step of putSteps(plan))
    await attempt(step.target, () => removeIfThere(host.files, stagedPath(step)));
  for (const step of fileSteps(plan)) {
    for (const name of [restorePath(step), keptPath(step)])
      await attempt(step.target, () => removeIfThere(host.files, name));
  }
  for (const step of [...directorySteps(plan, 'makeDirectory')].reverse()) {
    try {
      if (await host.files.stat(step.target)) await host.files.removeDirectory(step.target);
    } catch (thrown) {
      if (errno(thrown) !== 'ENOTEMPTY' && errno(thrown) !== 'EEXIST') {
        throw asUpdateError(thrown, 'ROLLBACK_FAILED', `removing ${step.target}`);
      }
      host.log.warn(`${step.target} was made for this update, but somebody put files there: it stays`);
    }
  }
  await withPlanGroup(host.files, plan, [], 'ROLLBACK_FAILED', async () => []);
}

async function restoreOne(files: Files, step: FileStep): Promise<void> {
  const now = await files.stat(step.target);
  if (step.kind === 'put' && (await files.stat(stagedPath(step)))) return; // never switched
  if (step.backup === null) {
    if (now) await files.remove(step.target);
    return;
  }
  const source = await savedFile(files, step, step.backup);
  const saved = await files.stat(source);
  if (saved === undefined && now) return; // put back earlier: backups go only after everything is
  if (saved && now && sameFile(saved, now)) return;
  if (step.kind === 'remove' && now) return; // never removed
  const restore = restorePath(step);
  await removeIfThere(files, restore);
  await cloneFile(files, source, restore);
  await files.rename(restore, step.target);
}

async function removeIfThere(files: Files, path: string): Promise<void> {
  if (await files.stat(path)) await files.remove(path);
}

async function attempt(target: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (thrown) {
    throw asUpdateError(thrown, 'ROLLBACK_FAILED', `restoring ${target}`);
  }
}
