import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CrashState, crashStates } from './crash-states.ts';
import { callsOf, performWithFault, recoverWithFault, recoveryCallsOf } from './fault-runs.ts';
import { canFail, type FaultCode } from './faulty-files.ts';
import { type PreparedScenario, prepareScenario } from './prepared-scenario.ts';
import { scenarios } from './scenarios.ts';

/**
 * Every call of an install, of an undo and of recoveries fails once, in each way it can; then the whole again with a
 * disk that stays full from there on. The set must be old or new, the error told, and the next start must put in
 * order whatever is left.
 */
const test = suite('the n-th file call fails');
const codes: readonly FaultCode[] = ['ENOSPC', 'EIO', 'EACCES', 'EMFILE'];
const names = [
  'install of 3 modules in 3 directories',
  'failing health, everything put back',
  'failing health, put back across filesystems',
];

/** A fault that nobody awaits must not hide. */
const unheard: unknown[] = [];
process.on('unhandledRejection', (reason) => unheard.push(reason));

for (const name of names) {
  test(`${name}: once, at each call`, async () => {
    const prepared = await prepare(name);
    const calls = await callsOf(prepared);
    const faults = calls.flatMap((call) =>
      codes.filter((code) => canFail(call, code)).map((code) => ({ call, code })),
    );
    const bad: string[] = [];
    for (const { call, code } of faults) {
      const wrong = await performWithFault(prepared, { kind: 'fail', at: call.number, code });
      if (wrong !== undefined) bad.push(`${code} at ${call.name} ${call.path} (${call.number}): ${wrong}`);
    }
    console.log(`\nmeasured: ${name}: ${calls.length} calls, ${faults.length} faults, ${bad.length} bad`);
    assert.is(bad.length, 0, bad.slice(0, 3).join('\n'));
  });

  test(`${name}: a disk that is full from each call on`, async () => {
    const prepared = await prepare(name);
    const calls = (await callsOf(prepared)).filter((call) => canFail(call, 'ENOSPC'));
    const bad: string[] = [];
    for (const call of calls) {
      for (const how of ['inPlace', 'copyOnWrite'] as const) {
        const wrong = await performWithFault(prepared, { kind: 'full', at: call.number, how });
        if (wrong !== undefined)
          bad.push(`full (${how}) from ${call.name} ${call.path} (${call.number}): ${wrong}`);
      }
    }
    console.log(
      `\nmeasured: ${name}: full from each of ${calls.length} calls on, in place and copy on write: ${bad.length} bad`,
    );
    assert.is(bad.length, 0, bad.slice(0, 3).join('\n'));
  });

  test(`${name}: once, at each call of a recovery`, async () => {
    const prepared = await prepare(name);
    const bad: string[] = [];
    let faults = 0;
    for (const cut of cutsAlongTheWay(prepared, 8)) {
      for (const call of await recoveryCallsOf(prepared, cut.state)) {
        // One of the codes at each call, another at the next: four times fewer runs, the same calls.
        const possible = codes.filter((code) => canFail(call, code));
        const code = possible[call.number % possible.length];
        if (code === undefined) continue;
        faults += 1;
        const fault = { kind: 'fail', at: call.number, code } as const;
        const wrong = await recoverWithFault(prepared, cut.state, fault, cut.marks);
        if (wrong !== undefined) bad.push(`${code} at ${call.name} ${call.path} (${call.number}): ${wrong}`);
      }
    }
    console.log(`\nmeasured: ${name}: ${faults} faults in recoveries, ${bad.length} bad`);
    assert.is(bad.length, 0, bad.slice(0, 3).join('\n'));
  });
}

test('no fault went unheard', () => {
  assert.equal(unheard, []);
});

test.run();

function prepare(name: string): Promise<PreparedScenario> {
  const scenario = scenarios.find((each) => each.name === name);
  if (scenario === undefined) throw new Error(`no scenario ${name}`);
  return prepareScenario(scenario);
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
