import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runMutants } from './mutant-run.ts';

const test = suite('broken variants of the updater');

test('each missing fsync, the missing journal and a swapped order are caught by the model', async () => {
  const lines: string[] = [];
  const outcome = await runMutants({ failuresWanted: 1, seed: 1, recoveries: 0, tryKnown: false }, (line) =>
    lines.push(line),
  );
  for (const line of lines) console.log(`\nmeasured: mutant ${line}`);
  console.log(
    `\nmeasured: ${outcome.total} mutants: ${outcome.caught} caught, ${outcome.known} known as harmless, ${outcome.survivors.length} neither`,
  );
  assert.equal(outcome.survivors, []);
});

test.run();
