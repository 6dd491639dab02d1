/** The same as cuts.test.ts at every step, and again inside the recoveries. */
import { suite } from 'uvu';
import { fleetScenarios } from './cuts.ts';
import { hasOneTrueEnd } from './cuts-run.ts';

const test = suite('power cuts under an order of a fleet, all');

for (const scenario of fleetScenarios)
  test(`${scenario.name}: one end, and it is true`, () =>
    hasOneTrueEnd(scenario, { exhaustiveUpTo: 3, every: 1, nestedEvery: 400 }));

test.run();
