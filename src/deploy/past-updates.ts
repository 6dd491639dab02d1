/**
 * Past updates: journals of committed transactions (`<id>.journal`), with what they replaced (`<module>.<id>.bak`) and what
 * stood after them (`<id>.deployed`). A record that a rollback may be asked of stands only as long as all its backups do.
 */

import { posix } from 'node:path';
import { UpdateError } from '../errors.ts';
import { removeIfThere } from '../host/durable-file.ts';
import type { FileStat, Files, Host } from '../host/host.ts';
import { forEachInFlight, inGroups } from '../host/in-flight.ts';
import { limits } from '../limits.ts';
import { loadPacking } from '../packed-list.ts';
import { type Saved, savedOf } from './backup.ts';
import { closedBackup } from './closed-backup.ts';
import { deployedPath, pruneDeployed } from './current-record.ts';
import { readHistory } from './history-file.ts';
import type { Journal } from './journal.ts';
import { readJournal, readJournalHead } from './journal-file.ts';
import { directoryOf } from './paths.ts';
import { type DirectoryAttributes, fileSteps, type Plan, type Step, summaryOf } from './plan.ts';
import { placeAbove } from './turned.ts';
import type { Want } from './want.ts';

const recordName = /^(\d{8}T\d{9}Z)\.journal$/;
/** Of a record, a backup, what was deployed, or a kept package. */
const idInName = /(?:^|\.)(\d{8}T\d{9}Z)\.(?:journal|bak|deployed|zip)$/;
const isId = /^\d{8}T\d{9}Z$/;
const backupName = /\.(\d{8}T\d{9}Z)\.bak$/;

export function recordPath(backupDirectory: string, id: string): string {
  return posix.join(backupDirectory, `${id}.journal`);
}

/** A plan but for its steps, which take most of its room. */
export type PlanHead = Omit<Plan, 'steps'>;

/** The committed updates that can still be rolled back, newest first. An unreadable record is passed over. */
export async function pastUpdates(
  host: Pick<Host, 'files' | 'log'>,
  backupDirectory: string,
): Promise<PlanHead[]> {
  const plans: PlanHead[] = [];
  for (const id of await recordIds(host.files, backupDirectory)) {
    const decoded = await readJournalHead(host.files, recordPath(backupDirectory, id));
    if (decoded.kind === 'journal') plans.push(decoded.journal.plan);
    else host.log.warn(`the record of update ${id} is ${decoded.kind}: it cannot be rolled back`);
  }
  return plans;
}

/** The whole plan of one of them. Throws NO_BACKUP where its record cannot be read any more. */
export async function pastPlan(files: Files, backupDirectory: string, id: string): Promise<Plan> {
  const decoded = await readJournal(files, recordPath(backupDirectory, id));
  if (decoded.kind === 'journal') return decoded.journal.plan;
  throw new UpdateError('NO_BACKUP', `the record of update ${id} is ${decoded.kind}`);
}

/** The kept journals of these updates, those that can be read, without the steps of their plans. */
export async function journalsOf(
  files: Files,
  backupDirectory: string,
  ids: readonly string[],
): Promise<Journal[]> {
  const journals: Journal[] = [];
  for (const id of ids) {
    const decoded = await readJournalHead(files, recordPath(backupDirectory, id));
    if (decoded.kind === 'journal') journals.push(decoded.journal);
  }
  return journals;
}

/** Id of the last update whose journal is short enough to be read in one piece without anybody waiting for it. */
export async function latestUpdate(files: Files, backupDirectory: string): Promise<string | undefined> {
  const [id] = await recordIds(files, backupDirectory);
  if (id === undefined) return undefined;
  const stat = await files.stat(recordPath(backupDirectory, id));
  return stat !== undefined && stat.sizeBytes <= limits.shortJournalBytes ? id : undefined;
}

/** The newest id that is known, by a name in backups/ or by the history, whatever became of its update. */
export async function latestId(files: Files, backupDirectory: string): Promise<string | undefined> {
  const names = await files.list(backupDirectory);
  const history = await readHistory(files, backupDirectory);
  return [...names.flatMap((name) => idInName.exec(name)?.[1] ?? []), ...history.map(({ id }) => id)]
    .filter((id) => isId.test(id))
    .sort()
    .at(-1);
}

/** What taking back `chain` (newest first) asks of the disk: for each path what stood there before the oldest update that touched it. */
export async function wantsOfRollback(files: Files, chain: readonly Plan[]): Promise<Iterable<Want>> {
  const wants = (await loadPacking()).map<Want>();
  for (const plan of chain.toReversed())
    await forEachInFlight(plan.steps, limits.filesInFlight, async (step) => {
      if (wants.has(step.target)) return;
      const want = await wantBefore(files, plan, step);
      if (want !== undefined) wants.set(step.target, want);
    });
  return {
    *[Symbol.iterator]() {
      for (const [, want] of wants) yield want;
    },
  };
}

