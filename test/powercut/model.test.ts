import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runInParallel } from './in-parallel.ts';
import type { ScenarioResult } from './scenario-run.ts';
import { scenarios } from './scenarios.ts';

const test = suite('power cuts on the model disk');
const results = await runInParallel<{ scenario: string; result: ScenarioResult }>(
  new URL('./model-share.ts', import.meta.url),
);

for (const { name } of scenarios) {
  test(`${name}: all old or all new after every cut`, () => {
    const found = results.find(({ scenario }) => scenario === name)?.result;
    assert.ok(found, 'no result');
    console.log(
      `\nmeasured: ${name}: ${found.steps} steps, ${found.states} states, ${found.nestedStates} with a second cut, ${found.kills} kills, ${found.failures.length} bad, ${(found.ms / 1000).toFixed(1)} s`,
    );
    const [first] = found.failures;
    assert.ok(first === undefined, `${first?.why}\n${first?.cut}`);
  });
}

test.run();
