import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { realClock } from '../../src/host/clock.ts';
import { limits } from '../../src/limits.ts';
import { createHolds } from '../../src/updater/hold.ts';

const never = new AbortController().signal;
const lease = { owner: 'device-api', reason: 'a print is running', ttl_s: 60 };

test('nobody holds: there is nothing to wait for', async () => {
  await createHolds(realClock()).untilFree(never, () => assert.unreachable());
});

test('an install waits until the last owner releases, and hears whom it waits for', async () => {
  const holds = createHolds(realClock());
  holds.hold(lease);
  holds.hold({ owner: 'screen', reason: 'a menu is open', ttl_s: 60 });
  const heard: string[] = [];
  const waiting = holds.untilFree(never, ({ owner }) => void heard.push(owner));
  assert.ok(holds.release('device-api'));
  assert.not(holds.release('device-api'));
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(
    holds.current().map(({ owner }) => owner),
    ['screen'],
  );
  holds.release('screen');
  await waiting;
  assert.is(heard[0], 'device-api');
  assert.is(heard.at(-1), 'screen');
});

test('a lease ends by itself, by a clock that never jumps', async () => {
  let elapsedMs = 0;
  const clock = {
    ...realClock(),
    elapsed: () => elapsedMs,
    sleep: async (ms: number) => {
      elapsedMs += ms;
    },
  };
  const holds = createHolds(clock);
  holds.hold(lease);
  await holds.untilFree(never, () => undefined);
  assert.is(elapsedMs, 60_000);
  assert.equal(holds.current(), []);
});

test('a renewed lease counts from its renewal', () => {
  let elapsedMs = 0;
  const holds = createHolds({ ...realClock(), elapsed: () => elapsedMs });
  holds.hold(lease);
  elapsedMs = 50_000;
  holds.hold({ ...lease, reason: 'still printing' });
  elapsedMs = 100_000;
  assert.equal(
    holds.current().map(({ reason }) => reason),
    ['still printing'],
  );
});

test('who waits can be stopped', async () => {
  const holds = createHolds(realClock());
  holds.hold(lease);
  const stop = new AbortController();
  const waiting = holds.untilFree(stop.signal, () => stop.abort(new Error('cancelled')));
  try {
    await waiting;
    assert.unreachable();
  } catch (thrown) {
    assert.match(thrown instanceof Error ? thrown.message : '', /cancelled/);
  }
});

test('no more than a bounded number of owners may hold', () => {
  const holds = createHolds(realClock());
  for (let index = 0; index < limits.holds; index++) holds.hold({ ...lease, owner: `owner ${index}` });
  assert.throws(() => holds.hold(lease), /OPERATION_IN_PROGRESS/);
  holds.hold({ ...lease, owner: 'owner 0' });
});

test.run();
