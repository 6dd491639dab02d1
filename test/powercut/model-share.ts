/** What the long suite cuts on the model disk: every scenario, in two files that run side by side. */
import { suite, type Test } from 'uvu';
import { isWholeAfterCuts } from './model-run.ts';
import { type Scenario, scenarios } from './scenarios.ts';

/**
 * Which of the disks that a cut leaves the long suite looks at: every subset of up to 3 unforced operations; of more each one alone, and
 * each one missing (of many only before a sync, when most is there that it would overtake). All broken variants are caught by these, too.
 */
export const shareCut = { exhaustiveUpTo: 3, eachMissingUpTo: 8, samples: 0 } as const;

/**
 * A part of what `make torture` looks at: few kills, nothing at random. Second cuts cost as much as a scenario itself: they are in the
 * plain undo alone.
 */
const depthOf = ({ name }: Scenario) => ({
  ...shareCut,
  nestedExhaustiveUpTo: 1,
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
