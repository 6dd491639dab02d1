/** Reports to device-api, against a real HTTP server that answers, refuses, hangs or is not there (spec section 3). */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realClock } from '../../src/host/clock.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Clock, Log } from '../../src/host/host.ts';
import { realNet } from '../../src/host/net.ts';
import { limits } from '../../src/limits.ts';
import { createReporter } from '../../src/report/reporter.ts';
import type { Progress, Stage } from '../../src/updater/state.ts';
import { stopwatch } from '../fixtures/own-time.ts';

const test = suite('reporter');

interface Body extends Progress {
  readonly code: number;
  readonly msg: string;
  readonly data: Progress;
}

test('a report is one object: the envelope and the same four fields flat', async () => {
  const api = await deviceApi();
  const { reporter } = setUp(api.url);
  reporter.listener(at('downloading', 0, 'begins'), true, null);
  await until(() => api.got.length === 1);
  const fields = { stage: 'downloading', progress: 0, message: 'begins', error: null };
  assert.equal(api.got[0], { code: 200, msg: 'success', data: fields, ...fields });
  await api.close();
});

test('a failed stage is reported at once with code 500 and the error as msg', async () => {
  const api = await deviceApi();
  const { reporter } = setUp(api.url);
  reporter.listener({ ...at('failed', 40), error: 'MD5_MISMATCH: expected a, got b' }, true, null);
  await until(() => api.got.length === 1);
  assert.is(api.got[0]?.code, 500);
  assert.is(api.got[0]?.msg, 'MD5_MISMATCH: expected a, got b');
  assert.is(api.got[0]?.error, 'MD5_MISMATCH: expected a, got b');
  assert.is(api.got[0]?.data.stage, 'failed');
  await api.close();
});

test('a download is reported every 5 %, and nothing between', async () => {
  const api = await deviceApi();
  const { reporter } = setUp(api.url);
  reporter.listener(at('downloading', 0), true, null);
  for (let percent = 1; percent <= 100; percent += 1) {
    reporter.listener(at('downloading', percent), false, null);
    if (percent % 5 === 0) await until(() => api.got.at(-1)?.progress === percent);
  }
  assert.equal(
    api.got.map(({ progress }) => progress),
    Array.from({ length: 21 }, (_, index) => index * 5),
  );
  await api.close();
});

test('waiting progress collapses to the newest, stage changes never do, and the order holds', async () => {
  const api = await deviceApi();
  api.hold();
  const { reporter } = setUp(api.url);
  reporter.listener(at('downloading', 0), true, null);
  for (let percent = 1; percent <= 100; percent += 1)
    reporter.listener(at('downloading', percent), false, null);
  reporter.listener(at('verifying', 0), true, null);
  reporter.listener(at('toInstall', 100), true, null);
  reporter.listener(at('installing', 0), true, null);
  reporter.listener(at('success', 100), true, null);
  await until(() => api.waiting() === 1);
  assert.is(api.got.length, 1, 'one at a time');
  api.release();
  await until(() => api.got.length === 6);
  assert.equal(
    api.got.map(({ stage, progress }) => `${stage} ${progress}`),
    ['downloading 0', 'downloading 100', 'verifying 0', 'toInstall 100', 'installing 0', 'success 100'],
  );
  await api.close();
});

test('a device-api that hangs costs 500 ms a report and the caller nothing', async () => {
  const api = await deviceApi();
  api.hold();
  const { reporter, log } = setUp(api.url);
  const started = performance.now();
  const ownMs = stopwatch();
  reporter.listener(at('downloading', 0), true, null);
  assert.ok(ownMs() < 100);
  await until(() => log.warnings.length === 1);
  const tookMs = performance.now() - started;
  assert.ok(tookMs >= limits.reportTimeoutMs - 20 && ownMs() < 5000, `${tookMs} ms`);
  api.release();
  await api.close();
});

