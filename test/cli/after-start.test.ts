/** When the memory of a start is given back: soon after the first answers, and the rest only while nothing is done. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { collectAfterStart } from '../../src/cli/after-start.ts';
import { realClock } from '../../src/host/clock.ts';
import type { Clock } from '../../src/host/host.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { limits } from '../../src/limits.ts';
import type { Stage } from '../../src/updater/state.ts';

const test = suite('after the start');

/** Runs the timers of a start by hand: what was done to the memory, `stages` being what the updater is at when asked. */
function done(stages: readonly Stage[]): string[] {
  const calls: string[] = [];
  const timers: { readonly atMs: number; readonly action: () => void }[] = [];
  let nowMs = 0;
  const left = [...stages];
  const after: Clock['after'] = (ms, action) => {
    timers.push({ atMs: nowMs + ms, action });
    return () => undefined;
  };
  collectAfterStart(
    { ...realClock(), after },
    {
      ...freeMemory,
      collect: () => void calls.push(`collect at ${nowMs}`),
      shrink: () => void calls.push(`shrink at ${nowMs}`),
    },
    () => left.shift() ?? 'idle',
  );
  for (let next = timers.shift(); next !== undefined; next = timers.shift()) {
    nowMs = next.atMs;
    next.action();
  }
  return calls;
}

test('is within the first second, and when it has been at rest for a while', () => {
  const [soon, rest] = [limits.collectAfterStartMs, limits.shrinkAtRestMs];
  assert.ok(soon < 1000);
  assert.equal(done(['idle', 'idle']), [`collect at ${soon}`, `shrink at ${rest}`]);
});

test('an update that runs, or ran a moment ago, is not disturbed', () => {
  const [soon, rest] = [limits.collectAfterStartMs, limits.shrinkAtRestMs];
  const stages: Stage[] = ['idle', 'downloading', 'installing', 'success', 'success'];
  assert.equal(done(stages), [`collect at ${soon}`, `shrink at ${4 * rest}`]);
  assert.equal(done(['installing', 'idle', 'toInstall']), [`collect at ${soon}`, `shrink at ${2 * rest}`]);
});

test.run();
