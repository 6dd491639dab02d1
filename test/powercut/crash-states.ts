/**
 * Every disk that a power cut could leave behind: at each step of a recording, what was forced by fsync plus any legal
 * subset of what was not. This is POSIX and nothing more, so it also covers what no filesystem of today does.
 *
 * Invariants: an operation is durable once an fsync of its file or directory came after it; `weak` lets any subset of
 * the others through; `ordered` lets directory entries, modes and owners of one filesystem through in the order they
 * were made, as the journals of ext4 and xfs do, and an fsync that forces one of them forces all before it. No state
 * comes twice.
 */
import type { Recording, Step } from './model-log.ts';
import {
  applyOperation,
  cloneNode,
  cloneState,
  fingerprint,
  inodesOf,
  type MicroOperation,
  type ModelState,
} from './model-state.ts';
import { seededRandom } from './seeded.ts';

export interface CutOptions {
  readonly metadata: 'weak' | 'ordered';
  /** With up to this many unforced operations every subset is made, beyond it a choice (see `chooseSubsets`). */
  readonly exhaustiveUpTo: number;
  /**
   * With more than this, each one missing is looked at only where a sync comes next: the others that it would overtake are all there by then.
   * Undefined: at every step.
   */
  readonly eachMissingUpTo?: number | undefined;
  /** At a step that has more: 0 makes the few subsets next to none and to all of them, else that many random ones too. */
  readonly samples: number;
  readonly seed: number;
  /** States already looked at (`key`), left out here and added to; for runs over variants of one recording. */
  readonly known?: Set<string>;
  /** Cuts only after so many steps; for variants that differ from a known recording only there. */
  readonly window?: Window;
}

/** Both ends included. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

export interface CrashState {
  readonly state: ModelState;
  /** How many steps had been issued. */
  readonly at: number;
  /** What the outside world had seen by then. */
  readonly marks: readonly string[];
  /** Identifies the state and its marks. */
  readonly key: string;
  /** The operations issued but lost, in words. */
  lost(): readonly string[];
}

interface Change {
  readonly at: number;
  readonly operation: MicroOperation;
  readonly device: number;
  readonly what: string;
}

/** Makes the crash states of a recording, in the order of the cut. The base itself comes first. */
export function* crashStates(recording: Recording, options: CutOptions): Generator<CrashState> {
  const { steps } = recording;
  const forced = new Set<Change>();
  const changes: Change[] = [];
  const marks: string[] = [];
  const applied = new Set<string>();
  const known = options.known ?? new Set<string>();
  const random = seededRandom(options.seed);
  const window = options.window ?? { from: 0, to: steps.length };

  function* cut(at: number): Generator<CrashState> {
    if (at < window.from || at > window.to) return;
    const pending = changes.filter((change) => !forced.has(change));
    const next = steps[at];
    const isBeforeSync = next === undefined || next.kind === 'sync' || next.kind === 'syncAll';
    for (const chosen of chooseSubsets(pending.length, options, random, isBeforeSync)) {
      const kept = legal(pending, chosen, options.metadata);
      const present = changes.filter((change) => forced.has(change) || kept.has(change));
      const name = `${marks.length}:${present.map((change) => change.at).join()}`;
      if (applied.has(name)) continue;
      applied.add(name);
      const state = rebuild(recording, present);
      const key = `${fingerprint(state)} ${marks.join()}`;
      if (known.has(key)) continue;
      known.add(key);
      const lost = pending.filter((change) => !kept.has(change));
      yield { state, at, marks: [...marks], key, lost: () => lost.map((change) => change.what) };
    }
  }

  yield* cut(0);
  for (const [index, step] of steps.entries()) {
    if (step.kind === 'mark') marks.push(step.name);
    else if (step.kind === 'sync' || step.kind === 'syncAll') {
      force(changes, forced, step, options.metadata);
      continue; // Only fewer states are possible now than before it.
    } else changes.push({ at: index, device: deviceOf(recording, step.operation), ...step });
    yield* cut(index + 1);
  }
}

/** The disk with exactly these operations applied. */
function rebuild(recording: Recording, changes: readonly Change[]): ModelState {
  const state = cloneState(recording.base);
  for (const [inode, node] of recording.created) state.nodes.set(inode, cloneNode(node));
  for (const change of changes) applyOperation(state, change.operation);
  return state;
}

function force(
  changes: readonly Change[],
  forced: Set<Change>,
  sync: Extract<Step, { kind: 'sync' | 'syncAll' }>,
  metadata: CutOptions['metadata'],
): void {
  if (sync.kind === 'syncAll') {
    for (const change of changes) if (change.device === sync.device) forced.add(change);
    return;
  }
  for (const change of changes) {
    if (!inodesOf(change.operation).includes(sync.inode)) continue;
    if (sync.dataOnly && change.operation.kind !== 'size' && change.operation.kind !== 'data') continue;
    forced.add(change);
  }
  if (metadata === 'weak') return;
  // A journal commits in order: the newest entry that this fsync needs takes all older ones of its disk along.
  const needed = changes.filter(
    (change) =>
      isMetadata(change) &&
      (forced.has(change) ||
        (!sync.dataOnly && change.operation.kind === 'link' && change.operation.inode === sync.inode)),
  );
  for (const last of needed)
    for (const change of changes)
      if (isMetadata(change) && change.device === last.device && change.at <= last.at) forced.add(change);
}

function legal(
  pending: readonly Change[],
  chosen: readonly boolean[],
  metadata: CutOptions['metadata'],
): ReadonlySet<Change> {
  const stopped = new Set<number>();
  return new Set(
    pending.filter((change, index) => {
      const keep = chosen[index] === true;
      if (metadata === 'weak' || !isMetadata(change)) return keep;
      if (!keep) stopped.add(change.device);
      return !stopped.has(change.device);
    }),
  );
}

/**
 * Subsets of `count` operations, as flags. All of them for a few; else none, all, each one alone, each one missing, and
 * where samples are wanted also every prefix, each one moved past its elders (a suffix), random ones of every density.
 */
function* chooseSubsets(
  count: number,
  options: CutOptions,
  random: () => number,
  isBeforeSync: boolean,
): Generator<readonly boolean[]> {
  const flags = (keep: (index: number) => boolean) =>
    Array.from({ length: count }, (_, index) => keep(index));
  if (count <= options.exhaustiveUpTo) {
    for (let mask = 0; mask < 1 << count; mask++) yield flags((index) => ((mask >> index) & 1) === 1);
    return;
  }
  yield flags(() => false);
  yield flags(() => true);
  const isEachMissing = isBeforeSync || count <= (options.eachMissingUpTo ?? Number.POSITIVE_INFINITY);
  for (let one = 0; one < count; one++) {
    yield flags((index) => index === one);
    if (isEachMissing) yield flags((index) => index !== one);
    if (options.samples === 0) continue;
    yield flags((index) => index < one);
    yield flags((index) => index >= one);
  }
  for (let sample = 0; sample < options.samples; sample++) {
    const density = random();
    yield flags(() => random() < density);
  }
}

function isMetadata(change: Change): boolean {
  return change.operation.kind !== 'size' && change.operation.kind !== 'data';
}

/** The filesystem that an operation changes. */
export function deviceOf(recording: Recording, operation: MicroOperation): number {
  const [inode] = inodesOf(operation);
  const node = recording.base.nodes.get(inode ?? 0) ?? recording.created.get(inode ?? 0);
  if (node === undefined) throw new Error(`an operation on inode ${inode}, which never was`);
  return node.device;
}
