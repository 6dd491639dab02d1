/** Every file call of one install fails, in one way; nth-fault.long.test.ts has more ways, undos, and the faults of recoveries. */
import { suite } from 'uvu';
import { isWholeAfterFaults } from './nth-fault-run.ts';

const test = suite('the n-th file call of one install fails');
const swept = 'install of 3 modules in 3 directories';

test(`${swept}: the set is whole, the error told and no fault unheard, the daemon alive`, () =>
  isWholeAfterFaults(swept, { allKinds: false, recoveries: 0 }));

test.run();
