/**
 * Takes the power away at every step of a recording, lets the product recover on each disk that could be left, and
 * judges what it made of it; then does the same to the recovery itself.
 *
 * The product is whatever the `Subject` runs; nothing here knows what an update is.
 */
import { type CrashState, type CutOptions, crashStates } from './crash-states.ts';
import { type ModelDisk, modelDisk } from './model-disk.ts';
import type { Recording } from './model-log.ts';
import type { ModelState } from './model-state.ts';

/**
 * Restarts the product on a disk, waits until it rests and says what is wrong then, given what the world had been told
 * before the cut; undefined: nothing. A rejection is a failure of the product too.
 */
export type Subject = (disk: ModelDisk, marks: readonly string[]) => Promise<string | undefined>;

export interface ExplorationOptions {
  readonly cut: CutOptions;
  /** Cuts inside the recovery of every n-th state too; 0: none. */
  readonly nestedEvery: number;
  readonly nestedCut: CutOptions;
  /** Stops after this many failures; a mutant is caught by one, a count is more telling. */
  readonly failuresWanted?: number;
  /** Stops after this many states of the first cut. */
  readonly statesAtMost?: number;
  /** Hears of each state that was looked at, and what its recovery did. */
  readonly onRecovered?: (cut: CrashState, recovery: Recording) => void;
}

export interface Failure {
  readonly why: string;
  /** The way to the state: where the power went, and what was lost. */
  readonly cut: string;
}

export interface Exploration {
  readonly states: number;
  readonly nestedStates: number;
  readonly failures: readonly Failure[];
}

export async function explore(
  recording: Recording,
  subject: Subject,
  options: ExplorationOptions,
): Promise<Exploration> {
  const failures: Failure[] = [];
  let states = 0;
  let nestedStates = 0;
  const wanted = options.failuresWanted ?? Number.POSITIVE_INFINITY;
  // Cuts into two recoveries often leave the same disk: it is looked at once for the same promises.
  const knownNested = new Map<string, Set<string>>();

  for (const cut of crashStates(recording, options.cut)) {
    if (failures.length >= wanted || states >= (options.statesAtMost ?? Number.POSITIVE_INFINITY)) break;
    states += 1;
    const outcome = await recoverOn(cut.state, cut.marks, subject);
    const where = describeCut(recording, cut);
    if (outcome.why !== undefined) failures.push({ why: outcome.why, cut: where });
    options.onRecovered?.(cut, outcome.recovery);
    if (options.nestedEvery === 0 || states % options.nestedEvery !== 0) continue;
    const promises = cut.marks.join();
    const known = knownNested.get(promises) ?? new Set();
    knownNested.set(promises, known);
    for (const second of crashStates(outcome.recovery, { ...options.nestedCut, known })) {
      if (failures.length >= wanted) break;
      nestedStates += 1;
      const marks = [...cut.marks, ...second.marks];
      const { why } = await recoverOn(second.state, marks, subject);
      if (why !== undefined)
        failures.push({ why, cut: `${where}\nthen ${describeCut(outcome.recovery, second)}` });
    }
  }
  return { states, nestedStates, failures };
}

/** Recovers on one disk (which stays as it is) and judges the result. `siteOf`: see modelDisk. */
export async function recoverOn(
  state: ModelState,
  marks: readonly string[],
  subject: Subject,
  siteOf?: () => string,
): Promise<{ readonly why: string | undefined; readonly recovery: Recording }> {
  const disk = modelDisk(state, siteOf);
  try {
    return { why: await subject(disk, marks), recovery: disk.recording() };
  } catch (thrown) {
    const why = `recovery threw ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : thrown}`;
    return { why, recovery: disk.recording() };
  }
}

function describeCut(recording: Recording, cut: CrashState): string {
  const last = recording.steps[cut.at - 1];
  const after =
    last === undefined ? 'before anything' : last.kind === 'mark' ? `mark ${last.name}` : last.what;
  const lost = cut.lost();
  return `cut at ${cut.at} of ${recording.steps.length}, after ${after}; lost: ${lost.length === 0 ? 'nothing' : `\n    ${lost.join('\n    ')}`}`;
}
