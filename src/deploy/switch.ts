/**
 * The switch: every staged file is renamed over its target, every file that goes is unlinked.
 *
 * Invariant: each step is idempotent (a staged file that is gone has been renamed), so that a switch cut anywhere is
 * finished by running it again; when it has returned, every directory it touched is synced.
 */
import { posix } from 'node:path';
import { asUpdateError, errno, UpdateError } from '../errors.ts';
import type { Files, Host } from '../host/host.ts';
import { sameFile } from './clone.ts';
import {
  directorySteps,
  type FileStep,
  fileSteps,
  type Plan,
  stagedPath,
  touchedDirectories,
} from './plan.ts';

/** Makes every target new. Rejects with DEPLOYMENT_FAILED naming the target; then some are new and some are old. */
export async function switchTargets(host: Pick<Host, 'files' | 'log'>, plan: Plan): Promise<void> {
  await checkDirectories(host.files, plan);
  for (const step of fileSteps(plan)) {
    try {
      await switchOne(host.files, step);
    } catch (thrown) {
      throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', `replacing ${step.target}`);
    }
  }
  for (const step of directorySteps(plan, 'removeDirectory')) {
    try {
      if (await host.files.stat(step.target)) await host.files.removeDirectory(step.target);
    } catch (thrown) {
      if (errno(thrown) !== 'ENOTEMPTY' && errno(thrown) !== 'EEXIST') {
        throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', `removing ${step.target}`);
      }
      host.log.warn(`${step.target} is no longer part of the module, but somebody put files there: it stays`);
    }
  }
  await syncTouched(host.files, plan);
}

/** Syncs every directory the plan touches; one that the plan itself removed has no names left to sync. */
export async function syncTouched(files: Files, plan: Plan): Promise<void> {
  for (const directory of touchedDirectories(plan)) {
    try {
      await files.syncDirectory(directory);
    } catch (thrown) {
      if (errno(thrown) === 'ENOENT') continue;
      throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', `syncing ${directory}`);
    }
  }
}

/** The targets' directories were resolved when the plan was made: one that has become a symlink since leads elsewhere. */
export async function checkDirectories(files: Files, plan: Plan): Promise<void> {
  for (const directory of new Set(fileSteps(plan).map((step) => posix.dirname(step.target)))) {
    const real = await files.realPath(directory).catch((thrown: unknown) => {
      if (errno(thrown) === 'ENOENT') return directory; // removed by this very plan, before a cut
      throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', `resolving ${directory}`);
    });
    if (real !== directory) {
      throw new UpdateError('DEPLOYMENT_FAILED', `${directory} was exchanged for a symlink to ${real}`);
    }
  }
}

async function switchOne(files: Files, step: FileStep): Promise<void> {
  if (step.kind === 'remove') {
    if (await files.stat(step.target)) await files.remove(step.target);
    return;
  }
  const staged = stagedPath(step);
  if (await files.stat(staged)) {
    await files.rename(staged, step.target);
    // rename(2) between two names of one file does nothing: the staged name of such a pair is left.
    if (await files.stat(staged)) await files.remove(staged);
  }
  const now = await files.stat(step.target);
  const old = step.backup === null ? undefined : await files.stat(step.backup);
  if (now && old && sameFile(now, old)) {
    throw new UpdateError('DEPLOYMENT_FAILED', `${step.target} was put back to its old content meanwhile`);
  }
  if (now?.kind === 'file' && now.sizeBytes === step.sizeBytes) return;
  if (now?.kind === 'symlink') return;
  throw new UpdateError(
    'DEPLOYMENT_FAILED',
    `${step.target}: ${step.sizeBytes} bytes expected, ${now?.sizeBytes ?? 'nothing'} found`,
  );
}
