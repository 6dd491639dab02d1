/** Every scenario cut on the model disk; model.test.ts has some of them, and few cuts inside recoveries. */
import { suite } from 'uvu';
import { isWholeAfterCuts } from './model-run.ts';
import { scenarios } from './scenarios.ts';

const test = suite('power cuts on the model disk');

/**
 * A part of what the long run looks at: fewer subsets beyond, second cuts and kills. Everything that is exhaustive there
 * (up to 7 unforced operations) is exhaustive here.
 */
const depth = {
  exhaustiveUpTo: 7,
  nestedExhaustiveUpTo: 1,
  samples: 0,
  nestedEvery: 500,
  killEvery: 9,
  seed: 1,
};

for (const scenario of scenarios)
  test(`${scenario.name}: all old or all new after every cut`, () => isWholeAfterCuts(scenario, depth));

test.run();
