import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sweepFaults, sweptScenarios } from './fault-sweep.ts';

/** A share of the long run: fewer recoveries, and across filesystems one code at each call. */
const depths = [
  { allCodes: true, recoveries: 3 },
  { allCodes: true, recoveries: 3 },
  { allCodes: false, recoveries: 2 },
];

const test = suite('the n-th file call fails');

/** A fault that nobody awaits must not hide. */
const unheard: unknown[] = [];
process.on('unhandledRejection', (reason) => unheard.push(reason));

for (const [index, name] of sweptScenarios.entries()) {
  test(`${name}: the set is whole, the error told, the daemon alive`, async () => {
    const result = await sweepFaults(name, depths[index] ?? { allCodes: true, recoveries: 3 });
    console.log(
      `\nmeasured: ${name}: ${result.faults} faults at ${result.calls} calls, ${result.fullDisks} full disks, ${result.recoveryFaults} faults in recoveries, ${result.bad.length} bad`,
    );
    assert.is(result.bad.length, 0, result.bad.slice(0, 3).join('\n'));
  });
}

test('no fault went unheard', () => {
  assert.equal(unheard, []);
});

test.run();
