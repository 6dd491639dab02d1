/**
 * The switch: every staged file is renamed over its target, every file that goes is unlinked; the old files keep their names
 * beside the targets (plan.ts, keptPath). Directories that go are left empty until the commit, so that an undo never has to
 * make one, for which a full disk may have no room.
 *
 * Invariant: each step is idempotent (a staged file that is gone has been renamed), so that a switch cut anywhere is
 * finished by running it again; when it has returned, every directory it touched is synced.
 */
import { posix } from 'node:path';
import { asUpdateError, UpdateError } from '../errors.ts';
import type { FileStat, Files, Host } from '../host/host.ts';
import { forEachInFlight } from '../host/in-flight.ts';
import { openWriteGroup } from '../host/write-group.ts';
import { limits } from '../limits.ts';
import { backupOf } from './backup.ts';
import { sameFile } from './clone.ts';
import { directoryOf } from './paths.ts';
import {
  directorySteps,
  type FileStep,
  fileSteps,
  keptPath,
  type Plan,
  stagedPath,
  summaryOf,
  touchedDirectories,
} from './plan.ts';
import { withPlanGroup } from './plan-group.ts';

/** Makes every target new. Rejects with DEPLOYMENT_FAILED naming the target; then some are new and some are old. */
export async function switchTargets(host: Pick<Host, 'files' | 'log'>, plan: Plan): Promise<void> {
  await withPlanGroup(host.files, plan, [], 'DEPLOYMENT_FAILED', async () => {
    await forEachInFlight(fileSteps(plan), limits.filesInFlight, async (step) => {
      try {
        await switchOne(host.files, step);
      } catch (thrown) {
        throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', `replacing ${step.target}`);
      }
    });
    return [];
  });
}

/**
 * After the commit: the directories that go and the names that only an undo needs are removed, durably. A directory that
 * cannot be removed (somebody put files there, it is a mount point) stays, empty or not, and that is logged.
 * `isRepeated`: what an earlier run has removed may not be durable yet.
 */
export async function clearAway(
  host: Pick<Host, 'files' | 'log'>,
  plan: Plan,
  isRepeated: boolean,
): Promise<void> {
  const { files, log } = host;
  const changed = new Set(isRepeated ? touchedDirectories(plan) : []);
  await forEachInFlight(fileSteps(plan), limits.filesInFlight, async (step) => {
    const kept = keptPath(step);
    if ((await files.stat(kept)) === undefined) return;
    await files.remove(kept);
    changed.add(directoryOf(kept));
  });
  for (const { target } of directorySteps(plan, 'holdDirectory')) {
    if (await files.stat(target)) await files.removeDirectory(target);
    changed.add(posix.dirname(target));
  }
  for (const { target } of directorySteps(plan, 'removeDirectory')) {
    const remove = async () => {
      if (await files.stat(target)) await files.removeDirectory(target);
    };
    // Once more: a passing fault must not leave a directory behind.
    await remove()
      .catch(remove)
      .catch((thrown: unknown) =>
        log.warn(`${target} is no longer part of its module, but stays: ${thrown}`),
      );
    changed.add(posix.dirname(target));
  }
  const group = await openWriteGroup(files, changed, summaryOf(plan).fileCount);
  await group.sync(changed).finally(() => group.close());
}

async function switchOne(files: Files, step: FileStep): Promise<void> {
  if (step.kind === 'remove') {
    if ((await files.stat(step.target)) === undefined) return;
    if (await files.stat(keptPath(step))) await files.remove(step.target);
    else await files.rename(step.target, keptPath(step));
    return;
  }
  const staged = stagedPath(step);
  if (await files.stat(staged)) {
    if (step.backup !== null && !(await files.stat(keptPath(step))) && (await files.stat(step.target)))
      await files.rename(step.target, keptPath(step)); // a filesystem without hard links
    await files.rename(staged, step.target);
    // rename(2) between two names of one file does nothing: the staged name of such a pair is left.
    if (await files.stat(staged)) await files.remove(staged);
  }
  const now = await files.stat(step.target);
  const old = await oldFile(files, step);
  if (now && old && sameFile(now, old)) {
    throw new UpdateError('DEPLOYMENT_FAILED', `${step.target} was put back to its old content meanwhile`);
  }
  if (now?.kind === 'file' && now.sizeBytes === step.sizeBytes) return;
  if (now?.kind === 'symlink' && step.link === undefined) return; // brought back by a rollback
  if (now?.kind === 'symlink') {
    const to = await files.readLink(step.target);
    if (to === step.link) return;
    throw new UpdateError('DEPLOYMENT_FAILED', `${step.target} leads to ${to}, ${step.link} is expected`);
  }
  throw new UpdateError(
    'DEPLOYMENT_FAILED',
    `${step.target}: ${step.sizeBytes} bytes expected, ${now?.sizeBytes ?? 'nothing'} found`,
  );
}

async function oldFile(files: Files, step: FileStep): Promise<FileStat | undefined> {
  const kept = step.backup === null ? undefined : await files.stat(keptPath(step));
  const backup = kept ? null : await backupOf(files, step);
  return kept ?? (backup === null ? undefined : files.stat(backup));
}
