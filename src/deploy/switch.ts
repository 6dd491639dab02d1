/**
 * The switch: every staged file is renamed over its target, every file that goes is unlinked; the old files keep their names
 * beside the targets (plan.ts, keptPath). Directories that go are left empty until the commit, so that an undo never has to
 * make one, for which a full disk may have no room.
 *
 * Invariant: each step is idempotent (a staged file that is gone has been renamed), so that a switch cut anywhere is
 * finished by running it again; when it has returned, every directory it touched is synced.
 */
import { posix } from 'node:path';
import { asUpdateError, errno, UpdateError } from '../errors.ts';
import type { FileStat, Files, Host } from '../host/host.ts';
import { forEachInFlight, inGroups } from '../host/in-flight.ts';
import { openWriteGroup } from '../host/write-group.ts';
import { limits } from '../limits.ts';
import { backupOf } from './backup.ts';
import { sameFile } from './clone.ts';
import { below, directoryOf, inDirectory } from './paths.ts';
import {
  type DirectoryStep,
  directorySteps,
  type FileStep,
  fileSteps,
  keptPath,
  type Plan,
  type PutStep,
  putSteps,
  stagedPath,
  summaryOf,
  touchedDirectories,
} from './plan.ts';
import { withPlanGroup } from './plan-group.ts';
import { clearing, forgivingFiles } from './taken-away.ts';
import { placeAbove, reachableSteps, standingDirectories } from './turned.ts';

/** Makes every target new. Rejects with DEPLOYMENT_FAILED naming the target; then some are new and some are old. */
export async function switchTargets(host: Pick<Host, 'files' | 'log'>, plan: Plan): Promise<void> {
  await withPlanGroup(host.files, plan, [], 'DEPLOYMENT_FAILED', async () => {
    const attempt: Attempt = async (target, action) => {
      try {
        await action();
      } catch (thrown) {
        throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', `replacing ${target}`);
      }
    };
    // What goes makes room for what comes: a directory where a file was, a file where a directory was.
    const isReachable = await reachableSteps(host.files, plan);
    const going = summaryOf(plan).removes === 0 ? [] : fileSteps(plan);
    await forEachInFlight(going, limits.filesInFlight, (step) =>
      step.kind === 'remove' && isReachable(step)
        ? attempt(step.target, () => removeOne(host.files, step))
        : undefined,
    );
    for (const step of directorySteps(plan, 'becomeDirectory'))
      await attempt(step.target, () => becomeDirectory(host.files, step));
    for (const group of inGroups(putSteps(plan), limits.statsInFlight))
      await putGroup(host.files, group, attempt);
    return [];
  });
}

/**
 * After the commit: the directories that go and the names that only an undo needs are removed, durably. A directory that
 * cannot be removed (somebody put files there, it is a mount point) stays, empty or not, and that is logged.
 * So it is with what stands where somebody has taken a directory away (taken-away.ts). `isRepeated`: what an earlier run has removed may not be durable yet.
 */
