/** The server's sockets: a port or a path that is taken, modes, the token, and how it closes. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, statSync, watch, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realClock } from '../../src/host/clock.ts';
import { listenGuarded } from '../../src/host/unix-socket.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../src/http/server.ts';
import { limits } from '../../src/limits.ts';
import { stopwatch } from '../fixtures/own-time.ts';
import { rawClient } from '../fixtures/raw-client.ts';
import { collectingLog, scriptedUpdater } from '../fixtures/scripted-updater.ts';

const test = suite('server');
const progress = '/api/v1.0/progress';
const running: RunningServer[] = [];

test.after.each(async () => {
  for (const server of running.splice(0)) await server.close();
});

test('a port that is taken is an error that names it, and the one who has it goes on', async () => {
  const first = await start({});
  const error = await failure(start({ port: first.port }));
  assert.ok(error.message.includes(`port ${first.port} of 127.0.0.1 is taken`), error.message);
  assert.is(await status(first, progress), 200);
});

test('an address that is not ours is an error that names it', async () => {
  const error = await failure(start({ host: '192.0.2.1' }));
  assert.match(error.message, /cannot listen on port 0 of 192\.0\.2\.1: .*EADDRNOTAVAIL/);
});

test('a unix socket has mode 0660, answers, and is gone after the end; without a port there is no TCP', async () => {
  const socketPath = join(scratch(), 'updater.sock');
  const server = await start({ port: undefined, socketPath });
  assert.is(server.port, undefined);
  assert.is(statSync(socketPath).mode & 0o777, 0o660);
  assert.is(await statusOverSocket(socketPath), 200);
  await stop(server);
  assert.not(existsSync(socketPath));
});

test('a unix socket has its mode from its first moment, where the umask is 0', async () => {
  const path = join(scratch(), 'updater.sock');
  const before = process.umask(0);
  const listener = createServer();
  try {
    listenGuarded(() => listener.listen({ path }));
    assert.is(statSync(path).mode & 0o777, 0o660);
    assert.is(process.umask(), 0, 'files made later have the mode that is asked for');
  } finally {
    process.umask(before);
    listener.close();
  }
});

test('nothing changes the mode of a unix socket by its name, which may be another file by then', async () => {
  const directory = scratch();
  const changes: string[] = [];
  const watcher = watch(directory, (kind) => changes.push(kind));
  const before = process.umask(0);
  try {
    await start({ port: undefined, socketPath: join(directory, 'updater.sock') });
    await new Promise((resolve) => setTimeout(resolve, 20));
  } finally {
    process.umask(before);
    watcher.close();
  }
  assert.equal(changes, ['rename']);
});

test('a port and a unix socket can be had together', async () => {
  const socketPath = join(scratch(), 'updater.sock');
  const server = await start({ socketPath });
  assert.is(await status(server, progress), 200);
  assert.is(await statusOverSocket(socketPath), 200);
});

test('a socket left by a killed daemon is replaced, one in use is not, nothing else is removed', async () => {
  const directory = scratch();
  const stale = join(directory, 'stale.sock');
  // Closing the descriptor without the name being removed is what a kill leaves.
  await leaveStaleSocket(stale);
  assert.ok(existsSync(stale));
  await start({ port: undefined, socketPath: stale });
  assert.is(await statusOverSocket(stale), 200);

  const taken = await failure(start({ port: undefined, socketPath: stale }));
  assert.ok(taken.message.includes(`${stale} is taken`), taken.message);
  assert.is(await statusOverSocket(stale), 200);

  const file = join(directory, 'file');
  writeFileSync(file, 'precious');
  const noSocket = await failure(start({ port: undefined, socketPath: file }));
  assert.ok(noSocket.message.includes('is no socket'), noSocket.message);
  assert.is(readFileSync(file, 'utf8'), 'precious');
});

test('when the socket cannot be had, the port is given back', async () => {
  const file = join(scratch(), 'file');
  writeFileSync(file, '');
  const port = await freePort();
  await failure(start({ port, socketPath: file }));
  await start({ port });
});

test('with a token every request must carry it', async () => {
  const server = await start({ token: 'correct-horse' });
  const given: readonly (readonly [string | undefined, number])[] = [
    [undefined, 401],
    ['', 401],
    ['Bearer', 401],
    ['Bearer wrong', 401],
    ['Bearer correct-hors', 401],
    ['Bearer correct-horse2', 401],
    ['Basic correct-horse', 401],
    ['Bearer correct-horse correct-horse', 401],
    ['Bearer correct-horse', 200],
    ['bearer  correct-horse', 200],
  ];
  for (const path of [progress, '/openapi.json'])
    for (const [authorization, expected] of given)
      assert.is(
        await status(server, path, authorization === undefined ? {} : { authorization }),
        expected,
        authorization,
      );
  const response = await fetch(`http://127.0.0.1:${server.port}${progress}`);
  assert.is(response.headers.get('www-authenticate'), 'Bearer');
  assert.is(((await response.json()) as { code: number }).code, 401);
});

test('the token is in no log line and no reply', async () => {
  const log = collectingLog();
  const server = await start({ token: 'correct-horse', log });
  const response = await fetch(`http://127.0.0.1:${server.port}${progress}`, {
    headers: { authorization: 'Bearer guess' },
  });
  assert.not.match(await response.text(), /correct-horse|guess/);
  assert.not.match(log.lines.join('\n'), /correct-horse|guess/);
});

test('loopback names may be named in Host, other names not', async () => {
  const server = await start({ host: 'localhost' });
  for (const [host, expected] of [
    ['localhost', 200],
    ['printer.localhost', 200],
    ['printer.local', 403],
  ] as const) {
    const client = await rawClient(server.port ?? 0).catch(() => undefined);
    // localhost may be ::1 alone on this machine.
    if (client === undefined) return;
    client.send(`GET ${progress} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    assert.match(await client.closed(), new RegExp(`^HTTP/1.1 ${expected} `));
  }
});

test('closing lets the request in progress end, and drops idle connections at once', async () => {
  const updater = scriptedUpdater();
  const release = updater.stall();
  const server = await start({ updater });
  const idle = await rawClient(server.port ?? 0);
  const busy = fetch(`http://127.0.0.1:${server.port}/api/v1.0/cancel`, { method: 'POST' });
  while (updater.calls.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  const closing = stop(server);
  await idle.closed();
  release();
  assert.is((await busy).status, 200);
  await closing;
});

test('closing is bounded when a request never ends', async () => {
  const updater = scriptedUpdater();
  const release = updater.stall();
  const server = await start({ updater });
  const busy = fetch(`http://127.0.0.1:${server.port}/api/v1.0/cancel`, { method: 'POST' }).catch(
    () => undefined,
  );
  while (updater.calls.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  const ownMs = stopwatch();
  await stop(server);
  assert.ok(ownMs() < limits.serverCloseMs + 3_000);
  release();
  assert.is(await busy, undefined);
});

test('GET /progress is answered while a command is being worked on', async () => {
  const updater = scriptedUpdater();
  const release = updater.stall();
  const server = await start({ updater });
  const busy = fetch(`http://127.0.0.1:${server.port}/api/v1.0/cancel`, { method: 'POST' });
  for (let index = 0; index < 50; index += 1) assert.is(await status(server, progress), 200);
  release();
  assert.is((await busy).status, 200);
});

interface Given extends Partial<ServerOptions> {
  readonly updater?: ReturnType<typeof scriptedUpdater>;
}

async function start({ updater = scriptedUpdater(), ...given }: Given): Promise<RunningServer> {
  const options = {
    host: '127.0.0.1',
    port: 0,
    version: '1.0.0',
    log: collectingLog(),
    clock: realClock(),
    ...given,
  };
  const server = await startServer(updater, options);
  running.push(server);
  return server;
}

async function stop(server: RunningServer): Promise<void> {
  running.splice(running.indexOf(server), 1);
  await server.close();
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.instance(thrown, Error);
  return thrown as Error;
}

async function status(
  server: RunningServer,
  path: string,
  headers: Record<string, string> = {},
): Promise<number> {
  const url = `http://127.0.0.1:${server.port}${path}`;
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(10_000) });
  await response.arrayBuffer();
  return response.status;
}

function statusOverSocket(socketPath: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      socketPath,
      path: progress,
      headers: { host: 'localhost' },
      timeout: 10_000,
    });
    request.on('response', (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', reject);
    request.end();
  });
}

async function leaveStaleSocket(path: string): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await new Promise((resolve) => spawn(process.execPath, ['-e', script]).on('close', resolve));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function scratch(): string {
  return mkdtempSync(join(tmpdir(), 'tope-server-'));
}

test.run();