for (const stage of ['toInstall', 'success', 'failed'] as const)
  test(`the last word ${stage} is repeated with back-off until device-api answers`, async () => {
    const api = await deviceApi();
    api.answer(503);
    const { reporter, clock, outboxPath } = setUp(api.url);
    reporter.listener(at(stage, 100), true, null);
    await until(() => api.got.length === 7);
    if (stage === 'toInstall') assert.not(existsSync(outboxPath), 'each start says it again');
    else assert.is(JSON.parse(readFileSync(outboxPath, 'utf8')).stage, stage);
    assert.equal(clock.waits.slice(0, 6), [...limits.reportRetryMs, limits.reportRetryMs.at(-1)]);
    const refused = api.got.length;
    api.answer(204);
    await until(() => api.got.length > refused && !existsSync(outboxPath));
    const count = api.got.length;
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.is(api.got.length, count);
    await api.close();
  });

test('what the listener returns resolves when an end is on the disk, not when it is answered', async () => {
  const api = await deviceApi();
  api.hold();
  const { reporter, outboxPath } = setUp(api.url);
  await reporter.listener(at('failed', 10), true, null);
  assert.is(JSON.parse(readFileSync(outboxPath, 'utf8')).stage, 'failed');
  api.release();
  await until(() => !existsSync(outboxPath));
  await api.close();
});

test('other stages get one try', async () => {
  const api = await deviceApi();
  api.answer(500);
  const { reporter, log } = setUp(api.url);
  for (const stage of ['downloading', 'verifying', 'installing', 'rebooting', 'idle'] as const)
    reporter.listener(at(stage, 0), true, null);
  await until(() => api.got.length === 5);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.is(api.got.length, 5);
  assert.is(log.warnings.length, 1, 'the log is not flooded');
  await api.close();
});

test('after a restart the last word that was never answered is sent again', async () => {
  const outboxPath = join(mkdtempSync(join(tmpdir(), 'tope-report-')), 'outbox.json');
  const nobody = await unusedPort();
  const first = setUp(`http://127.0.0.1:${nobody}/`, outboxPath);
  first.reporter.listener(at('success', 100), true, null);
  await until(() => first.log.warnings.length > 0);
  await first.reporter.stop();
  assert.ok(existsSync(outboxPath));

  const api = await deviceApi();
  const second = setUp(api.url, outboxPath);
  await second.reporter.start();
  await until(() => !existsSync(outboxPath));
  assert.equal(
    api.got.map(({ stage, code }) => `${stage} ${code}`),
    ['success 200'],
  );
  await api.close();
});

test('a newer stage takes the place of a pending last word', async () => {
  const api = await deviceApi();
  api.answer(500);
  const { reporter, outboxPath, clock } = setUp(api.url);
  clock.freeze();
  reporter.listener(at('toInstall', 100), true, null);
  await until(() => clock.waits.length === 1);
  api.answer(200);
  reporter.listener(at('installing', 0), true, null);
  await until(() => api.got.length === 2 && !existsSync(outboxPath));
  assert.equal(
    api.got.map(({ stage }) => stage),
    ['toInstall', 'installing'],
  );
  await api.close();
});

test('idle waits behind a success that was not answered, but ends a toInstall that is no longer true', async () => {
  const api = await deviceApi();
  api.answer(500);
  const { reporter, outboxPath } = setUp(api.url);
  reporter.listener(at('success', 100), true, null);
  reporter.listener(at('idle', 0), true, null);
  await until(() => api.got.length === 4);
  assert.ok(api.got.every(({ stage }) => stage === 'success'));
  api.answer(200);
  await until(() => api.got.at(-1)?.stage === 'idle');
  assert.not(existsSync(outboxPath));

  api.answer(500);
  reporter.listener(at('toInstall', 100), true, null);
  await until(() => api.got.at(-1)?.stage === 'toInstall');
  reporter.listener(at('idle', 0), true, null);
  await until(() => api.got.at(-1)?.stage === 'idle' && !existsSync(outboxPath));
  await api.close();
});

test('a damaged outbox is removed and said, and reports go on', async () => {
  const api = await deviceApi();
  const { reporter, outboxPath, log } = setUp(api.url);
  for (const content of [
    '',
    '{"stage":',
    '[]',
    '{"stage":"nonsense","code":200}',
    'x'.repeat(limits.reportBytes + 1),
  ]) {
    writeFileSync(outboxPath, content);
    await reporter.start();
  }
  assert.is(log.warnings.length, 5);
  reporter.listener(at('success', 100), true, null);
  await until(() => api.got.length === 1 && !existsSync(outboxPath));
  await api.close();
});

