/** GET /events over real sockets: what is told and when, how many may watch, and that no watcher slows anybody down. */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realClock } from '../../src/host/clock.ts';
import { createEvents, type Events } from '../../src/http/events.ts';
import { rateMeter } from '../../src/http/rate.ts';
import { type RunningServer, startServer } from '../../src/http/server.ts';
import { limits } from '../../src/limits.ts';
import type { Progress } from '../../src/updater/state.ts';
import { schemaErrors } from '../fixtures/json-schema.ts';
import { stopwatch } from '../fixtures/own-time.ts';
import { type RawClient, rawClient } from '../fixtures/raw-client.ts';
import { collectingLog, type ScriptedUpdater, scriptedUpdater } from '../fixtures/scripted-updater.ts';

interface Context {
  updater: ScriptedUpdater;
  events: Events;
  server: RunningServer;
}

const test = suite<Context>('events');
const idle: Progress = { stage: 'idle', progress: 0, message: 'nothing to do', error: null };
const facts = {
  kind: 'update',
  version: '1.5.0',
  action: null,
  module: null,
  bytes: 41_000,
  totalBytes: 100_000,
  receivedBytes: 41_000,
  retries: 0,
  waits: 0,
  reusedBytes: 0,
  requests: 0,
  download: { bytes_fetched: 20_000, bytes_reused: 21_000, requests: 3 },
} as const;
const downloading: Progress = {
  stage: 'downloading',
  progress: 41,
  message: 'downloading',
  error: null,
  facts,
};
const failed: Progress = {
  stage: 'failed',
  progress: 41,
  message: 'x',
  error: 'DISK_FULL: 1 free, 2 needed',
};

test.before.each(async (context) => {
  context.updater = scriptedUpdater();
  context.events = createEvents(realClock(), context.updater.progress);
  const options = { host: '127.0.0.1', port: 0, version: '1.0.0', log: collectingLog(), clock: realClock() };
  context.server = await startServer(context.updater, { ...options, events: context.events });
});

test.after.each(async ({ server }) => {
  await server.close();
});

test('a stream begins with the current state, whenever it is opened', async (context) => {
  context.updater.setProgress(downloading);
  const client = await watch(context);
  const text = await client.until((all) => eventsIn(all).length === 1);
  assert.match(text, /^HTTP\/1\.1 200 /);
  assert.match(text, /content-type: text\/event-stream/i);
  assert.match(text, /cache-control: no-store/i);
  assert.match(text, /retry: 2000/);
  assert.equal(eventsIn(text)[0], {
    stage: 'downloading',
    progress: 41,
    message: 'downloading',
    error: null,
    kind: 'update',
    version: '1.5.0',
    module: null,
    bytes: 41_000,
    total_bytes: 100_000,
    bytes_per_second: null,
    download: { bytes_fetched: 20_000, bytes_reused: 21_000, requests: 3 },
  });
});

test('a new stage, an error and new words are told at once, each watcher hears them in order', async (context) => {
  const clients = await Promise.all([watch(context), watch(context), watch(context)]);
  for (const client of clients) await client.until((all) => eventsIn(all).length === 1);
  const changes: Progress[] = [
    downloading,
    { ...downloading, message: 'other words' },
    { ...idle, stage: 'verifying' },
    failed,
  ];
  const ownMs = stopwatch();
  for (const [index, progress] of changes.entries()) change(context, progress, index !== 1);
  for (const client of clients) await client.until((all) => eventsIn(all).length >= 5);
  const tookMs = ownMs();
  assert.ok(tookMs < limits.eventTickMs, `${tookMs} ms`);
  for (const client of clients)
    assert.equal(
      eventsIn(client.text()).map(({ stage, message }) => `${stage} ${message}`),
      ['idle nothing to do', ...changes.map(({ stage, message }) => `${stage} ${message}`)],
    );
});

test('every event fits the published document', async (context) => {
  const response = await fetch(`http://127.0.0.1:${context.server.port}/openapi.json`);
  const document = (await response.json()) as { paths: Record<string, Record<string, Described>> };
  const schema =
    document.paths['/api/v1.0/events']?.get?.responses['200'].content['text/event-stream']?.schema;
  if (schema === undefined) throw new Error('the document does not describe events');
  const client = await watch(context);
  await client.until((all) => eventsIn(all).length === 1);
  for (const progress of [downloading, failed]) change(context, progress, true);
  const events = eventsIn(await client.until((all) => eventsIn(all).length >= 3));
  for (const event of events) assert.equal(schemaErrors(schema, event), []);
});

test('bytes are told now and then, with their rate, though no listener is called', async (context) => {
  context.updater.setProgress(downloading);
  const client = await watch(context);
  for (let bytes = 42_000; eventsIn(client.text()).length < 4; bytes += 1_000) {
    context.updater.setProgress({ ...downloading, facts: { ...facts, bytes } });
    await sleep(100);
  }
  const rate = Number(eventsIn(client.text()).at(-1)?.bytes_per_second);
  assert.ok(rate > 2_000 && rate < 20_000, `${rate} bytes a second`);
});

test('nothing is told while nothing changes', async (context) => {
  const client = await watch(context);
  await client.until((all) => eventsIn(all).length === 1);
  await sleep(3 * limits.eventTickMs);
  assert.is(eventsIn(client.text()).length, 1);
});

