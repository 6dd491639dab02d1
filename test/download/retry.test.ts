import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { afterFailure, networkWaitMs, retryAfterMs } from '../../src/download/retry.ts';

/** Plays failures, each with or without progress, until the chain ends; returns the waits, and 'end' if it ended. */
function play(failures: readonly boolean[]): (number | 'end')[] {
  let retries = 0;
  const waits: (number | 'end')[] = [];
  for (const progress of failures) {
    const next = afterFailure(retries, progress);
    if (next.kind === 'giveUp') return [...waits, 'end'];
    waits.push(next.ms);
    retries = next.retries;
  }
  return waits;
}

test('three retries after 1, 2 and 4 s: the fourth request is the last', () => {
  assert.equal(play([false, false, false, false]), [1000, 2000, 4000, 'end']);
});

test('three retries without progress after the last progress, too', () => {
  assert.equal(play([true, false, false, false]), [1000, 2000, 4000, 'end']);
});

test('progress starts the count again, however often', () => {
  assert.equal(
    play([false, false, true, false, false, true, true]),
    [1000, 2000, 1000, 2000, 4000, 1000, 1000],
  );
});

test('Retry-After lengthens a wait, never shortens it, and too long a rest is the end', () => {
  assert.equal(afterFailure(0, false, 7_000), { kind: 'wait', ms: 7_000, retries: 1 });
  assert.equal(afterFailure(0, false, 0), { kind: 'wait', ms: 1_000, retries: 1 });
  const far = afterFailure(0, true, 3_600_000);
  assert.is(far.kind === 'giveUp' && far.why, 'the server asks to come back in 3600 s');
});

test('the wait for a network grows to its bound, half of it by chance', () => {
  assert.equal(
    [0, 1, 2, 4, 5, 99].map((asked) => networkWaitMs(asked, 1)),
    [1000, 2000, 4000, 16_000, 20_000, 20_000],
  );
  assert.is(networkWaitMs(0, 0), 500);
  const drawn = new Set(Array.from({ length: 50 }, () => networkWaitMs(9)));
  assert.ok(drawn.size > 40, 'devices do not come back together');
  for (const ms of drawn) assert.ok(ms >= 10_000 && ms <= 20_000);
});

const now = Date.UTC(1970, 0, 1);
const cases: readonly (readonly [string, Record<string, string>, number | undefined])[] = [
  ['absent', {}, undefined],
  ['seconds', { 'retry-after': '12' }, 12_000],
  ['seconds with spaces', { 'retry-after': ' 3 ' }, 3_000],
  [
    'a date, against the server clock and not the device clock',
    { 'retry-after': 'Mon, 23 Nov 2026 10:00:09 GMT', date: 'Mon, 23 Nov 2026 10:00:00 GMT' },
    9_000,
  ],
  ['a date in the past', { 'retry-after': 'Wed, 31 Dec 1969 23:59:00 GMT' }, 0],
  ['a date without a Date header', { 'retry-after': 'Thu, 01 Jan 1970 00:00:05 GMT' }, 5_000],
  ['words', { 'retry-after': 'soon' }, undefined],
  ['empty', { 'retry-after': '' }, undefined],
];
for (const [name, headers, expected] of cases) {
  test(`Retry-After: ${name}`, () => assert.is(retryAfterMs(headers, now), expected));
}

test.run();
