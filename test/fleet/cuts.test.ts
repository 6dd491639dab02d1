/** After a power cut, and after a lost answer, the fleet's server hears exactly one end, and it is true. A part; the rest: cuts.long.test.ts. */
import { suite } from 'uvu';
import { fleetScenarios } from './cuts.ts';
import { hasOneTrueEnd } from './cuts-run.ts';

const test = suite('power cuts under an order of a fleet');
const some = ['forced', 'failing health', 'cancelled while installing', 'answer 2 lost'];

for (const scenario of fleetScenarios.filter(({ name }) => some.includes(name)))
  test(`${scenario.name}: one end, and it is true`, () =>
    hasOneTrueEnd(scenario, { exhaustiveUpTo: 1, every: 16, nestedEvery: 0 }));

test.run();
