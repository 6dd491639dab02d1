/**
 * Undo: every target goes back to what its backup holds, by renaming the old file's other name back, which takes no room; what
 * was made is removed. Idempotent: it may be cut anywhere and run again; a staged file still beside its target proves that it
 * was never switched; in the end every directory it touched is synced. A target that cannot be restored keeps no other from it;
 * one that was taken away (taken-away.ts) not even the undo from its end.
 */

import { attributesInWords } from '../attribute-kinds.ts';
import { asUpdateError, errno, type UpdateError } from '../errors.ts';
import { removeIfThere } from '../host/durable-file.ts';
import type { FileStat, Files, Host } from '../host/host.ts';
import { forEachInFlight } from '../host/in-flight.ts';
import { limits } from '../limits.ts';
import { backupOf } from './backup.ts';
import { copyFile, isEqual } from './clone.ts';
import { createComparer } from './compare.ts';
import { baseOf, directoryOf, inDirectory } from './paths.ts';
import {
  directorySteps,
  type FileStep,
  fileSteps,
  keptPath,
  type Plan,
  putSteps,
  restorePath,
  stagedPath,
  summaryOf,
} from './plan.ts';
import { withPlanGroup } from './plan-group.ts';
import { clearing, forgivingFiles, isTakenAway } from './taken-away.ts';
import { reachableSteps } from './turned.ts';

/** Puts the old set back. Rejects with ROLLBACK_FAILED naming what is still new; resolves with it where all of that was taken away. */
export async function restoreTargets(
  host: Pick<Host, 'files' | 'log'>,
  plan: Plan,
): Promise<UpdateError | undefined> {
  const failures: { readonly target: string; readonly why: unknown }[] = [];
  const attemptOn = async (target: string, action: () => Promise<void>) => {
    try {
      await action();
    } catch (why) {
      failures.push({ target, why });
    }
  };
  const restoreAll = (isMeant: (step: FileStep) => boolean) =>
    forEachInFlight(fileSteps(plan), limits.filesInFlight, (step) =>
      isMeant(step) ? attemptOn(step.target, () => restoreOne(host, plan, step)) : undefined,
    );
  // The way of the switch backwards: what came goes first, and with it the directories that came with it.
  const isReachable = await reachableSteps(forgivingFiles(host.files), plan);
  await restoreAll((step) => step.kind === 'put' && isReachable(step));
  for (const { target } of directorySteps(plan, 'becomeDirectory').reverse())
    await attemptOn(target, () => leaveDirectory(host.files, target));
  await restoreAll(({ kind }) => kind === 'remove');
  failures.sort((a, b) => (a.target < b.target ? -1 : 1));
  const [first] = failures;
  if (first === undefined) {
    await discardStaged(host, plan);
    return undefined;
  }
  const error = unrestored(
    first,
    failures.map(({ target }) => target),
    summaryOf(plan).fileCount,
  );
  for (const { target, why } of failures) {
    if (await isTakenAway(host.files, target, why)) continue;
    await syncRestored(host, plan);
    throw error;
  }
  await discardStaged(host, plan);
  return error;
}

/** Removes staged files and new directories where nothing has been switched yet (or all has been put back), and syncs. */
export async function discardStaged(host: Pick<Host, 'files' | 'log'>, plan: Plan): Promise<void> {
  const { files, log } = host;
  const clear = clearing(host);
  const attempt = async (target: string, action: () => Promise<void>) => {
    try {
      await clear(target, action);
    } catch (thrown) {
      throw asUpdateError(thrown, 'ROLLBACK_FAILED', `removing what was made for ${target}`);
    }
  };
  await forEachInFlight(putSteps(plan), limits.filesInFlight, (step) =>
    attempt(step.target, () => removeIfThere(files, stagedPath(step))),
  );
  await forEachInFlight(fileSteps(plan), limits.filesInFlight, async (step) => {
    for (const name of [restorePath(step), keptPath(step)])
      await attempt(step.target, () => removeIfThere(files, name));
  });
  await discardStagedDirectories(files, plan, attempt);
  const holds = directorySteps(plan, 'holdDirectory');
  // What was renamed out of them must not be lost together with them.
  if (holds.length > 0) await syncRestored(host, plan);
  for (const { target } of holds) await attempt(target, () => removeDirectoryIfThere(files, target));
  for (const { target } of [...directorySteps(plan, 'makeDirectory')].reverse())
    await attempt(target, async () => {
      try {
        await removeDirectoryIfThere(files, target);
      } catch (thrown) {
        if (errno(thrown) !== 'ENOTEMPTY' && errno(thrown) !== 'EEXIST') throw thrown;
        log.warn(`${target} was made for this update, but somebody put files there: it stays`);
      }
    });
  await syncRestored(host, plan);
}

type Attempt = (target: string, action: () => Promise<void>) => Promise<void>;

