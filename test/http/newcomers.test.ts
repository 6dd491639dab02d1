/** Connections before their first request, over real sockets and with a clock that the test moves. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { freeMemory } from '../../src/host/memory.ts';
import { type RunningServer, startServer } from '../../src/http/server.ts';
import { limits } from '../../src/limits.ts';
import { movedClock } from '../fixtures/moved-clock.ts';
import { type RawClient, rawClient } from '../fixtures/raw-client.ts';
import { collectingLog, scriptedUpdater } from '../fixtures/scripted-updater.ts';
import { suite } from '../runner/suites.ts';

interface Context {
  clock: ReturnType<typeof movedClock>;
  server: RunningServer;
  socketPath: string;
  trims: number;
  clients: RawClient[];
}

const test = suite<Context>('newcomers');

test.before.each(async (context) => {
  context.clock = movedClock(0.1);
  context.socketPath = join(mkdtempSync(join(tmpdir(), 'newcomers-')), 'api.sock');
  context.clients = [];
  context.trims = 0;
  context.server = await startServer(scriptedUpdater(), {
    host: '127.0.0.1',
    port: 0,
    socketPath: context.socketPath,
    version: '1.0.0',
    log: collectingLog(),
    clock: context.clock,
    memory: {
      ...freeMemory,
      trim: () => {
        context.trims += 1;
      },
    },
  });
});

test.after.each(async ({ server, clients, clock, socketPath }) => {
  for (const { socket } of clients) socket.destroy();
  const closed = server.close();
  clock.move(10_000);
  await closed;
  rmSync(dirname(socketPath), { recursive: true });
});

const ask = 'GET /api/v1.0/progress HTTP/1.1\r\nHost: localhost\r\n\r\n';
const answers = (client: RawClient) => client.text().split('HTTP/1.1 200 OK').length - 1;

test('those that say nothing stay, more than may talk; each may still ask', async (context) => {
  const silent = await newClients(context, limits.connections + 20);
  assert.ok(await isAnswered(await newClient(context)));
  for (const client of silent) assert.not(client.socket.destroyed);
  assert.ok(await isAnswered(silent[0]));
});

test('one that says nothing for too long is closed', async (context) => {
  const [first, second] = await newClients(context, 2);
  assert.ok(await isAnswered(second));
  context.clock.move(limits.connectionIdleMs + 2_000);
  await first?.closed();
});

const asRoot = process.getuid?.() === 0 ? test : test.skip;
asRoot(
  "root's request goes before a crowd's: it comes from a port that nobody else may take",
  async (context) => {
    await useUpShare(context);
    const crowd = await newClients(context, 3);
    for (const client of crowd) client.send(ask);
    await pause();
    const root = await rawClient(context.server.port ?? 0, 600 + Math.floor(Math.random() * 400));
    context.clients.push(root);
    assert.ok(await isAnswered(root));
    assert.equal(crowd.map(answers), [0, 0, 0]);
  },
);

asRoot('where anybody may take any port, no port goes before others', async (context) => {
  const { clock } = context;
  const options = {
    host: '127.0.0.1',
    port: 0,
    version: '1.0.0',
    log: collectingLog(),
    clock,
    privilegedPortsEnd: 0,
  };
  const server = await startServer(scriptedUpdater(), options);
  await useUpShare({ ...context, server });
  const late = await rawClient(server.port ?? 0, 600 + Math.floor(Math.random() * 400));
  assert.not(await isAnswered(late, 300));
  late.socket.destroy();
  const closed = server.close();
  clock.move(10_000);
  await closed;
});

test('one that has left before its request was whole keeps no place', async (context) => {
  await useUpShare(context);
  const [half, whole] = await newClients(context, 2);
  half?.socket.end('G');
  whole?.socket.end(ask);
  await half?.closed();
  assert.not(whole?.socket.destroyed);
  await letTimePass(context, () => whole !== undefined && answers(whole) === 1);
});

test('one that leaves without a word is not kept half open', async (context) => {
  const client = await newClient(context);
  client.socket.end();
  await client.closed();
});

test.long('beyond their share those that speak wait, and are answered in order', async (context) => {
  await useUpShare(context);
  const waiting = await newClients(context, 3);
  for (const client of waiting) {
    client.send(ask);
    await pause();
  }
  assert.equal(waiting.map(answers), [0, 0, 0]);
  await letTimePass(context, () => answers(waiting[0] as RawClient) === 1);
  await letTimePass(context, () => answers(waiting[1] as RawClient) === 1);
  await letTimePass(context, () => answers(waiting[2] as RawClient) === 1);
});

test('a request that arrives in pieces meanwhile is whole, with those behind it', async (context) => {
  await useUpShare(context);
  const client = await newClient(context);
  for (const piece of [ask.slice(0, 10), ask.slice(10) + ask, ask]) {
    client.send(piece);
    await pause();
  }
  await letTimePass(context, () => answers(client) === 3);
});

test.long('one that sends its end behind its request is answered', async (context) => {
  await useUpShare(context);
  const client = await newClient(context);
  client.socket.end(ask);
  await pause();
  await letTimePass(context, () => answers(client) === 1);
});

test.long('one that leaves while it waits is forgotten', async (context) => {
  await useUpShare(context);
  const [gone, next] = await newClients(context, 2);
  gone?.send(ask);
  await pause();
  gone?.socket.destroy();
  next?.send(ask);
  await letTimePass(context, () => next !== undefined && answers(next) === 1);
});

test.long(
  'of those that send more than can be kept the greediest are closed, the others stay',
  async (context) => {
    await useUpShare(context);
    const [modest, ...greedy] = await newClients(context, 8);
    modest?.send(ask);
    for (const client of greedy)
      client.send(`GET / HTTP/1.1\r\nX-A: ${'a'.repeat(limits.newcomersBytes / 4)}`);
    await until(() => greedy.some(({ socket }) => socket.destroyed));
    const late = await newClient(context);
    late.send(ask);
    await letTimePass(context, () => [modest, late].every((client) => client && answers(client) === 1));
  },
);

test.long('a crowd at the port keeps nobody waiting at the unix socket', async (context) => {
  await useUpShare(context);
  const socket = connect(context.socketPath);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString();
  });
  socket.write(ask);
  await until(() => text.includes('200 OK'));
  socket.destroy();
});

test.long('a first packet of many requests is paid for by those that come next', async (context) => {
  const many = await newClient(context);
  many.send(ask.repeat(1_000));
  await many.until(() => answers(many) > 0);
  const next = await newClient(context);
  assert.not(await isAnswered(next, 300));
  await letTimePass(context, () => answers(next) === 1);
});

test.long('one broken request is answered at once, a stream of them late', async (context) => {
  const first = await sendBroken(context);
  await first.closed();
  assert.ok(first.text().startsWith('HTTP/1.1 400 '));
  let late = first;
  for (let round = 0; round < 1_000 && late.socket.destroyed; round++) {
    late = await sendBroken(context);
    await late.closed(300).catch(() => undefined);
  }
  assert.is(late.text(), '');
  await letTimePass(context, () => late.text().startsWith('HTTP/1.1 400 '));
  await late.closed();
});

test.long('what many connections leave behind is cleared away', async (context) => {
  const before = context.trims;
  const enough = Math.ceil(limits.connectionsGarbageBytes / limits.connectionBytes);
  for (let index = 0; index < enough; index++) {
    const client = await newClient(context);
    context.clock.move(1_000);
    assert.ok(await isAnswered(client));
    client.socket.destroy();
  }
  assert.is(context.trims, before + 1);
});

test('closing closes those that are silent and those that wait', async (context) => {
  const silent = await newClient(context);
  await useUpShare(context);
  const waiting = await newClient(context);
  waiting.send(ask);
  await pause();
  await context.server.close();
  await silent.closed();
  await waiting.closed();
});

async function newClient({ server, clients }: Context): Promise<RawClient> {
  const client = await rawClient(server.port ?? 0);
  clients.push(client);
  return client;
}

function newClients(context: Context, count: number): Promise<RawClient[]> {
  return Promise.all(Array.from({ length: count }, () => newClient(context)));
}

async function sendBroken(context: Context): Promise<RawClient> {
  const client = await newClient(context);
  client.send('BROKEN\r\n\r\n');
  return client;
}

/** Does the answer to one request come without any time passing but what looking at the clock takes? */
async function isAnswered(client: RawClient | undefined, withinMs = 10_000): Promise<boolean> {
  if (client === undefined) return false;
  const before = answers(client);
  client.send(ask);
  return client
    .until(() => answers(client) > before, withinMs)
    .then(
      () => true,
      () => false,
    );
}

/** New clients ask until one of them has to wait, and that one has gone. */
async function useUpShare(context: Context): Promise<void> {
  for (let round = 0; round < 2_000; round++) {
    const client = await newClient(context);
    const isLast = !(await isAnswered(client, 300));
    client.socket.destroy();
    if (!isLast) continue;
    await pause();
    return;
  }
  throw new Error('nobody ever had to wait');
}

async function letTimePass({ clock }: Context, isEnough: () => boolean): Promise<void> {
  await until(() => {
    clock.move(limits.apiTickMs);
    return isEnough();
  });
}

/** What was sent has been read by then. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

async function until(isTrue: () => boolean, timeoutMs = 10_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!isTrue()) {
    if (performance.now() > end) throw new Error(`still not so after ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test.run();