export async function clearAway(
  host: Pick<Host, 'files' | 'log'>,
  plan: Plan,
  isRepeated: boolean,
): Promise<void> {
  const { files, log } = host;
  const clear = clearing(host);
  const changed = new Set(isRepeated ? touchedDirectories(plan) : []);
  // Where nothing was, nothing was kept.
  const keeping = summaryOf(plan).keeps === 0 ? [] : fileSteps(plan);
  for (const group of inGroups(keeping, limits.statsInFlight)) {
    // Where one cannot be looked at, each is looked at by itself: that says whose it is.
    const theirs = await files.statMany(group.map(keptPath)).catch(() => undefined);
    await forEachInFlight(group.entries(), limits.filesInFlight, ([index, step]) => {
      if (step.backup === null && (step.kind === 'remove' || step.replacesDirectory === undefined)) return;
      if (theirs !== undefined && theirs[index] === undefined) return;
      return clear(step.target, async () => {
        const kept = keptPath(step);
        const there = theirs?.[index] ?? (await files.stat(kept));
        if (there === undefined) return;
        if (there.kind === 'directory') await removeKeptDirectory(files, plan, step.target, kept);
        else await files.remove(kept);
        changed.add(directoryOf(kept));
      });
    });
  }
  for (const { target } of directorySteps(plan, 'holdDirectory')) {
    await clear(target, async () => {
      if (await files.stat(target)) await files.removeDirectory(target);
    });
    changed.add(posix.dirname(target));
  }
  const { turned, fileCount } = summaryOf(plan);
  for (const { target } of directorySteps(plan, 'removeDirectory')) {
    if (placeAbove(turned, target) !== undefined) continue; // it went with the one that became a file
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
  const forgiving = forgivingFiles(files);
  const standing = await standingDirectories(forgiving, turned, changed);
  const group = await openWriteGroup(forgiving, standing, fileCount);
  await group.sync(standing).finally(() => group.close());
}

async function removeOne(files: Files, step: FileStep): Promise<void> {
  const there = await files.stat(step.target);
  if (there === undefined || there.kind === 'directory') return; // gone, and maybe a directory already
  if (await files.stat(keptPath(step))) await files.remove(step.target);
  else await files.rename(step.target, keptPath(step));
}

type Attempt = (target: string, action: () => Promise<void>) => Promise<void>;

/** What is at the places of a put step. */
interface Places {
  readonly staged: FileStat | undefined;
  readonly target: FileStat | undefined;
  readonly kept: FileStat | undefined;
}

/** Many steps together: what is at their places is looked at in one call, before and after. */
async function putGroup(files: Files, steps: readonly PutStep[], attempt: Attempt): Promise<void> {
  const isStaged = new Map<PutStep, boolean>();
  // Where something makes room, one after the other for each step: a target is not to be missing for long.
  const replacing = steps.filter((step) => !isNew(step));
  const before = await placesOf(files, replacing, attempt);
  await forEachInFlight(replacing.entries(), limits.filesInFlight, ([index, step]) =>
    attempt(step.target, async () => {
      const { staged, target, kept } = before[index] ?? nothingThere;
      isStaged.set(step, staged !== undefined);
      if (staged === undefined) return;
      if (step.replacesDirectory !== undefined) await keepDirectory(files, step);
      else if (step.backup !== null && kept === undefined && target !== undefined)
        await files.rename(step.target, keptPath(step)); // a filesystem without hard links
      await files.rename(stagedPath(step), step.target);
    }),
  );
  const coming = steps.filter(isNew);
  const failures = await files.renameMany(coming.map((step) => [stagedPath(step), step.target] as const));
  for (const [index, step] of coming.entries()) {
    const failure = failures[index];
    isStaged.set(step, failure === undefined);
    // Not staged any more: an earlier run has renamed it, which the look behind this tells.
    if (failure !== undefined && errno(failure) !== 'ENOENT')
      await attempt(step.target, () => Promise.reject(failure));
  }
  const after = await placesOf(files, steps, attempt);
  for (const [index, step] of steps.entries())
    await attempt(step.target, () =>
      checkPut(files, step, isStaged.get(step) === true, after[index] ?? nothingThere),
    );
}

/** Nothing was there when it was planned, so there is nothing to keep. */
function isNew({ backup, replacesDirectory }: PutStep): boolean {
  return backup === null && replacesDirectory === undefined;
}

const nothingThere: Places = { staged: undefined, target: undefined, kept: undefined };

async function placesOf(files: Files, steps: readonly PutStep[], attempt: Attempt): Promise<Places[]> {
  const pathsOf = (step: PutStep) => [
    stagedPath(step),
    step.target,
    ...(isNew(step) ? [] : [keptPath(step)]),
  ];
  const stats: (FileStat | undefined)[] = [];
  try {
    stats.push(...(await files.statMany(steps.flatMap(pathsOf))));
  } catch {
    // One after another: an error is to name its target.
    for (const step of steps)
      await attempt(step.target, async () => void stats.push(...(await files.statMany(pathsOf(step)))));
  }
  let at = 0;
  return steps.map((step) => {
    const first = at;
    at += isNew(step) ? 2 : 3;
    const [staged, target, kept] = stats.slice(first, at);
    return { staged, target, kept };
  });
}

/** `isStaged`: it was renamed just now, and not by an earlier run. */
async function checkPut(
  files: Files,
  step: PutStep,
  isStaged: boolean,
  { staged, target: now, kept }: Places,
): Promise<void> {
  // rename(2) between two names of one file does nothing: the staged name of such a pair is left.
  if (isStaged && staged !== undefined) await files.remove(stagedPath(step));
  const old = step.backup === null ? undefined : (kept ?? (await savedFile(files, step)));
  if (now && old && sameFile(now, old)) {
    throw new UpdateError('DEPLOYMENT_FAILED', `${step.target} was put back to its old content meanwhile`);
  }
  // Switched by an earlier run: a program that the boot has started may have written to it since.
  if (!isStaged && (now?.kind === 'file' || now?.kind === 'symlink')) return;
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

/** With those that are staged in it; they find that done. */
async function becomeDirectory(files: Files, { staged, target }: DirectoryStep): Promise<void> {
  if (staged !== undefined && (await files.stat(staged))) await files.rename(staged, target);
}

/** Renames an emptied directory out of the way of the file that takes its place. What somebody has put there since is not lost. */
async function keepDirectory(files: Files, step: PutStep): Promise<void> {
  if ((await files.stat(step.target))?.kind !== 'directory') return;
  const stray = await fileBelow(files, step.target);
  if (stray !== undefined)
    throw new UpdateError(
      'DEPLOYMENT_FAILED',
      `a file is due there, and somebody has made ${stray} meanwhile`,
    );
  await files.rename(step.target, keptPath(step));
  // The file that takes the name must not be there without the other name of the directory: nothing else holds it.
  await files.syncDirectory(directoryOf(step.target));
}

async function fileBelow(files: Files, directory: string): Promise<string | undefined> {
  for (const name of await files.list(directory)) {
    const path = inDirectory(directory, name);
    if ((await files.stat(path))?.kind !== 'directory') return path;
    const stray = await fileBelow(files, path);
    if (stray !== undefined) return stray;
  }
  return undefined;
}

/** A power cut may have taken the removing of the files in it, and not its renaming. */
async function removeKeptDirectory(files: Files, plan: Plan, place: string, kept: string): Promise<void> {
  for (const { kind, target } of fileSteps(plan)) {
    const name = kind === 'remove' ? below(place, target) : undefined;
    if (name === undefined || name === '') continue;
    const left = inDirectory(kept, name);
    if (await files.stat(left)) await files.remove(left);
  }
  await removeEmptied(files, kept);
}

async function removeEmptied(files: Files, directory: string): Promise<void> {
  for (const name of await files.list(directory)) await removeEmptied(files, inDirectory(directory, name));
  await files.removeDirectory(directory);
}

async function savedFile(files: Files, step: FileStep): Promise<FileStat | undefined> {
  const backup = await backupOf(files, step);
  return backup === null ? undefined : files.stat(backup);
}
