/** How many actions run at a time, and how their errors are heard. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../../src/errors.ts';
import { breather } from '../../src/host/breathing.ts';
import { elapsedMs } from '../../src/host/clock.ts';
import { forEachInFlight, inFlight } from '../../src/host/in-flight.ts';
import { limits } from '../../src/limits.ts';

const test = suite('in flight');

async function failure(action: Promise<unknown>): Promise<string | undefined> {
  return action.then(
    () => undefined,
    (thrown: unknown) => errno(thrown),
  );
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

function fault(code: string): Error {
  return Object.assign(new Error(code), { code });
}

test('no more run at a time than asked for, and the first error is heard', async () => {
  const flight = inFlight(2);
  let [now, most] = [0, 0];
  const action = async () => {
    most = Math.max(most, ++now);
    await turn();
    now -= 1;
  };
  for (let i = 0; i < 6; i++) await flight.add(action);
  await flight.idle();
  assert.is(most, 2);
  await flight.add(async () => {
    throw fault('EIO');
  });
  assert.is(await failure(flight.idle()), 'EIO');
  assert.is(await failure(flight.add(action)), 'EIO');
});

test('each item is begun in order, no more at a time than asked for', async () => {
  const begun: number[] = [];
  let [now, most] = [0, 0];
  await forEachInFlight([1, 2, 3, 4, 5], 3, async (item) => {
    begun.push(item);
    most = Math.max(most, ++now);
    for (let i = 0; i < item; i++) await turn();
    now -= 1;
  });
  assert.equal(begun, [1, 2, 3, 4, 5]);
  assert.is(most, 3);
});

test('after the first error nothing is begun, and what runs has ended when it is heard', async () => {
  const begun: number[] = [];
  let now = 0;
  const all = forEachInFlight([1, 2, 3, 4, 5], 2, async (item) => {
    begun.push(item);
    now += 1;
    for (let i = 0; i < item; i++) await turn();
    now -= 1;
    if (item === 1) throw fault('EIO');
  });
  assert.is(await failure(all), 'EIO');
  assert.equal([begun, now], [[1, 2], 0]);
});

test('the event loop turns between items that only compute', async () => {
  let turns = 0;
  let isOver = false;
  const count = () => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  await forEachInFlight([1, 2, 3, 4], 2, () => {
    const until = elapsedMs() + limits.breathMs;
    while (elapsedMs() < until);
    return undefined;
  });
  isOver = true;
  assert.ok(turns >= 2, `${turns} turns`);
});

test('those that share a breather wait for one turn of the event loop together', async () => {
  const breathe = breather();
  const until = elapsedMs() + limits.breathMs;
  while (elapsedMs() < until);
  const first = breathe();
  assert.ok(first !== undefined && first === breathe());
  await first;
  const next = breathe();
  assert.ok(next === undefined || next !== first);
});

test.run();
