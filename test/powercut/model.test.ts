import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runScenario } from './scenario-run.ts';
import { scenarios } from './scenarios.ts';

/**
 * A share of what the long run looks at: fewer subsets beyond, second cuts and kills. Everything that is exhaustive
 * there (up to 7 unforced operations) is exhaustive here.
 */
const shortRun = {
  exhaustiveUpTo: 7,
  nestedExhaustiveUpTo: 2,
  samples: 0,
  nestedEvery: 150,
  killEvery: 3,
  seed: 1,
};

const test = suite('power cuts on the model disk');

for (const scenario of scenarios) {
  test(`${scenario.name}: all old or all new after every cut`, async () => {
    const found = await runScenario(scenario, shortRun);
    console.log(
      `\nmeasured: ${scenario.name}: ${found.steps} steps, ${found.states} states, ${found.nestedStates} with a second cut, ${found.kills} kills, ${found.failures.length} bad, ${(found.ms / 1000).toFixed(1)} s`,
    );
    const [first] = found.failures;
    assert.ok(first === undefined, `${first?.why}\n${first?.cut}`);
  });
}

test.run();
