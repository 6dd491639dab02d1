/**
 * Every file call of a scenario fails once, in each way it can; then the disk stays full from each call on; then every
 * call of recoveries along the way fails once. After each: is the set whole, was the error told, does the next start put
 * in order what is left?
 */
import { type CrashState, crashStates } from './crash-states.ts';
import { callsOf, performWithFault, recoverWithFault, recoveryCallsOf } from './fault-runs.ts';
import { canFail, type FaultCode, type FileCall } from './faulty-files.ts';
import { type PreparedScenario, prepareScenario } from './prepared-scenario.ts';
import { scenarioNamed } from './scenarios.ts';

/** An install, an undo, an undo whose backups lie on another filesystem. */
export const sweptScenarios = [
  'install of 3 modules in 3 directories',
  'failing health, everything put back',
  'failing health, put back across filesystems',
] as const;

export interface SweepDepth {
  /** Each code, and each kind of full disk, at each call; else one of them at each call, another at the next. */
  readonly allKinds: boolean;
  /** Recoveries, spread evenly over the scenario, whose calls fail. */
  readonly recoveries: number;
}

export interface SweepResult {
  readonly calls: number;
  readonly faults: number;
  readonly fullDisks: number;
  readonly recoveryFaults: number;
  readonly bad: readonly string[];
}

const codes: readonly FaultCode[] = ['ENOSPC', 'EIO', 'EACCES', 'EMFILE'];
const waysToBeFull = ['inPlace', 'copyOnWrite'] as const;

export async function sweepFaults(name: string, depth: SweepDepth): Promise<SweepResult> {
  const prepared = await prepareScenario(scenarioNamed(name));
  const calls = await callsOf(prepared);
  const bad: string[] = [];
  const note = (what: string, call: FileCall, wrong: string | undefined) => {
    if (wrong !== undefined) bad.push(`${what} at ${call.name} ${call.path} (${call.number}): ${wrong}`);
  };

  let [faults, fullDisks, recoveryFaults] = [0, 0, 0];
  for (const call of calls) {
    for (const code of depth.allKinds ? possibleCodes(call) : oneCode(call)) {
      faults += 1;
      note(code, call, await performWithFault(prepared, { kind: 'fail', at: call.number, code }));
    }
    if (!canFail(call, 'ENOSPC')) continue;
    for (const how of depth.allKinds ? waysToBeFull : waysToBeFull.slice(call.number % 2).slice(0, 1)) {
      fullDisks += 1;
      note(`full (${how})`, call, await performWithFault(prepared, { kind: 'full', at: call.number, how }));
    }
  }
  for (const cut of cutsAlongTheWay(prepared, depth.recoveries)) {
    for (const call of await recoveryCallsOf(prepared, cut.state)) {
      for (const code of oneCode(call)) {
        recoveryFaults += 1;
        const fault = { kind: 'fail', at: call.number, code } as const;
        note(`recovery: ${code}`, call, await recoverWithFault(prepared, cut.state, fault, cut.marks));
      }
    }
  }
  return { calls: calls.length, faults, fullDisks, recoveryFaults, bad };
}

function possibleCodes(call: FileCall): FaultCode[] {
  return codes.filter((code) => canFail(call, code));
}

function oneCode(call: FileCall): FaultCode[] {
  const possible = possibleCodes(call);
  return possible.slice(call.number % possible.length).slice(0, 1);
}

/** Crash states with nothing lost, evenly spread: one for each phase of the transaction and more. */
function cutsAlongTheWay(prepared: PreparedScenario, count: number): CrashState[] {
  const options = { metadata: 'weak', exhaustiveUpTo: 0, samples: 0, seed: 1 } as const;
  const whole = [...crashStates(prepared.recording, options)].filter((cut) => cut.lost().length === 0);
  return Array.from(
    { length: count },
    (_, index) => whole[Math.floor(((index + 0.5) * whole.length) / count)],
  ).filter((cut) => cut !== undefined);
}
