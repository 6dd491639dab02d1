/** Hostile and broken HTTP over raw sockets: every reply is an envelope, no command is run that was not asked for. */

import * as assert from 'uvu/assert';
import { realClock } from '../../src/host/clock.ts';
import { type RunningServer, startServer } from '../../src/http/server.ts';
import { limits } from '../../src/limits.ts';
import { type RawClient, rawClient } from '../fixtures/raw-client.ts';
import { collectingLog, type ScriptedUpdater, scriptedUpdater } from '../fixtures/scripted-updater.ts';
import { suite } from '../runner/suites.ts';

interface Context {
  server: RunningServer;
  updater: ScriptedUpdater;
  port: number;
  clients: RawClient[];
}

const test = suite<Context>('hostile HTTP');

test.before.each(async (context) => {
  context.updater = scriptedUpdater();
  const options = { host: '127.0.0.1', port: 0, version: '1.0.0', log: collectingLog(), clock: realClock() };
  context.server = await startServer(context.updater, options);
  context.port = context.server.port ?? 0;
  context.clients = [];
});

test.after.each(async ({ server, clients }) => {
  for (const { socket } of clients) socket.destroy();
  await server.close();
});

const progress = '/api/v1.0/progress';
const get = (path: string, ...headers: string[]) =>
  `${[`GET ${path} HTTP/1.1`, 'Host: localhost', ...headers].join('\r\n')}\r\n\r\n`;
const post = (path: string, body: string, ...headers: string[]) =>
  `${[`POST ${path} HTTP/1.1`, 'Host: localhost', 'Content-Type: application/json', ...headers].join('\r\n')}\r\n\r\n${body}`;
