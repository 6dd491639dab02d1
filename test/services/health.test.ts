/** Health checks against real servers and programs on loopback. */
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { HealthCheck, ServiceSpec } from '../../src/release.ts';
import { checkHealth } from '../../src/services/health.ts';
import { eventually, fixtures, freePort, withDevice } from './device.ts';
import { rejects } from './outcome.ts';

const test = suite('services/health');

function spec(module: string, health: HealthCheck | undefined): ServiceSpec {
  return {
    module,
    health,
    processName: undefined,
    restartOrder: undefined,
    unit: undefined,
    start: undefined,
  };
}

const httpFixture = (port: number, refusals: number) => [
  process.execPath,
  join(fixtures, 'child-http.mjs'),
  String(port),
  String(refusals),
];

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

test('http: polled until it answers 2xx, through refused connections and 503s', () =>
  withDevice(async (device) => {
    const { host } = device;
    const port = await freePort();
    const env = { PATH: process.env.PATH ?? '' };
    const { pid } = await host.processes.start({ argv: httpFixture(port, 2), cwd: '/', env });
    try {
      const health = { kind: 'http', url: `http://127.0.0.1:${port}/health`, timeoutMs: 15_000 } as const;
      await checkHealth(host, [spec('api', health), spec('unchecked', undefined)]);
      assert.match(device.logged.join(), /api is healthy/);
    } finally {
      host.processes.signal(pid, 'SIGKILL');
    }
  }));

test('http: the last failure is in the error', () =>
  withDevice(async ({ host }) => {
    const port = await freePort();
    const env = { PATH: process.env.PATH ?? '' };
    const url = `http://127.0.0.1:${port}/health`;
    const check = spec('api', { kind: 'http', url, timeoutMs: 400 });
    await rejects(checkHealth(host, [check]), 'HEALTH_CHECK_FAILED', ['api', url, '400 ms', 'ECONNREFUSED']);
    const { pid } = await host.processes.start({ argv: httpFixture(port, 1_000_000), cwd: '/', env });
    try {
      await eventually('it listens', () =>
        host.net.connect('127.0.0.1', port, 500).then(
          () => true,
          () => false,
        ),
      );
      await rejects(checkHealth(host, [check]), 'HEALTH_CHECK_FAILED', ['HTTP status 503']);
    } finally {
      host.processes.signal(pid, 'SIGKILL');
    }
  }));

test('http: a server that never answers does not hold the check longer than its time', () =>
  withDevice(async ({ host }) => {
    const server = createServer();
    const port = await listening(server);
    try {
      const health = { kind: 'http', url: `http://127.0.0.1:${port}/`, timeoutMs: 500 } as const;
      await rejects(checkHealth(host, [spec('mute', health)]), 'HEALTH_CHECK_FAILED', ['mute', 'no answer']);
    } finally {
      server.close();
    }
  }));

test('tcp: healthy as soon as somebody listens', () =>
  withDevice(async ({ host }) => {
    const port = await freePort();
    const check = spec('broker', { kind: 'tcp', port, timeoutMs: 400 });
    await rejects(checkHealth(host, [check]), 'HEALTH_CHECK_FAILED', [`tcp port ${port}`, 'ECONNREFUSED']);
    const server = createServer((socket) => socket.destroy());
    server.listen(port, '127.0.0.1');
    try {
      await checkHealth(host, [spec('broker', { kind: 'tcp', port, timeoutMs: 5_000 })]);
    } finally {
      server.close();
    }
  }));

test('exec: healthy when it exits 0; else its status and words are in the error', () =>
  withDevice(async ({ host, directory }) => {
    const ready = join(directory, 'ready');
    const waits = spec('voice', { kind: 'exec', argv: ['test', '-e', ready], timeoutMs: 5_000 });
    const waiting = checkHealth(host, [waits]);
    setTimeout(() => writeFileSync(ready, ''), 300);
    await waiting;
    assert.ok(existsSync(ready));
    const argv = ['sh', '-c', 'echo no sound card >&2; exit 9'];
    const fails = spec('voice', { kind: 'exec', argv, timeoutMs: 100 });
    await rejects(checkHealth(host, [fails]), 'HEALTH_CHECK_FAILED', ['exit status 9', 'no sound card']);
    const missing = spec('voice', { kind: 'exec', argv: ['/nonexistent/check'], timeoutMs: 100 });
    await rejects(checkHealth(host, [missing]), 'HEALTH_CHECK_FAILED', ['ENOENT']);
    const hangs = spec('voice', { kind: 'exec', argv: ['sleep', '60'], timeoutMs: 300 });
    await rejects(checkHealth(host, [hangs]), 'HEALTH_CHECK_FAILED', ['did not end within']);
  }));

test('one failure decides: the other checks are not waited for', () =>
  withDevice(async ({ host }) => {
    const port = await freePort();
    const slow = spec('slow', { kind: 'tcp', port, timeoutMs: 60_000 });
    const quick = spec('quick', { kind: 'exec', argv: ['false'], timeoutMs: 100 });
    await rejects(checkHealth(host, [slow, quick]), 'HEALTH_CHECK_FAILED', ['quick']);
  }));

test('an abort ends the checks with its reason', () =>
  withDevice(async ({ host }) => {
    const stop = new AbortController();
    const reason = new Error('shutting down');
    const check = spec('slow', { kind: 'tcp', port: await freePort(), timeoutMs: 60_000 });
    const checking = checkHealth(host, [check], stop.signal);
    setTimeout(() => stop.abort(reason), 100);
    const thrown = await checking.catch((error: unknown) => error);
    assert.is(thrown, reason);
  }));

test.run();
