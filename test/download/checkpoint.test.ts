import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkpoints } from '../../src/download/checkpoint.ts';
import { noValidators } from '../../src/download/resume.ts';
import type { Clock } from '../../src/host/host.ts';
import { pacer } from '../../src/host/pace.ts';

/** A clock set by hand; sleeping moves it. */
function handClock(): Clock & { ms: number; slept: number[] } {
  const clock = {
    ms: 0,
    slept: [] as number[],
    now: () => clock.ms,
    elapsed: () => clock.ms,
    boot: () => ({ id: 'boot', ms: clock.ms }),
    sleep: async (ms: number) => {
      clock.slept.push(Math.round(ms));
      clock.ms += ms;
    },
    after: () => () => undefined,
  };
  return clock;
}

const at = (bytes: number) => ({ bytes_downloaded: bytes, ...noValidators });
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('saved every 5 %, and every 5 s however slow it is', async () => {
  const clock = handClock();
  const saved: number[] = [];
  const points = checkpoints(clock, 1000, async (info) => void saved.push(info.bytes_downloaded));
  const passes = [
    [0, 49],
    [1, 50],
    [2, 99],
    [3, 100],
    [5_002, 101],
    [5_003, 102],
    [10_003, 102],
  ] as const;
  for (const [ms, bytes] of passes) {
    clock.ms = ms;
    points.pass(at(bytes));
    await settled();
  }
  assert.equal(saved, [50, 100, 102, 102]);
});

test('one save at a time: a slow disk does not pile them up', async () => {
  const clock = handClock();
  let release: () => void = () => undefined;
  let begun = 0;
  const points = checkpoints(clock, 100, () => {
    begun++;
    return new Promise((resolve) => {
      release = resolve;
    });
  });
  for (let bytes = 10; bytes < 90; bytes += 10) points.pass(at(bytes));
  assert.is(begun, 1);
  release();
  await settled();
  points.pass(at(90));
  assert.is(begun, 2);
  release();
});

test('a failed save is raised at the next occasion', async () => {
  const points = checkpoints(handClock(), 100, async () => {
    throw Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' });
  });
  points.pass(at(50));
  await settled();
  assert.throws(() => points.pass(at(60)), /^DISK_FULL: save the state of the download: ENOSPC/);
  await points.save(at(70)).then(
    () => assert.unreachable(),
    (thrown: unknown) => assert.match(String(thrown), /DISK_FULL/),
  );
});

test('a bandwidth limit is kept over many small pieces, and a stall is not made up for', async () => {
  const clock = handClock();
  const pace = pacer(clock, 1_000_000, new AbortController().signal);
  for (let piece = 0; piece < 100; piece++) await pace(10_000);
  assert.ok(Math.abs(clock.ms - 1000) <= 60, `1 MB at 1 MB/s took ${clock.ms} ms`);
  clock.ms += 60_000;
  const before = clock.ms;
  for (let piece = 0; piece < 100; piece++) await pace(10_000);
  assert.ok(clock.ms - before >= 900, `a burst after the stall: ${clock.ms - before} ms`);
});

test('no limit, no wait', () => {
  assert.is(pacer(handClock(), undefined, new AbortController().signal)(1e9), undefined);
});

test.run();