const cancel = (body: string, ...headers: string[]) => post('/api/v1.0/cancel', body, ...headers);
const withHost = (host: string) => `GET ${progress} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

/** What is sent, and the statuses that come back, in order. */
const cases: readonly (readonly [string, string | Uint8Array, readonly number[]])[] = [
  ['a TLS hello', Buffer.from('16030100c8010000c40303', 'hex'), [400]],
  ['binary noise', Buffer.from(Array.from({ length: 512 }, (_, index) => (index * 37) % 256)), [400]],
  ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
  ['an unknown protocol version', `GET ${progress} HTTP/9.9\r\nHost: localhost\r\n\r\n`, [400]],
  ['a method that does not exist', `STEAL ${progress} HTTP/1.1\r\nHost: localhost\r\n\r\n`, [400]],
  ['a space in the path', get('/a b'), [400]],
  ['a space before the colon', get(progress, 'X-A : 1'), [400]],
  ['NUL in a header', get(progress, 'X-A: a\0b'), [400]],
  ['a bare CR in a header', get(progress, 'X-A: a\rb'), [400]],
  ['a header without a name', get(progress, ': 1'), [400]],
  ['two lengths', cancel('{}', 'Content-Length: 2', 'Content-Length: 3'), [400]],
  ['a list of lengths', cancel('{}', 'Content-Length: 2, 3'), [400]],
  ['a negative length', cancel('{}', 'Content-Length: -2'), [400]],
  ['a signed length', cancel('{}', 'Content-Length: +2'), [400]],
  ['a hexadecimal length', cancel('{}', 'Content-Length: 0x2'), [400]],
  ['a length beyond 64 bits', cancel('{}', `Content-Length: ${'9'.repeat(30)}`), [400]],
  ['length and chunks', cancel('0\r\n\r\n', 'Content-Length: 5', 'Transfer-Encoding: chunked'), [400]],
  ['an unknown transfer encoding', cancel('{}', 'Transfer-Encoding: xchunked'), [411]],
  ['chunked that is not last', cancel('{}', 'Transfer-Encoding: chunked, identity'), [400]],
  ['a chunk size that is no number', cancel('zz\r\n{}\r\n0\r\n\r\n', 'Transfer-Encoding: chunked'), [411]],
  ['a chunk longer than its size', cancel('2\r\n{}}\r\n0\r\n\r\n', 'Transfer-Encoding: chunked'), [411]],
  ['headers over 16 KiB', get(progress, `X-A: ${'a'.repeat(limits.requestHeaderBytes)}`), [431]],
  ['a path over 16 KiB', get(`/${'a'.repeat(limits.requestHeaderBytes)}`), [431]],
  [
    'many small headers',
    get(progress, ...Array.from({ length: 4000 }, (_, index) => `X-${index}: 1`)),
    [431],
  ],
  ['two Host headers', get(progress, 'Host: 127.0.0.1'), [400]],
  ['no Host header', `GET ${progress} HTTP/1.1\r\n\r\n`, [403]],
  ['no Host header in HTTP/1.0', `GET ${progress} HTTP/1.0\r\n\r\n`, [403]],
  ['a foreign host', withHost('evil.example'), [403]],
  ['a foreign host that begins as an address', withHost('127.0.0.1.evil.example'), [403]],
  ['a foreign host that begins as localhost', withHost('localhost.evil.example'), [403]],
  ['a foreign host with credentials', withHost('localhost@evil.example'), [403]],
  [
    'a foreign host in the target',
    `GET http://evil.example${progress} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    [403],
  ],
  ['a wide dot in the host', withHost('localhost\u3002evil'), [403]],
  ['a foreign origin', cancel('{}', 'Content-Length: 2', 'Origin: http://evil.example'), [403]],
  ['a null origin', cancel('{}', 'Content-Length: 2', 'Origin: null'), [403]],
  ['an origin of another port', cancel('{}', 'Content-Length: 2', 'Origin: http://localhost:9080'), [403]],
  ['a body declared over 64 KiB', cancel('', 'Content-Length: 65537'), [413]],
  ['its own origin', cancel('{}', 'Content-Length: 2', 'Origin: http://localhost'), [200]],
  ['an address as host', withHost('192.168.1.7:12315'), [200]],
  ['an IPv6 address as host', withHost('[::1]:12315'), [200]],
  ['LOCALHOST in capitals', withHost('LOCALHOST:1'), [200]],
  [
    'its own host in the target',
    `GET http://127.0.0.1${progress} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    [200],
  ],
  ['a request to upgrade', get(progress, 'Connection: Upgrade', 'Upgrade: websocket'), [200]],
  ['a GET with a body', `${get(progress, 'Content-Length: 2')}{}`, [200]],
  ['a body in chunks', cancel('2\r\n{}\r\n0\r\n\r\n', 'Transfer-Encoding: chunked'), [411]],
  ['chunks with extensions', cancel('2;a=b\r\n{}\r\n0\r\n\r\n', 'Transfer-Encoding: chunked'), [411]],
  ['chunks with trailers', cancel('0\r\nHost: evil\r\n\r\n', 'Transfer-Encoding: chunked'), [411]],
  ['a GET in chunks', `${get(progress, 'Transfer-Encoding: chunked')}0\r\n\r\n`, [411]],
  [
    'a command behind a body in chunks',
    cancel(`0\r\n\r\n${cancel('{}', 'Content-Length: 2')}`, 'Transfer-Encoding: chunked'),
    [411],
  ],
  ['a header __proto__', get(progress, '__proto__: 1'), [200]],
  ['a header constructor', get(progress, 'constructor: 1', 'hasOwnProperty: 2'), [200]],
  ['two Host headers in different cases', get(progress, 'hOST: localhost'), [400]],
  ['an expectation that is not known', cancel('{}', 'Content-Length: 2', 'Expect: more'), [200]],
  ['three requests in one packet', get(progress).repeat(3), [200, 200, 200]],
  ['a good request and a broken one', `${get('/nothing')}\0\0\0`, [404]],
];
for (const [what, bytes, expected] of cases)
  test(`${what}: ${expected.join(', ')}`, async (context) => {
    const client = await newClient(context);
    client.send(bytes);
    const text = await client.until((received) => statuses(received).length >= expected.length);
    assert.equal(statuses(text), expected);
    for (const [index, body] of envelopes(text).entries())
      assert.is(body.code, statuses(text)[index] === 200 ? 200 : expected[index]);
    if (expected[0] !== 200) assert.equal(context.updater.calls, []);
    await assertAnswers(context);
  });

test('what follows a body is a request of its own, what is in it is not', async (context) => {
  const client = await newClient(context);
  const smuggled = cancel('{}', 'Content-Length: 2');
  client.send(post('/api/v1.0/update', smuggled, `Content-Length: ${smuggled.length}`) + get(progress));
  const text = await client.until((received) => statuses(received).length === 2);
  assert.equal(
    envelopes(text).map(({ code }) => code),
    [400, 200],
  );
  assert.equal(context.updater.calls, []);
});

test('a body hidden behind a second length is never run', async (context) => {
  const client = await newClient(context);
  client.send(
    cancel(
      `0\r\n\r\n${cancel('{}', 'Content-Length: 2')}`,
      'Content-Length: 4',
      'Transfer-Encoding: chunked',
    ),
  );
  await client.closed();
  assert.equal(context.updater.calls, []);
});

test('an endless chunk extension ends with the answer, not with the time of a request', async (context) => {
  const client = await newClient(context);
  client.send(cancel('1;', 'Transfer-Encoding: chunked'));
  const flood = setInterval(() => client.send('x'.repeat(64 * 1024)), 1);
  try {
    const text = await client.closed(2_000);
    // What is still on its way makes the kernel send a reset, which may overtake the answer.
    if (text !== '') assert.equal(statuses(text), [411]);
  } finally {
    clearInterval(flood);
  }
  assert.ok(client.socket.bytesWritten < 64 * 1024 * 1024);
  assert.equal(context.updater.calls, []);
});

test('chunks behind a command are not read while its answer is owed, nor after it', async (context) => {
  const release = context.updater.stall();
  const client = await newClient(context);
  client.send(cancel('{}', 'Content-Length: 2') + cancel('1;', 'Transfer-Encoding: chunked'));
  await until(() => context.updater.calls.length === 1);
  // More than the kernel holds on both sides.
  for (let sent = 0; sent < 400; sent += 1) client.send('x'.repeat(64 * 1024));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(client.socket.writableLength > 0, 'all was read');
  release();
  // What lies unread makes the close a reset, which may take the 411 with it.
  assert.is(statuses(await client.closed())[0], 200);
  assert.equal(context.updater.calls, ['cancel']);
});

test('a broken request behind a command closes the connection after the answer that is owed', async (context) => {
  const release = context.updater.stall();
  const client = await newClient(context);
  client.send(`${cancel('{}', 'Content-Length: 2')}BROKEN\r\n\r\n`);
  await until(() => context.updater.calls.length === 1);
  client.send('MORE\r\n\r\n');
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.is(client.text(), '');
  release();
  assert.equal(statuses(await client.closed()), [200]);
  assert.equal(context.updater.calls, ['cancel']);
});

test('as many requests in one packet as may wait are answered in order; where there are more the connection ends after these', async (context) => {
  for (const count of [limits.requestsInARow, 1000]) {
    const client = await newClient(context);
    client.send(
      Array.from({ length: count }, (_, index) => get(index % 2 === 0 ? progress : '/nothing')).join(''),
    );
    const isAnswered = (received: string) => statuses(received).length === limits.requestsInARow;
    const text = await (count > limits.requestsInARow ? client.closed() : client.until(isAnswered));
    assert.ok(isAnswered(text));
    assert.ok(statuses(text).every((status, index) => status === (index % 2 === 0 ? 200 : 404)));
  }
});

test('what comes behind an answer that is owed is not read, however much it is', async (context) => {
  const release = context.updater.stall();
  const client = await newClient(context);
  client.send(cancel('{}', 'Content-Length: 2'));
  await client.until(() => context.updater.calls.length === 1);
  const body = ' '.repeat(60_000);
  for (let index = 0; index < 400; index++)
    client.send(cancel(`{}${body}`, `Content-Length: ${body.length + 2}`));
  await new Promise((resolve) => setTimeout(resolve, 300));
  const writtenBytes = client.socket.bytesWritten - client.socket.writableLength;
  assert.ok(writtenBytes < 20 * body.length || client.socket.writableLength > 0, String(writtenBytes));
  release();
  assert.is((await client.until((text) => statuses(text).length >= 3)).length > 0, true);
  client.socket.destroy();
});

test('a client that has said all, and shuts down its side, gets its answer', async (context) => {
  const release = context.updater.stall();
  const client = await newClient(context);
  client.socket.end(cancel('{}', 'Content-Length: 2'));
  await client.until(() => context.updater.calls.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  release();
  assert.equal(statuses(await client.closed()), [200]);
});

test.long('a client that never reads its answers holds up nobody', async (context) => {
  const client = await newClient(context);
  client.socket.pause();
  client.send(get(progress).repeat(20_000));
  for (let index = 0; index < 20; index += 1) await assertAnswers(context);
});

test('CONNECT is closed', async (context) => {
  const client = await newClient(context);
  client.send('CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n');
  assert.is(await client.closed(), '');
  await assertAnswers(context);
});

test('a client that leaves within its body runs nothing and harms nothing', async (context) => {
  for (const half of ['{"ver', '']) {
    const client = await newClient(context);
    client.send(cancel(half, 'Content-Length: 20'));
    await new Promise((resolve) => setTimeout(resolve, 10));
    client.socket.resetAndDestroy();
  }
  await assertAnswers(context);
  assert.equal(context.updater.calls, []);
});

test.long('idle connections beyond the bound cost the oldest, never the next client', async (context) => {
  for (let index = 0; index < limits.newcomers + 50; index += 1) await newClient(context);
  await assertAnswers(context);
  await context.clients[0]?.closed();
  assert.not(context.clients.at(-1)?.socket.destroyed);
});

test.long(
  'a crowd that comes all at once costs neither a known client nor the one that comes in its midst',
  async (context) => {
    const known = await newClient(context);
    known.send(get(progress));
    await known.until((text) => statuses(text).length === 1);
    const talker = async () => {
      const client = await newClient(context);
      client.send(`GET ${progress} HTT`);
    };
    const crowd = () => Array.from({ length: limits.connections / 2 + 50 }, talker);
    const before = crowd();
    const honest = newClient(context).then((client) => {
      client.send(get(progress));
      return client;
    });
    await Promise.all([...before, ...crowd()]);
    assert.equal(statuses(await (await honest).until((text) => statuses(text).length === 1)), [200]);
    known.send(get(progress));
    assert.equal(statuses(await known.until((text) => statuses(text).length === 2)), [200, 200]);
    const open = () => context.clients.filter(({ socket }) => !socket.destroyed).length;
    await until(() => open() <= limits.connections);
  },
);

test('requests that never end cost the oldest, never the next client', async (context) => {
  for (let index = 0; index < limits.connections + 50; index += 1) {
    const client = await newClient(context);
    client.send(index % 2 === 0 ? `GET ${progress} HTT` : cancel('{', 'Content-Length: 1000'));
  }
  await assertAnswers(context);
  await context.clients[0]?.closed();
});

test('a connection that is owed an answer gets it, whatever crowd comes', async (context) => {
  const release = context.updater.stall();
  const owed = await newClient(context);
  owed.send(cancel('{}', 'Content-Length: 2'));
  await until(() => context.updater.calls.length === 1);
  for (let index = 0; index < limits.connections + 50; index += 1) await newClient(context);
  release();
  const text = await owed.until((received) => statuses(received).length === 1);
  assert.equal(statuses(text), [200]);
});

async function newClient(context: Context): Promise<RawClient> {
  const client = await rawClient(context.port);
  context.clients.push(client);
  return client;
}

async function assertAnswers({ port }: Context): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}${progress}`, {
    signal: AbortSignal.timeout(10_000),
  });
  assert.is(response.status, 200);
  assert.is(((await response.json()) as { code: number }).code, 200);
}

function statuses(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

function envelopes(text: string): { readonly code: number; readonly msg: string }[] {
  return text
    .split(/HTTP\/1\.1 \d{3} [^\r]*\r\n/)
    .slice(1)
    .map((reply) => JSON.parse(reply.slice(reply.indexOf('\r\n\r\n') + 4)));
}

async function until(isTrue: () => boolean, timeoutMs = 10_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!isTrue()) {
    if (performance.now() > end) throw new Error(`still not so after ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test.run();
