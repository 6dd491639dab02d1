/** Broken variants of every scenario: each must be caught by the cuts of one of them. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { shareCut } from './model-share.ts';
import { runMutants } from './mutant-run.ts';
import { scenarios } from './scenarios.ts';

const test = suite('broken variants of the updater');

test('each missing fsync, the missing journal and a swapped order are caught by the model', async () => {
  const options = { scenarios, eachSync: true, failuresWanted: 1, cut: shareCut, seed: 1, recoveries: 0 };
  const { total, caught, survivors } = await runMutants(options, (line) =>
    console.log(`\nmeasured: mutant ${line}`),
  );
  console.log(`\nmeasured: ${total} mutants: ${caught} caught, ${survivors.length} not`);
  assert.equal(survivors, []);
  assert.ok(total > 30);
});

test.run();
