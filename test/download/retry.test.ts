import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { afterFailure, noTries, retryAfterMs } from '../../src/download/retry.ts';

/** Plays failures, each with or without progress, until the chain ends; returns the waits, and 'end' if it ended. */
function play(failures: readonly boolean[]): (number | 'end')[] {
  let tries = noTries;
  const waits: (number | 'end')[] = [];
  for (const progress of failures) {
    const next = afterFailure(tries, progress, undefined);
    if (next.kind === 'giveUp') return [...waits, 'end'];
    waits.push(next.ms);
    tries = next.tries;
  }
  return waits;
}

test('three tries without progress in a row are the end', () => {
  assert.equal(play([false, false, false]), [1000, 2000, 'end']);
});

test('waits grow 1, 2, 4 s after the last progress', () => {
  assert.equal(play([true, false, false, false]), [1000, 2000, 4000, 'end']);
});

test('progress starts both counts again, however often', () => {
  assert.equal(
    play([false, false, true, false, false, true, true]),
    [1000, 2000, 1000, 2000, 4000, 1000, 1000],
  );
});

test('Retry-After lengthens a wait, never shortens it, and too long a rest is the end', () => {
  assert.equal(afterFailure(noTries, false, 7_000), {
    kind: 'wait',
    ms: 7_000,
    tries: { failed: 1, waited: 1 },
  });
  assert.equal(afterFailure(noTries, false, 0), { kind: 'wait', ms: 1_000, tries: { failed: 1, waited: 1 } });
  const far = afterFailure(noTries, true, 3_600_000);
  assert.is(far.kind === 'giveUp' && far.why, 'the server asks to come back in 3600 s');
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