test('an outbox that cannot be written costs durability, not the report', async () => {
  const api = await deviceApi();
  const { reporter, log } = setUp(api.url, '/nonexistent/outbox.json');
  reporter.listener(at('success', 100), true, null);
  await until(() => api.got.length === 1);
  await until(() => log.warnings.some((line) => line.includes('ENOENT')));
  await api.close();
});

test('more stage changes than the queue holds drop the oldest, never the last word', async () => {
  const api = await deviceApi();
  api.hold();
  const { reporter } = setUp(api.url);
  for (let index = 0; index < 3 * limits.reportQueue; index += 1)
    reporter.listener(at('downloading', 0, `change ${index}`), true, null);
  reporter.listener(at('failed', 0), true, null);
  await until(() => api.waiting() === 1);
  api.release();
  await until(() => api.got.at(-1)?.stage === 'failed');
  assert.ok(api.got.length <= limits.reportQueue + 1, `${api.got.length}`);
  await api.close();
});

test('stop sends what waits, in bounded time also when device-api hangs', async () => {
  const api = await deviceApi();
  const { reporter } = setUp(api.url);
  for (const stage of ['downloading', 'verifying', 'toInstall'] as const)
    reporter.listener(at(stage, 0), true, null);
  await reporter.stop();
  assert.is(api.got.length, 3);

  api.hold();
  const other = setUp(api.url);
  for (let index = 0; index < 20; index += 1)
    other.reporter.listener(at('downloading', 0, `${index}`), true, null);
  const ownMs = stopwatch();
  await other.reporter.stop();
  const tookMs = ownMs();
  assert.ok(tookMs < limits.reportFlushMs + limits.reportTimeoutMs + 1500, `${tookMs} ms`);
  api.release();
  await api.close();
});

// ------------------------------------------------------------------------------------------------ stand-ins

function at(stage: Stage, progress: number, message = stage as string): Progress {
  return { stage, progress, message, error: null };
}

function setUp(url: string, outboxPath = join(mkdtempSync(join(tmpdir(), 'tope-report-')), 'outbox.json')) {
  const log = collectingLog();
  const clock = quickClock();
  const host = { files: realFiles(), net: realNet({ environment: {} }), clock, log };
  return { reporter: createReporter(host, { url, outboxPath }), outboxPath, log, clock };
}

/** The real clock whose waits last a hundredth, or forever when frozen. */
function quickClock(): Clock & { readonly waits: number[]; freeze(): void } {
  const clock = realClock();
  const waits: number[] = [];
  let isFrozen = false;
  return {
    ...clock,
    waits,
    freeze() {
      isFrozen = true;
    },
    after(ms, action) {
      waits.push(ms);
      if (isFrozen) return () => undefined;
      const timer = setTimeout(action, Math.min(ms / 100, 20));
      return () => clearTimeout(timer);
    },
  };
}

function collectingLog(): Log & { readonly warnings: string[] } {
  const warnings: string[] = [];
  const quiet = () => undefined;
  return {
    warnings,
    debug: quiet,
    info: quiet,
    error: quiet,
    warn: (message) => void warnings.push(message),
  };
}

/** A device-api: collects the bodies, answers with a status, or holds its answers back. */
async function deviceApi() {
  const got: Body[] = [];
  let status = 200;
  let held: (() => void)[] | undefined;
  const server: Server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    request.on('end', () => {
      assert.is(request.headers['content-type'], 'application/json');
      got.push(JSON.parse(text) as Body);
      const reply = () => response.writeHead(status).end();
      if (held === undefined) reply();
      else held.push(reply);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1.0/ota/report`,
    got,
    answer(next: number) {
      status = next;
    },
    hold() {
      held = [];
    },
    waiting: () => held?.length ?? 0,
    release() {
      for (const reply of held ?? []) reply();
      held = undefined;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function until(isTrue: () => boolean, timeoutMs = 10_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!isTrue()) {
    if (performance.now() > end) throw new Error(`still not so after ${timeoutMs} ms: ${isTrue}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test.run();
