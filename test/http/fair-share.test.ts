/** The API's share of the time, over real sockets and with a clock that the test moves: each look at it costs 1 ms. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RunningServer, startServer } from '../../src/http/server.ts';
import { limits } from '../../src/limits.ts';
import { movedClock } from '../fixtures/moved-clock.ts';
import { type RawClient, rawClient } from '../fixtures/raw-client.ts';
import { collectingLog, type ScriptedUpdater, scriptedUpdater } from '../fixtures/scripted-updater.ts';

interface Context {
  clock: ReturnType<typeof movedClock>;
  updater: ScriptedUpdater;
  server: RunningServer;
  clients: RawClient[];
}

const test = suite<Context>('share of the API');

test.before.each(async (context) => {
  context.clock = movedClock();
  context.updater = scriptedUpdater();
  const options = {
    host: '127.0.0.1',
    port: 0,
    version: '1.0.0',
    log: collectingLog(),
    clock: context.clock,
  };
  context.server = await startServer(context.updater, options);
  context.clients = [];
});

test.after.each(async ({ server, clients, clock }) => {
  for (const { socket } of clients) socket.destroy();
  const closed = server.close();
  clock.move(10_000);
  await closed;
});

const ask = 'GET /api/v1.0/progress HTTP/1.1\r\nHost: localhost\r\n\r\n';
const answers = (client: RawClient) => client.text().split('HTTP/1.1 200 OK').length - 1;

test('a client that asks now and then never waits', async (context) => {
  const client = await newClient(context);
  for (let round = 1; round <= 300; round++) {
    assert.ok(await answered(client), `request ${round}`);
    context.clock.move(1_000);
  }
});

test('one that asks without pause is not read for a while, and then again', async (context) => {
  const client = await newClient(context);
  await untilItWaits(client);
  context.clock.move(10_000);
  await client.until(() => answers(client) > 0 && isAnswered(client));
  assert.ok(await answered(client), 'what was not used meanwhile is saved');
});

test('while some wait, others are answered at once: a first request, and all of a patient client', async (context) => {
  const patient = await newClient(context);
  assert.ok(await answered(patient));
  const greedy = [await newClient(context), await newClient(context), await newClient(context)];
  for (const client of greedy) await untilItWaits(client);
  assert.ok(await answered(await newClient(context)), 'a new one');
  assert.ok(await answered(patient), 'a patient one');
});

test('all who wait are read again in turn, and none for ever left out', async (context) => {
  const greedy = await Promise.all(Array.from({ length: 8 }, () => newClient(context)));
  for (const client of greedy) await untilItWaits(client);
  context.clock.move(100_000);
  await Promise.all(greedy.map((client) => client.until(() => isAnswered(client))));
});

test('a command is carried out although the same connection asked too much before', async (context) => {
  const client = await newClient(context);
  await untilItWaits(client);
  client.send(
    'POST /api/v1.0/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
  );
  context.clock.move(10_000);
  await client.until(() => context.updater.calls.length === 1);
});

test('a client that goes away while it waits is forgotten, and the server closes', async (context) => {
  const client = await newClient(context);
  await untilItWaits(client);
  client.socket.destroy();
  const other = await newClient(context);
  assert.ok(await answered(other));
  await context.server.close();
  await other.closed();
});

const asked = new WeakMap<RawClient, number>();

async function newClient({ server, clients }: Context): Promise<RawClient> {
  const client = await rawClient(server.port ?? 0);
  clients.push(client);
  return client;
}

/** Asks once; false where no answer comes in that time. */
async function answered(client: RawClient, withinMs = 10_000): Promise<boolean> {
  asked.set(client, (asked.get(client) ?? 0) + 1);
  client.send(ask);
  return client
    .until(() => isAnswered(client), withinMs)
    .then(
      () => true,
      () => false,
    );
}

function isAnswered(client: RawClient): boolean {
  return answers(client) === asked.get(client);
}

async function untilItWaits(client: RawClient): Promise<void> {
  for (let round = 0; round < 20 * limits.apiSavedMs; round++) if (!(await answered(client, 100))) return;
  throw new Error('it was always answered at once');
}

test.run();