/** What stood at a step's target before it. */
async function wantBefore(files: Files, plan: Plan, step: Step): Promise<Want | undefined> {
  const { target } = step;
  switch (step.kind) {
    case 'put':
    case 'remove': {
      if (step.kind === 'put' && step.replacesDirectory !== undefined)
        return directoryWant(step.module, target, step.replacesDirectory);
      const saved = await savedOf(files, step);
      return saved === null
        ? { kind: 'absent', module: step.module, target }
        : wantOfBackup(step.module, target, saved);
    }
    case 'makeDirectory':
      return { kind: 'absent', module: '', target };
    case 'becomeDirectory':
      // At the topmost place stood what another step removes.
      return placeAbove(summaryOf(plan).turned, directoryOf(target)) === undefined
        ? undefined
        : { kind: 'absent', module: '', target };
    case 'removeDirectory':
      return directoryWant('', target, step);
    case 'holdDirectory':
      return undefined;
    default:
      return step satisfies never;
  }
}

/** Removes all but the newest updates, and every backup without a record. Not synced: what comes back goes at the next start. */
export async function prunePastUpdates(
  files: Files,
  backupDirectory: string,
  keep: number = limits.updatesKept,
): Promise<void> {
  const ids = await recordIds(files, backupDirectory);
  const kept = new Set(ids.slice(0, keep));
  for (const id of ids.slice(keep)) await files.remove(recordPath(backupDirectory, id));
  await pruneDeployed(files, backupDirectory, [...kept]);
  const orphans = (await files.list(backupDirectory)).filter((name) => {
    const id = backupName.exec(name)?.[1];
    return id !== undefined && !kept.has(id);
  });
  for (const name of orphans) await removeTree(files, posix.join(backupDirectory, name));
}

/** Removes all records of these updates, durably; their backups are then anyone's to prune. */
export async function forgetUpdates(
  files: Files,
  backupDirectory: string,
  ids: readonly string[],
): Promise<void> {
  const paths = ids.flatMap((id) => [recordPath(backupDirectory, id), deployedPath(backupDirectory, id)]);
  for (const path of paths) await removeIfThere(files, path);
  await files.syncDirectory(backupDirectory); // also where an earlier run has removed them: it may have been killed
}

/** True where every backup that the chain needs is still there. */
export async function backupsComplete(files: Files, chain: readonly Plan[]): Promise<boolean> {
  for (const plan of chain)
    for (const backups of inGroups(backupsOf(plan), limits.statsInFlight)) {
      const saved = await files.statMany(backups);
      for (const [index, backup] of backups.entries()) {
        const stat = saved[index];
        const file = stat?.kind === 'directory' ? await files.stat(closedBackup(backup)) : stat;
        if (file === undefined) return false;
      }
    }
  return true;
}

function* backupsOf(plan: Plan): Generator<string> {
  for (const { backup } of fileSteps(plan)) if (backup !== null) yield backup;
}

async function recordIds(files: Files, backupDirectory: string): Promise<string[]> {
  const names = await files.list(backupDirectory);
  return names
    .flatMap((name) => recordName.exec(name)?.[1] ?? [])
    .sort()
    .reverse();
}

function directoryWant(module: string, target: string, { mode, uid, gid }: DirectoryAttributes): Want {
  return { kind: 'directory', module, target, mode, owner: { uid, gid } };
}

function wantOfBackup(module: string, target: string, { path, stat }: Saved): Want {
  return {
    kind: 'file',
    module,
    target,
    source: path,
    sizeBytes: stat?.sizeBytes ?? 0,
    mode: stat?.mode,
    modeIsForced: true,
    owner: stat && { uid: stat.uid, gid: stat.gid },
    md5: undefined,
    sha256: undefined,
  };
}

async function removeTree(files: Files, path: string, known?: FileStat): Promise<void> {
  const stat = known ?? (await files.stat(path));
  if (stat === undefined) return;
  if (stat.kind !== 'directory') return files.remove(path);
  for (const names of inGroups(await files.list(path), limits.statsInFlight)) {
    const paths = names.map((name) => posix.join(path, name));
    const stats = await files.statMany(paths);
    await forEachInFlight(
      paths.entries(),
      limits.filesInFlight,
      ([index, below]) => stats[index] && removeTree(files, below, stats[index]),
    );
  }
  await files.removeDirectory(path);
}
