/** What a start leaves for later: modules, and memory that is given back soon after the first answers, the rest only while nothing is done. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createAfterStart } from '../../src/cli/after-start.ts';
import { realClock } from '../../src/host/clock.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { limits } from '../../src/limits.ts';
import type { Progress, Stage } from '../../src/updater/state.ts';

const test = suite('after the start');
const silentLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
const [soon, rest] = [limits.collectAfterStartMs, limits.shrinkAtRestMs];

/** Runs timers and changes of stage in the order of their times: what was done to the memory. */
function done(
  changes: readonly (readonly [atMs: number, stage: Stage])[],
  modules: readonly string[] = [],
  askedAtMs: readonly number[] = [],
): string[] {
  const calls: string[] = [];
  let nowMs = 0;
  const due: { readonly atMs: number; readonly action: () => void }[] = changes.map(([atMs, stage]) => ({
    atMs,
    action: () => {
      void afterStart.listener({ stage } as Progress, true, null);
    },
  }));
  for (const atMs of askedAtMs) due.push({ atMs, action: () => afterStart.asked() });
  const clock = {
    ...realClock(),
    elapsed: () => nowMs,
    after: (ms: number, action: () => void) => {
      due.push({ atMs: nowMs + ms, action });
      return () => undefined;
    },
  };
  const memory = {
    ...freeMemory,
    collect: () => void calls.push(`collect at ${nowMs}`),
    shrink: () => void calls.push(`shrink at ${nowMs}`),
  };
  const afterStart = createAfterStart(
    { clock, memory, log: silentLog },
    modules.map((name) => async () => void calls.push(`${name} at ${nowMs}`)),
  );
  afterStart.begin();
  while (due.length > 0) {
    due.sort((a, b) => a.atMs - b.atMs);
    const next = due.shift();
    nowMs = next?.atMs ?? nowMs;
    next?.action();
  }
  return calls;
}

test('is within the first second, and when it has been at rest for a while', () => {
  assert.ok(soon < 1000);
  assert.equal(done([]), [`collect at ${soon}`, `shrink at ${rest}`]);
});

test('modules are loaded one by one, and what that leaves is collected', () => {
  assert.equal(done([], ['crypto', 'zlib']).slice(0, 3), [
    `crypto at ${soon / 3}`,
    `zlib at ${(soon * 2) / 3}`,
    `collect at ${soon}`,
  ]);
});

test('an update that runs is not disturbed, however long nothing of it changes', () => {
  const changes = [
    [1000, 'downloading'],
    [1000 + 3.5 * rest, 'success'],
  ] as const;
  assert.equal(done(changes), [`collect at ${soon}`, `shrink at ${1000 + 4.5 * rest}`]);
});

test('nor one that has just ended, though it was at rest when it was looked at before', () => {
  const changes = [
    [1000, 'downloading'],
    [3000, 'installing'],
    [rest - 10, 'success'],
  ] as const;
  assert.equal(done(changes), [`collect at ${soon}`, `shrink at ${2 * rest - 10}`]);
});

test('who asks each second gets no slower answer, and who asks without pause only puts it off', () => {
  const each = (ms: number) => Array.from({ length: (2 * limits.shrinkAtLastMs) / ms }, (_, n) => n * ms);
  assert.equal(done([], [], each(1000)), [
    `collect at ${soon}`,
    `shrink at ${rest + limits.shrinkUnaskedMs}`,
  ]);
  const lateMs = Number(done([], [], each(100)).at(-1)?.replace('shrink at ', '')) - limits.shrinkAtLastMs;
  assert.ok(lateMs >= 0 && lateMs < limits.shrinkUnaskedMs, `${lateMs} ms`);
});

test.run();
