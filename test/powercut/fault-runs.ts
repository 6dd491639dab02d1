/** One life of the daemon with a failing file call in it, the undisturbed life that follows, and what is wrong after each. */
import { UpdateError } from '../../src/errors.ts';
import { type Fault, type FileCall, faultyFiles } from './faulty-files.ts';
import { type ModelDisk, modelDisk } from './model-disk.ts';
import type { ModelState } from './model-state.ts';
import { difference, type Tree, treeOf } from './model-tree.ts';
import { marksOf, type PreparedScenario } from './prepared-scenario.ts';
import { allowedRoot, type Session, workDirectory } from './session.ts';
import { diskFault } from './verdict.ts';

/** A fault, or a disk that is full from the n-th call on (see ModelLog.fillUp). */
export type Trouble = Fault | Full;

interface Full {
  readonly kind: 'full';
  readonly at: number;
  readonly how: 'inPlace' | 'copyOnWrite';
}

/** The file calls of the scenario when nothing fails. */
export async function callsOf(prepared: PreparedScenario): Promise<readonly FileCall[]> {
  const disk = modelDisk(prepared.before);
  const watched = faultyFiles(disk.files);
  const session = await prepared.start(disk, watched.files);
  await prepared.act(session);
  await session.stop();
  return watched.calls;
}

/** The file calls of a recovery on a disk. */
export async function recoveryCallsOf(
  prepared: PreparedScenario,
  state: ModelState,
): Promise<readonly FileCall[]> {
  const disk = modelDisk(state);
  const watched = faultyFiles(disk.files);
  const session = await prepared.start(disk, watched.files);
  await session.rest();
  await session.stop();
  return watched.calls;
}

/** Runs the scenario with the fault, then a start without; the first thing that is wrong, or undefined. */
export async function performWithFault(
  prepared: PreparedScenario,
  trouble: Trouble,
): Promise<string | undefined> {
  const disk = modelDisk(prepared.before);
  const { session, refusal } = await live(prepared, disk, trouble, (alive) => prepared.act(alive));
  const wrong = wrongAtOnce(prepared, disk, session, refusal);
  return wrong ?? (await nextStart(prepared, disk, marksOf(disk)));
}

/** Recovers with the fault, then again without. */
export async function recoverWithFault(
  prepared: PreparedScenario,
  state: ModelState,
  trouble: Trouble,
  marks: readonly string[],
): Promise<string | undefined> {
  const disk = modelDisk(state);
  const { session, refusal } = await live(prepared, disk, trouble, async (alive) => {
    await alive.rest();
  });
  if (refusal !== undefined && session !== undefined) return `recovering threw ${refusal.stack}`;
  const error = session?.updater.progress().error;
  if (error?.startsWith('INTERNAL_ERROR')) return error;
  // An unreadable journal is left alone, and that is told; when it can be read again the next start goes on with it.
  const told = marksOf(disk).filter((mark) => !(isBlocked(error) && mark.endsWith(' failed')));
  return nextStart(prepared, disk, [...marks, ...told]);
}

function isBlocked(error: string | null | undefined): boolean {
  return error?.includes('nothing is touched') === true;
}

interface Life {
  /** Undefined where not even the start succeeded. */
  readonly session: Session | undefined;
  readonly refusal: Error | undefined;
}

async function live(
  prepared: PreparedScenario,
  disk: ModelDisk,
  trouble: Trouble,
  action: (session: Session) => Promise<void>,
): Promise<Life> {
  const fault: Fault = trouble.kind === 'full' ? { kind: 'none' } : trouble;
  const faulty = faultyFiles(disk.files, fault, (call) => {
    if (trouble.kind === 'full' && call.number === trouble.at) disk.fillUp(trouble.how);
  });
  let session: Session | undefined;
  let refusal: Error | undefined;
  try {
    session = await prepared.start(disk, faulty.files);
    await action(session);
  } catch (thrown) {
    refusal = thrown instanceof Error ? thrown : new Error(String(thrown));
  }
  await session?.rest();
  await session?.stop();
  return { session, refusal };
}

/** What must hold while the fault has just happened: no torn set, and nobody left in the dark. */
function wrongAtOnce(
  prepared: PreparedScenario,
  disk: ModelDisk,
  session: Session | undefined,
  refusal: Error | undefined,
): string | undefined {
  if (refusal !== undefined && session !== undefined && !(refusal instanceof UpdateError))
    return `a bug surfaced: ${refusal.stack}`;
  if (disk.openCount() > 0) return `${disk.openCount()} files left open`;
  const log = session === undefined ? '' : `\n  log: ${session.host.lines.join('\n       ')}`;
  const progress = session?.updater.progress();
  if (progress?.error?.startsWith('INTERNAL_ERROR')) return `${progress.error}${log}`;
  const tree = withoutKept(disk.state());
  const isOld = difference(prepared.oldTree, tree).length === 0;
  const isNew = difference(prepared.newTree, tree).length === 0;
  if (!isOld && !isNew) return `neither old nor new: ${difference(prepared.oldTree, tree).join('; ')}${log}`;
  const isTold = refusal !== undefined || progress?.error != null;
  if (session !== undefined && isOld && !isNew && !isTold)
    return `the set is old and nobody was told why${log}`;
  return undefined;
}

/** The targets. While the journal stands the next start has yet to tidy up: the old files' other names are no part of the set. */
function withoutKept(state: ModelState): Tree {
  const tree = treeOf(state, allowedRoot);
  if (!treeOf(state, `${workDirectory}/backups`).has(`${workDirectory}/backups/journal`)) return tree;
  return new Map([...tree].filter(([path]) => !/\/\.tope-\d{8}T\d{9}Z\.\d+\.kept$/.test(path)));
}

async function nextStart(
  prepared: PreparedScenario,
  disk: ModelDisk,
  marks: readonly string[],
): Promise<string | undefined> {
  const restarted = modelDisk(disk.state());
  const wrong = await prepared.subject(restarted, [...marks, diskFault]);
  return wrong === undefined ? undefined : `after the next start: ${wrong}`;
}
