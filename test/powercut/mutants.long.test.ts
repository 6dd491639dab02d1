/** Broken variants of every scenario: each must be caught by the cuts of one of them. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runMutants } from './mutant-run.ts';
import { scenarios } from './scenarios.ts';

const test = suite('broken variants of the updater');

/**
 * Of a backup that is taken again, because a program saved while it stopped: only a later rollback reads it, and no scenario
 * goes on to one.
 */
const knownSurvivors = [
  'without fsync directory backups/...bak (deploy/backup.ts <anonymous> < deploy/backup.ts saving < deploy/backup.ts syncAll)',
  'without fsync backups/...bak (deploy/clone.ts copyFile < deploy/clone.ts cloneFile < deploy/backup.ts saveOne)',
];

test('each missing fsync, the missing journal and a swapped order are caught by the model', async () => {
  const options = { scenarios, eachSync: true, failuresWanted: 1, seed: 1, recoveries: 0 };
  const { total, caught, survivors } = await runMutants(options, (line) =>
    console.log(`\nmeasured: mutant ${line}`),
  );
  console.log(`\nmeasured: ${total} mutants: ${caught} caught, ${survivors.length} not`);
  assert.equal(
    survivors.filter((mutant) => !knownSurvivors.includes(mutant)),
    [],
  );
  assert.ok(total > 30);
});

test.run();
