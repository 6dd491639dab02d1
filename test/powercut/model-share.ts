/** One process's share of the scenarios, cut on the model disk; see in-parallel.ts. */
import { runScenario } from './scenario-run.ts';
import { scenarios } from './scenarios.ts';
import { shareOf } from './share-of.ts';

/**
 * A part of what the long run looks at: fewer subsets beyond, second cuts and kills. Everything that is exhaustive there
 * (up to 7 unforced operations) is exhaustive here.
 */
const shortRun = {
  exhaustiveUpTo: 7,
  nestedExhaustiveUpTo: 2,
  samples: 0,
  nestedEvery: 150,
  killEvery: 3,
  seed: 1,
};

void (async () => {
  for (const scenario of shareOf(scenarios)) {
    const result = await runScenario(scenario, shortRun);
    console.log(JSON.stringify({ scenario: scenario.name, result }));
  }
})();
