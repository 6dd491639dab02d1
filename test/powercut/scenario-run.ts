/** One scenario through all that the model can do to it: cuts, cuts inside recoveries, kills; as deep as asked. */
import { crashStates } from './crash-states.ts';
import { explore, type Failure, recoverOn } from './exploration.ts';
import { type PreparedScenario, prepareScenario } from './prepared-scenario.ts';
import type { Scenario } from './scenarios.ts';

export interface Depth {
  /** With up to this many unforced operations every subset is made, in the first cut and in the second. */
  readonly exhaustiveUpTo: number;
  readonly nestedExhaustiveUpTo: number;
  /** See `CutOptions`. */
  readonly eachMissingUpTo?: number;
  /** Random subsets beyond. */
  readonly samples: number;
  /** A second cut inside the recovery of every n-th state. */
  readonly nestedEvery: number;
  /** Kills at every n-th step. */
  readonly killEvery: number;
  readonly seed: number;
}

export interface ScenarioResult {
  readonly steps: number;
  readonly states: number;
  readonly nestedStates: number;
  readonly kills: number;
  readonly failures: readonly Failure[];
  readonly ms: number;
}

export async function runScenario(scenario: Scenario, depth: Depth): Promise<ScenarioResult> {
  const started = performance.now();
  const prepared = await prepareScenario(scenario);
  // What the one kind of disk can leave behind is not looked at again for the other.
  const known = new Set<string>();
  let [states, nestedStates] = [0, 0];
  const failures: Failure[] = [];
  for (const metadata of ['weak', 'ordered'] as const) {
    const cut = {
      metadata,
      exhaustiveUpTo: depth.exhaustiveUpTo,
      eachMissingUpTo: depth.eachMissingUpTo,
      samples: depth.samples,
      seed: depth.seed,
      known,
    };
    const nestedCut = {
      ...cut,
      exhaustiveUpTo: depth.nestedExhaustiveUpTo,
      samples: Math.floor(depth.samples / 8),
    };
    const found = await explore(prepared.recording, prepared.subject, {
      cut,
      nestedEvery: depth.nestedEvery,
      nestedCut,
      failuresWanted: 3,
    });
    states += found.states;
    nestedStates += found.nestedStates;
    failures.push(...found.failures);
  }
  const killed = await killEverywhere(prepared, depth.killEvery);
  return {
    steps: prepared.recording.steps.length,
    states,
    nestedStates,
    kills: killed.kills,
    failures: [...failures, ...killed.failures],
    ms: performance.now() - started,
  };
}

/** The updater alone is killed: nothing on the disk is lost, but what it had stopped is down. */
async function killEverywhere(
  prepared: PreparedScenario,
  every: number,
): Promise<{ readonly kills: number; readonly failures: readonly Failure[] }> {
  const failures: Failure[] = [];
  let kills = 0;
  const options = { metadata: 'weak', exhaustiveUpTo: 0, samples: 0, seed: 1 } as const;
  for (const cut of crashStates(prepared.recording, options)) {
    if (cut.lost().length > 0 || cut.at % every !== 0) continue;
    kills += 1;
    const { why } = await recoverOn(cut.state, cut.marks, prepared.killSubject);
    if (why !== undefined) failures.push({ why, cut: `killed after step ${cut.at}` });
  }
  return { kills, failures };
}
