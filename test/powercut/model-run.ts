/** One scenario cut on the model disk, as a test: what was looked at is printed, a bad state fails. */
import * as assert from 'uvu/assert';
import { type Depth, runScenario } from './scenario-run.ts';
import type { Scenario } from './scenarios.ts';

export async function isWholeAfterCuts(scenario: Scenario, depth: Depth): Promise<void> {
  const found = await runScenario(scenario, depth);
  console.log(
    `\nmeasured: ${scenario.name}: ${found.steps} steps, ${found.states} states, ${found.nestedStates} with a second cut, ${found.kills} kills, ${found.failures.length} bad, ${(found.ms / 1000).toFixed(1)} s`,
  );
  const [first] = found.failures;
  assert.ok(first === undefined, `${first?.why}\n${first?.cut}`);
}
