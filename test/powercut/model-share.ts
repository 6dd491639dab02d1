/** What the long suite cuts on the model disk: every scenario, in two files that run side by side. */
import { suite, type Test } from 'uvu';
import { isWholeAfterCuts } from './model-run.ts';
import { type Scenario, scenarios } from './scenarios.ts';

/**
 * A part of what `make torture` looks at: every subset of up to 4 unforced operations, few kills, nothing at random. Second cuts
 * cost as much as a scenario itself: they are in the plain undo alone.
 */
const depthOf = ({ name }: Scenario) => ({
  exhaustiveUpTo: 4,
  nestedExhaustiveUpTo: 1,
  samples: 0,
  nestedEvery: name === 'failing health, everything put back' ? 700 : noSecondCut,
  killEvery: 9,
  seed: 1,
});

/** More than there are states of a scenario. */
const noSecondCut = 1_000_000;

/** Every second scenario as a test, from the first or from the second on. */
export function share(first: 0 | 1): Test {
  const test = suite(`power cuts on the model disk, share ${first + 1} of 2`);
  for (const scenario of scenarios.filter((_, index) => index % 2 === first))
    test(`${scenario.name}: all old or all new after every cut`, () =>
      isWholeAfterCuts(scenario, depthOf(scenario)));
  return test;
}