test('a silent stream gets a heartbeat, and lives longer than an idle connection may', async () => {
  const clock = handClock();
  const updater = scriptedUpdater();
  const events = createEvents(clock, updater.progress);
  const options = { host: '127.0.0.1', port: 0, version: '1.0.0', log: collectingLog(), clock: realClock() };
  const server = await startServer(updater, { ...options, events });
  const client = await watch({ server });
  await client.until((all) => eventsIn(all).length === 1);
  for (let ms = 0; ms < 2 * limits.eventHeartbeatMs; ms += limits.eventTickMs)
    clock.advance(limits.eventTickMs);
  const text = await client.until((all) => all.split(': heartbeat\n\n').length === 3);
  assert.is(eventsIn(text).length, 1);
  assert.ok(limits.eventHeartbeatMs * 1.5 < limits.connectionIdleMs);
  await server.close();
});

test('there are only so many streams; the next is told to come back, and may when one has gone', async (context) => {
  const clients: RawClient[] = [];
  for (let count = 0; count < limits.eventStreams; count += 1) clients.push(await watch(context));
  for (const client of clients) await client.until((all) => eventsIn(all).length === 1);
  const refused = await fetch(`http://127.0.0.1:${context.server.port}/api/v1.0/events`);
  assert.is(refused.status, 503);
  assert.is(refused.headers.get('retry-after'), '10');
  assert.is(((await refused.json()) as { code: number }).code, 503);
  clients[0]?.socket.destroy();
  while (context.events.watchers() === limits.eventStreams) await sleep(2);
  const next = await watch(context);
  await next.until((all) => eventsIn(all).length === 1);
});

test('a watcher that does not read is dropped, the others and the updater notice nothing', async (context) => {
  const slow = await watch(context);
  const quick = await watch(context);
  await slow.until((all) => eventsIn(all).length === 1);
  slow.socket.pause();
  const message = 'y'.repeat(100_000);
  let slowestMs = 0;
  for (let count = 0; count < 200 && context.events.watchers() === 2; count += 1) {
    const ownMs = stopwatch();
    change(context, { ...downloading, message: `${count} ${message}` }, true);
    slowestMs = Math.max(slowestMs, ownMs());
    await quick.until((all) => all.includes(`"${count} `));
  }
  assert.is(context.events.watchers(), 1);
  assert.ok(slowestMs < 100, `telling took ${slowestMs} ms`);
  slow.socket.destroy();
});

test('streams end when the server closes, at once and in good order', async (context) => {
  const client = await watch(context);
  await client.until((all) => eventsIn(all).length === 1);
  const ownMs = stopwatch();
  await context.server.close();
  assert.match(await client.closed(), /\r\n0\r\n\r\n$/);
  assert.ok(ownMs() < limits.serverCloseMs);
});

test('what comes behind a request for events on its connection waits for the end of the stream', async (context) => {
  const client = await rawClient(context.server.port ?? 0);
  client.send('GET /api/v1.0/events HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(3));
  await client.until((text) => text.includes('event') || text.includes('data:'));
  await sleep(50);
  assert.is(context.events.watchers(), 1);
  client.socket.destroy();
});

test('HEAD answers the headers alone; POST and other origins are refused', async (context) => {
  const url = `http://127.0.0.1:${context.server.port}/api/v1.0/events`;
  const head = await fetch(url, { method: 'HEAD' });
  assert.is(head.headers.get('content-type'), 'text/event-stream');
  assert.is((await fetch(url, { method: 'POST' })).status, 405);
  assert.is((await fetch(url, { headers: { origin: 'http://evil.example' } })).status, 403);
});

test('the rate is that of the last looks, and begins anew when the count does', () => {
  const meter = rateMeter();
  assert.is(meter.perSecond(), null);
  meter.look(1_000_000, 0);
  assert.is(meter.perSecond(), null);
  meter.look(1_500_000, 500);
  assert.is(meter.perSecond(), 1_000_000);
  for (let look = 1; look <= limits.rateTicks; look += 1)
    meter.look(1_500_000 + look * 50_000, 500 + look * 500);
  assert.is(meter.perSecond(), 100_000);
  for (let look = 1; look <= limits.rateTicks; look += 1) meter.look(1_900_000, 10_000 + look * 500);
  assert.is(meter.perSecond(), 0);
  meter.look(10, 20_000);
  assert.is(meter.perSecond(), null);
});

interface Described {
  readonly responses: {
    readonly '200': { readonly content: Record<string, { schema: Record<string, unknown> }> };
  };
}

async function watch({ server }: Pick<Context, 'server'>): Promise<RawClient> {
  const client = await rawClient(server.port ?? 0);
  client.send('GET /api/v1.0/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
  return client;
}

/** The updater changes and says so. */
function change({ updater, events }: Context, progress: Progress, urgent: boolean): void {
  updater.setProgress(progress);
  void events.listener(progress, urgent, null);
}

function eventsIn(text: string): Record<string, unknown>[] {
  return [...text.matchAll(/event: progress\ndata: (.*)\n\n/g)].map(([, json = '']) => JSON.parse(json));
}

/** A clock set by hand: timers fire when it is advanced past them. */
function handClock() {
  let nowMs = 0;
  let timers: { readonly atMs: number; readonly action: () => void }[] = [];
  return {
    elapsed: () => nowMs,
    after: (ms: number, action: () => void) => {
      const timer = { atMs: nowMs + ms, action };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    advance: (ms: number) => {
      nowMs += ms;
      const due = timers.filter(({ atMs }) => atMs <= nowMs);
      timers = timers.filter(({ atMs }) => atMs > nowMs);
      for (const { action } of due) action();
    },
  };
}

test.run();
