import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runInParallel } from './in-parallel.ts';
import type { MutantOutcome } from './mutant-run.ts';

const test = suite('broken variants of the updater');

test('each missing fsync, the missing journal and a swapped order are caught by the model', async () => {
  const shares = await runInParallel<{ lines: string[]; outcome: MutantOutcome }>(
    new URL('./mutants-share.ts', import.meta.url),
  );
  for (const { lines } of shares) for (const line of lines) console.log(`\nmeasured: mutant ${line}`);
  const sum = (key: 'total' | 'caught') => shares.reduce((all, { outcome }) => all + outcome[key], 0);
  const survivors = shares.flatMap(({ outcome }) => outcome.survivors);
  console.log(`\nmeasured: ${sum('total')} mutants: ${sum('caught')} caught, ${survivors.length} not`);
  assert.equal(survivors, []);
  assert.ok(sum('total') > 30);
});

test.run();
