/** An install without its syncs must be caught by its cuts; mutants.long.test.ts drops each sync of every scenario. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runMutants } from './mutant-run.ts';
import { scenarioNamed } from './scenarios.ts';

const test = suite('broken variants of one install');

test('no fsync of a kind, no journal and a swapped order are caught by the model', async () => {
  const scenarios = [scenarioNamed('install of 3 modules in 3 directories')];
  const cut = { exhaustiveUpTo: 7, samples: 2 };
  const options = { scenarios, eachSync: false, failuresWanted: 1, cut, seed: 1, recoveries: 0 };
  const { total, survivors } = await runMutants(options, (line) => console.log(`\nmeasured: mutant ${line}`));
  assert.is(total, 6);
  assert.equal(survivors, []);
});

test.run();
