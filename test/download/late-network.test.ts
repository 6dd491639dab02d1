/** A download that a start has taken up again waits for a network that is late; a fresh one does not. */
import { writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import type { Clock, Net } from '../../src/host/host.ts';
import { realNet } from '../../src/host/net.ts';
import type { Step } from '../network/fault-server.ts';
import { quickClock, testHost } from '../network/rig.ts';
import {
  asked,
  assertRight,
  type Context,
  resumeInfo,
  right,
  run,
  storeSuite,
} from '../network/store-suite.ts';

const test = storeSuite('late network');

/** Sleeps pass at once on the clock itself, as if time had gone by. */
function leapingClock(sleeps: number[] = []): Clock {
  const clock = quickClock();
  let sleptMs = 0;
  return {
    ...clock,
    elapsed: () => clock.elapsed() + sleptMs,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      sleeps.push(ms);
      sleptMs += ms;
    },
  };
}

/** A network whose first `count` requests fail with `code`. */
function lateNet(count: number, code: string): Net {
  const real = realNet({ environment: {} });
  let left = count;
  return {
    ...real,
    request: async (request) => {
      if (left-- > 0) throw Object.assign(new Error(`request ${code}`), { code });
      return real.request(request);
    },
  };
}

interface Late {
  readonly sleeps: number[];
  readonly waits: (string | undefined)[];
  readonly lines: readonly string[];
}

async function takenUp(context: Context, net: Net, steps: readonly Step[] = [], waitForNetworkMs = 600_000) {
  const late: Late = { sleeps: [], waits: [], lines: [] };
  const host = testHost({ net, clock: leapingClock(late.sleeps) });
  writeFileSync(context.part, right.subarray(0, 400_000));
  const onWaiting = (what: string | undefined) => void late.waits.push(what);
  const outcome = await run(context, steps, { resume: resumeInfo, waitForNetworkMs, onWaiting }, host);
  return { ...late, lines: host.lines, outcome };
}

for (const code of ['EAI_AGAIN', 'ENOTFOUND', 'ENETUNREACH', 'EHOSTUNREACH', 'ECONNREFUSED', 'ETIMEDOUT']) {
  test(`${code} for 45 s is waited out, and the download goes on where it was`, async (context) => {
    const { outcome, sleeps, waits } = await takenUp(context, lateNet(8, code));
    assertRight(outcome);
    assert.equal(asked(context), ['bytes=400000- 206']);
    assert.is(sleeps.length, 8);
    assert.ok(sleeps.reduce((sum, ms) => sum + ms) > 20_000);
    assert.equal(waits, [...Array.from({ length: 8 }, () => 'no network yet'), undefined]);
  });
}

test('a certificate that is not yet valid waits for the clock', async (context) => {
  const { outcome, waits } = await takenUp(context, lateNet(3, 'CERT_NOT_YET_VALID'));
  assertRight(outcome);
  assert.is(waits[0], `the clock is at ${new Date().getFullYear()}`);
});

const page = '<!DOCTYPE html><html><body>Please log in</body></html>';
const portals: readonly (readonly [string, Step])[] = [
  [
    'a page with its length',
    { kind: 'status', status: 200, headers: { 'content-type': 'text/html' }, body: page },
  ],
  ['a chunked page', { kind: 'page', body: page }],
  ['HTTP 511', { kind: 'status', status: 511, headers: { 'content-type': 'text/html' }, body: page }],
];
for (const [name, step] of portals) {
  test(`a login page is waited out and costs nothing: ${name}`, async (context) => {
    const { outcome, waits } = await takenUp(context, lateNet(0, ''), [step, step, step, step, step, step]);
    assertRight(outcome);
    assert.is(asked(context).at(-1), 'bytes=400000- 206');
    assert.match(waits[0] ?? '', /login page/);
    assert.is(waits.filter((what) => what !== undefined).length, 6);
  });

  test(`a fresh download tries a login page three times more, then fails: ${name}`, async (context) => {
    const outcome = await run(
      context,
      Array.from({ length: 9 }, () => step),
    );
    assert.match(outcome.error?.message ?? '', /^DOWNLOAD_FAILED: .*(page|login).*3 retries/);
    assert.is(context.server.seen.length, 4);
  });
}

test('a script that serves a package chunked and calls it text/html is no login page', async (context) => {
  const body = Buffer.from(right);
  body[0] = 0x50;
  assert.not.match((await run(context, [{ kind: 'page', body }])).error?.message ?? '', /page/);
});

test('the time without a network is bounded; then section 6 counts the tries', async (context) => {
  const { outcome, sleeps, waits } = await takenUp(context, lateNet(1_000, 'EAI_AGAIN'), [], 100_000);
  assert.match(outcome.error?.message ?? '', /^DOWNLOAD_FAILED: .*EAI_AGAIN.*3 retries in a row.*400000 of/);
  assert.equal(sleeps.slice(-3), [1000, 2000, 4000]);
  const waitedMs = sleeps.slice(0, -3).reduce((sum, ms) => sum + ms);
  assert.is(waitedMs, waitedMs <= 100_000 && waitedMs > 99_000 ? waitedMs : 100_000);
  assert.ok(waits.length > 5);
});

test('a store that answers, even with 503, ends the wait: its tries are counted', async (context) => {
  const busy: Step = { kind: 'status', status: 503 };
  const { outcome } = await takenUp(context, lateNet(2, 'EAI_AGAIN'), [busy, busy, busy, busy]);
  assert.match(outcome.error?.message ?? '', /HTTP 503; 3 retries in a row/);
});

test('a fresh download does not wait', async (context) => {
  const sleeps: number[] = [];
  const host = testHost({ net: lateNet(99, 'EAI_AGAIN'), clock: leapingClock(sleeps) });
  const outcome = await run(context, [], {}, host);
  assert.is(outcome.error?.code, 'DOWNLOAD_FAILED');
  assert.equal(sleeps, [1000, 2000, 4000]);
});

test('cancel ends the wait', async (context) => {
  const stop = new AbortController();
  const host = testHost({ net: lateNet(99, 'EAI_AGAIN') });
  const onWaiting = () => stop.abort();
  const options = { resume: resumeInfo, waitForNetworkMs: 600_000, signal: stop.signal, onWaiting };
  assert.is((await run(context, [], options, host)).error?.code, 'CANCELLED');
});

test.run();
