/** One scenario whose file calls fail one by one, as a test. A fault that nobody awaits ends the process, and the test. */
import * as assert from 'uvu/assert';
import { type SweepDepth, sweepFaults } from './fault-sweep.ts';

export async function isWholeAfterFaults(scenario: string, depth: SweepDepth): Promise<void> {
  const result = await sweepFaults(scenario, depth);
  console.log(
    `\nmeasured: ${scenario}: ${result.faults} faults at ${result.calls} calls, ${result.fullDisks} full disks, ${result.recoveryFaults} faults in recoveries, ${result.bad.length} bad`,
  );
  assert.is(result.bad.length, 0, result.bad.slice(0, 3).join('\n'));
}
