/**
 * Backups: what a transaction replaces or removes, saved before the first process is stopped, and again where a program changed
 * it while it stopped: its last word. Each such file has two more names then, its backup for a rollback and one beside its
 * target (plan.ts, keptPath) for an undo: names of the same file where the filesystem can.
 */
import { posix } from 'node:path';
import { attributesInWords } from '../attribute-kinds.ts';
import { asUpdateError, errno, UpdateError } from '../errors.ts';
import type { FileStat, Files, Host } from '../host/host.ts';
import { forEachInFlight } from '../host/in-flight.ts';
import type { WriteGroup } from '../host/write-group.ts';
import { limits } from '../limits.ts';
import { attributeFinder } from './attributes.ts';
import { type CopyOptions, cloneFile, linkFile, sameFile } from './clone.ts';
import { closedBackup } from './closed-backup.ts';
import { renamedCases } from './folded.ts';
import { type FileStep, fileSteps, keptPath, type Plan, stagedPath, summaryOf } from './plan.ts';
import { placeAbove } from './turned.ts';

const backupDirectoryMode = 0o700;

/** Saves every file that the plan replaces or removes; all durable with `group`, the directories that are returned and those of the plan. */
export async function saveBackups(
  host: Pick<Host, 'files' | 'log'>,
  backupDirectory: string,
  plan: Plan,
  group: WriteGroup,
): Promise<Iterable<string>> {
  const touched = new Set<string>([backupDirectory]);
  if (summaryOf(plan).keeps === 0) return touched;
  const options = { group, hasAttributes: attributeFinder(host.files, backedUp(plan)) };
  await forEachInFlight(fileSteps(plan), limits.filesInFlight, async (step) => {
    const { backup } = step;
    if (backup === null) return;
    await saving(step.target, () => saveOne(host, backupDirectory, step, backup, touched, options));
  });
  return touched;
}

function* backedUp(plan: Plan): Generator<string> {
  for (const { target, backup } of fileSteps(plan)) if (backup !== null) yield target;
}

/**
 * After the stop: saves anew, durably, what is another file now, or other bytes. DEPLOYMENT_FAILED where a file stands where
 * nothing was. `isSwitching`: an earlier run was cut while it switched; only what its staged file proves to be unswitched is
 * looked at.
 */
export async function retakeBackups(
  { files, log }: Pick<Host, 'files' | 'log'>,
  backupDirectory: string,
  plan: Plan,
  isSwitching: boolean,
): Promise<void> {
  const touched = new Set<string>();
  const { turned } = summaryOf(plan);
  const isRenamed = await renamedCases(plan);
  await forEachInFlight(fileSteps(plan), limits.filesInFlight, (step) =>
    saving(step.target, async () => {
      // Nothing can be made where no directory is yet; one that goes is looked at when it does.
      if (step.backup === null && (placeAbove(turned, step.target) !== undefined || isRenamed(step))) return;
      if (isSwitching && (step.kind === 'remove' || !(await files.stat(stagedPath(step))))) return;
      const now = await files.stat(step.target);
      if (now === undefined) return;
      const backup = await backupOf(files, step);
      if (backup === null)
        throw new UpdateError('DEPLOYMENT_FAILED', `${step.target} was made while the services were stopped`);
      const kept = keptPath(step);
      const other = await files.stat(kept);
      const saved = await files.stat(backup);
      if (
        saved &&
        (!other || sameFile(other, now)) &&
        (await looksTheSame(files, step.target, backup, { saved, now }))
      )
        return;
      log.info(`${step.target} was changed while the services were stopped: it is backed up again`);
      if (saved) await files.remove(backup);
      if (other) await files.remove(kept);
      await saveOne({ files, log }, backupDirectory, step, backup, touched);
      for (const path of [backup, kept]) touched.add(posix.dirname(path));
    }),
  );
  await syncAll(files, touched);
}

/** Where the backup of a step lies; null: nothing was there. */
export async function backupOf(files: Files, step: FileStep): Promise<string | null> {
  return (await savedOf(files, step))?.path ?? null;
}

export interface Saved {
  readonly path: string;
  /** Undefined: it is gone. */
  readonly stat: FileStat | undefined;
}

/** The backup of a step; null: nothing was there. */
export async function savedOf(files: Files, { backup }: FileStep): Promise<Saved | null> {
  if (backup === null) return null;
  const stat = await files.stat(backup);
  if (stat?.kind !== 'directory') return { path: backup, stat };
  const path = closedBackup(backup);
  return { path, stat: await files.stat(path) };
}

async function saveOne(
  { files, log }: Pick<Host, 'files' | 'log'>,
  backupDirectory: string,
  step: FileStep,
  backup: string,
  touched: Set<string>,
  options: CopyOptions = {},
): Promise<void> {
  await makeParents(files, backupDirectory, posix.dirname(backup), touched);
  const { lost } = await cloneFile(files, step.target, backup, options);
  if (lost.length > 0)
    log.warn(
      `${step.target} has ${attributesInWords(lost)}, which its backup ${backup} cannot hold: a later rollback will not bring that back`,
    );
  await linkFile(files, step.target, keptPath(step));
}

/** Of a backup that is a copy, made a moment ago: the same bytes, as far as size and times tell. */
async function looksTheSame(
  files: Files,
  target: string,
  backup: string,
  { saved, now }: { readonly saved: FileStat; readonly now: FileStat },
): Promise<boolean> {
  if (sameFile(saved, now)) return true;
  if (saved.kind !== now.kind || saved.sizeBytes !== now.sizeBytes) return false;
  if (now.kind === 'symlink') return (await files.readLink(target)) === (await files.readLink(backup));
  return Math.abs(saved.modifiedMs - now.modifiedMs) < timeGrainMs;
}

/** Times are copied as floating point numbers, and some filesystems keep 2 s (vfat) or 10 ms. */
const timeGrainMs = 0.01;

/** Makes `directory` below `root` with all that is missing above it, and remembers each for the sync. */
async function makeParents(
  files: Files,
  root: string,
  directory: string,
  touched: Set<string>,
): Promise<void> {
  if (touched.has(directory) || directory === root) return;
  await makeParents(files, root, posix.dirname(directory), touched);
  try {
    await files.makeDirectory(directory, backupDirectoryMode);
  } catch (thrown) {
    if (errno(thrown) !== 'EEXIST') throw thrown;
  }
  touched.add(directory);
}

async function syncAll(files: Files, directories: Iterable<string>): Promise<void> {
  for (const directory of directories) await saving(directory, () => files.syncDirectory(directory));
}

async function saving(target: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (thrown) {
    throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', `backing up ${target}`);
  }
}
