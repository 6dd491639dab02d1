/** Every file call of three scenarios fails, and of recoveries on the way; nth-fault.test.ts has a part of one. */
import { suite } from 'uvu';
import { sweptScenarios } from './fault-sweep.ts';
import { isWholeAfterFaults } from './nth-fault-run.ts';

const test = suite('the n-th file call fails');

/** A part of the long run: fewer recoveries, and across filesystems one code at each call. */
const depths = {
  'install of 3 modules in 3 directories': { allKinds: true, recoveries: 3 },
  'failing health, everything put back': { allKinds: true, recoveries: 3 },
  'failing health, put back across filesystems': { allKinds: false, recoveries: 2 },
} as const;

for (const swept of sweptScenarios)
  test(`${swept}: the set is whole, the error told and no fault unheard, the daemon alive`, () =>
    isWholeAfterFaults(swept, depths[swept]));

test.run();
