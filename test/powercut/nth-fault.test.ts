import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type SweepResult, sweptScenarios } from './fault-sweep.ts';
import { runInParallel } from './in-parallel.ts';

const test = suite('the n-th file call fails');
const results = await runInParallel<{ name: string; result: SweepResult }>(
  new URL('./nth-fault-share.ts', import.meta.url),
);

for (const swept of sweptScenarios) {
  test(`${swept}: the set is whole, the error told and no fault unheard, the daemon alive`, () => {
    const result = results.find(({ name }) => name === swept)?.result;
    assert.ok(result, 'no result');
    console.log(
      `\nmeasured: ${swept}: ${result.faults} faults at ${result.calls} calls, ${result.fullDisks} full disks, ${result.recoveryFaults} faults in recoveries, ${result.bad.length} bad`,
    );
    assert.is(result.bad.length, 0, result.bad.slice(0, 3).join('\n'));
  });
}

test.run();