/** A power cut may have taken the rename of such a directory, and not those of files into it. */
async function discardStagedDirectories(files: Files, plan: Plan, attempt: Attempt): Promise<void> {
  const stagedOf = new Map<string, string>();
  for (const { target, staged } of directorySteps(plan, 'becomeDirectory'))
    if (staged !== undefined) stagedOf.set(target, staged);
  if (stagedOf.size === 0) return;
  for (const { target } of putSteps(plan)) {
    const staged = stagedOf.get(directoryOf(target));
    if (staged === undefined) continue;
    await attempt(target, () => removeIfThere(files, inDirectory(staged, baseOf(target))));
  }
  for (const staged of [...stagedOf.values()].reverse())
    await attempt(staged, () => removeDirectoryIfThere(files, staged));
}

/** What others have put there is theirs: a file that comes back there puts the directory aside. */
async function leaveDirectory(files: Files, target: string): Promise<void> {
  try {
    if ((await files.stat(target))?.kind === 'directory') await files.removeDirectory(target);
  } catch (thrown) {
    if (!['ENOTEMPTY', 'EEXIST', 'ELOOP'].includes(errno(thrown) ?? '')) throw thrown;
  }
}

function syncRestored({ files }: Pick<Host, 'files'>, plan: Plan): Promise<void> {
  return withPlanGroup(forgivingFiles(files), plan, [], 'ROLLBACK_FAILED', async () => []);
}

async function restoreOne(
  { files, log }: Pick<Host, 'files' | 'log'>,
  plan: Plan,
  step: FileStep,
): Promise<void> {
  const now = await files.stat(step.target);
  const isStaged = step.kind === 'put' && (await files.stat(stagedPath(step))) !== undefined;
  const kept = keptPath(step);
  const isDirectoryKept = step.kind === 'put' && step.replacesDirectory !== undefined;
  const keptKind = step.backup !== null || isDirectoryKept ? (await files.stat(kept))?.kind : undefined;
  const isKept = keptKind !== undefined && (keptKind === 'directory') === isDirectoryKept;
  if (isStaged && (now !== undefined || !isKept)) return; // never switched
  if (isDirectoryKept && !isKept) return; // restored by an earlier run
  if (now?.kind === 'directory') await putAside(files, log, plan, step.target);
  if (step.backup === null) {
    if (now && now.kind !== 'directory') await files.remove(step.target);
    if (isDirectoryKept) await files.rename(kept, step.target);
    return;
  }
  if (isKept) return files.rename(kept, step.target); // two names of one file: nothing happens, and it is right
  // Restored by an earlier run, never removed, or the kept name is lost.
  const backup = await backupOf(files, step);
  if (backup === null || (await files.stat(backup)) === undefined) return; // backups go only when everything is put back
  if (await isEqual(files, backup, step.target)) return;
  const isThing = now?.kind === 'file' || now?.kind === 'symlink';
  if (plan.keepsNames && isThing && !(await isDeployed(files, step, now))) {
    // The kept name goes with the restoring alone: a program that the boot has started wrote to it since.
    log.warn(`${step.target} is neither what was replaced nor what was deployed: it stays`);
    return;
  }
  const restore = restorePath(step);
  await removeIfThere(files, restore);
  const { lost } = await copyFile(files, backup, restore);
  if (lost.length > 0) log.warn(`${step.target} comes back without ${attributesInWords(lost)}`);
  await files.rename(restore, step.target);
}

/** True where the new file stands, as far as the package tells its bytes. */
async function isDeployed(files: Files, step: FileStep, now: FileStat): Promise<boolean> {
  if (step.kind === 'remove') return false;
  if (now.kind === 'symlink')
    return step.link === undefined || (await files.readLink(step.target)) === step.link;
  if (step.link !== undefined || now.sizeBytes !== step.sizeBytes) return false;
  const wanted = step.sha256 === null ? step.seal && { seal: step.seal } : { sha256: step.sha256 };
  const { signal } = new AbortController();
  return (
    wanted === undefined ||
    createComparer(files, { signal, pace: () => undefined }).holds(step.target, step.sizeBytes, wanted)
  );
}

/** A directory that the new version has made in a file's place: what is in it may be somebody's data. */
async function putAside(files: Files, log: Host['log'], plan: Plan, target: string): Promise<void> {
  try {
    await files.removeDirectory(target);
  } catch (thrown) {
    if (errno(thrown) !== 'ENOTEMPTY' && errno(thrown) !== 'EEXIST') throw thrown;
    const aside = `${target}.${plan.id}`;
    await files.rename(target, aside);
    log.warn(`${target} was made a directory by what is undone: it is ${aside} now`);
  }
}

/** All names that an error has room for: a person has to look at each. */
const namesShown = 20;

function unrestored(
  first: { readonly target: string; readonly why: unknown },
  targets: readonly string[],
  total: number,
): UpdateError {
  const shown = targets.slice(0, namesShown).join(', ');
  const more = targets.length > namesShown ? ` and ${targets.length - namesShown} more` : '';
  const others = total - targets.length;
  const what = `restoring ${targets.length} of ${total}; still new: ${shown}${more}; ${others} old again; ${first.target}`;
  return asUpdateError(first.why, 'ROLLBACK_FAILED', what);
}

async function removeDirectoryIfThere(files: Files, path: string): Promise<void> {
  if (await files.stat(path)) await files.removeDirectory(path);
}
