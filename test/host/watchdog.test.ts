import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { realClock } from '../../src/host/clock.ts';
import { StuckError, type Watched, watched } from '../../src/host/watchdog.ts';

const never = new Promise<never>(() => undefined);

function watch<T>(work: (trial: Watched) => Promise<T>, signal = new AbortController().signal): Promise<T> {
  const keepAlive = setTimeout(() => undefined, 5_000);
  const part = () => 'the part';
  return watched(realClock(), { boundMs: 60, part, signal }, work).finally(() => clearTimeout(keepAlive));
}

test('work that ends is heard, whatever its end', async () => {
  assert.is(await watch(async () => 5), 5);
  const fails = watch(async () => {
    throw new RangeError('its own');
  });
  assert.is(await fails.catch((thrown: Error) => thrown.message), 'its own');
});

test('work that stops going on is told, by its part, and its signal aborted', async () => {
  let signal: AbortSignal | undefined;
  const thrown = await watch(async (trial) => {
    signal = trial.signal;
    return never;
  }).catch((error: Error) => error);
  assert.instance(thrown, StuckError);
  assert.is((thrown as Error).message, 'the part does not go on: nothing was processed for 0.06 s');
  assert.ok(signal?.aborted);
});

test('signs of life and rests on purpose keep it going', async () => {
  const result = await watch(async ({ alive, resting }) => {
    for (let n = 0; n < 5; n++) {
      await sleep(25);
      alive();
    }
    await resting(sleep(150));
    return 'done';
  });
  assert.is(result, 'done');
});

test('the outer signal reaches the work', async () => {
  const reason = new Error('cancelled');
  const thrown = await watch(async ({ signal }) => {
    signal.throwIfAborted();
  }, AbortSignal.abort(reason)).catch((error: unknown) => error);
  assert.is(thrown, reason);
});

test.run();
