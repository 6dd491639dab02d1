import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { atEachTenth, createProgress } from '../../src/updater/progress.ts';

test('what is due at each tenth of the work comes ten times, not with each percent, and anew in the next stage', async () => {
  const seen: number[] = [];
  const progress = createProgress([atEachTenth(() => seen.push(progress.current().progress))]);
  await progress.enter('downloading', null);
  for (let percent = 0; percent <= 100; percent += 0.5) progress.advance(percent);
  assert.equal(seen, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
  await progress.enter('installing', null);
  for (let percent = 0; percent <= 25; percent += 7) progress.advance(percent);
  assert.equal(seen.slice(11), [0, 14, 21]);
});

test.run();
