import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { crashStates } from './crash-states.ts';
import { explore, recoverOn } from './exploration.ts';
import { prepareScenario } from './prepared-scenario.ts';
import { scenarios } from './scenarios.ts';

/**
 * A share of what the long run looks at: fewer random subsets, a second cut in every 60th recovery. Everything that is
 * exhaustive there (up to 7 unforced operations) is exhaustive here.
 */
const shortRun = { exhaustiveUpTo: 7, samples: 2, nestedEvery: 60 };

const test = suite('power cuts on the model disk');

for (const scenario of scenarios) {
  test(`${scenario.name}: all old or all new after every cut`, async () => {
    const prepared = await prepareScenario(scenario);
    for (const metadata of ['weak', 'ordered'] as const) {
      const started = performance.now();
      const cut = { metadata, exhaustiveUpTo: shortRun.exhaustiveUpTo, samples: shortRun.samples, seed: 1 };
      const found = await explore(prepared.recording, prepared.subject, {
        cut,
        nestedEvery: shortRun.nestedEvery,
        nestedCut: { ...cut, exhaustiveUpTo: 2, samples: 0 },
        failuresWanted: 3,
      });
      const ms = performance.now() - started;
      console.log(
        `\nmeasured: ${metadata} ${scenario.name}: ${prepared.recording.steps.length} steps, ${found.states} states, ${found.nestedStates} with a second cut, ${found.failures.length} bad, ${(ms / 1000).toFixed(1)} s`,
      );
      const [first] = found.failures;
      assert.ok(first === undefined, `${first?.why}\n${first?.cut}`);
    }
  });
}

for (const scenario of scenarios) {
  test(`${scenario.name}: the updater killed at every step`, async () => {
    const prepared = await prepareScenario(scenario);
    const options = { metadata: 'weak', exhaustiveUpTo: 0, samples: 0, seed: 1 } as const;
    for (const cut of crashStates(prepared.recording, options)) {
      if (cut.lost().length > 0) continue;
      const { why } = await recoverOn(cut.state, cut.marks, prepared.killSubject);
      assert.ok(why === undefined, `killed after step ${cut.at}: ${why}`);
    }
  });
}

test.run();
