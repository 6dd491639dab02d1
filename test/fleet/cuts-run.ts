/** One scenario of cuts.ts as a test: what was looked at is printed, a bad end fails. */
import * as assert from 'uvu/assert';
import { cutEverywhere, type Depth, type FleetScenario } from './cuts.ts';

export async function hasOneTrueEnd(scenario: FleetScenario, depth: Depth): Promise<void> {
  const started = performance.now();
  const found = await cutEverywhere(scenario, depth);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(
    `\nmeasured: ${scenario.name}: ${found.steps} steps, ${found.states} states, ${found.nestedStates} second cuts, ${found.failures.length} bad, ${seconds} s`,
  );
  const [first] = found.failures;
  assert.ok(first === undefined, `${first?.why}\n${first?.cut}`);
}
