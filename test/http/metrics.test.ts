/** GET /metrics and /healthz: the text format, what is counted and timed, and who may read it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { UpdateError } from '../../src/errors.ts';
import type { HistoryEntry } from '../../src/history.ts';
import { realClock } from '../../src/host/clock.ts';
import { processFacts } from '../../src/host/process-facts.ts';
import { createMetrics, type Metrics } from '../../src/http/metrics.ts';
import { startServer } from '../../src/http/server.ts';
import { noFleet } from '../../src/updater/fleet-state.ts';
import type { Progress, Stage } from '../../src/updater/state.ts';
import { collectingLog, type ScriptedUpdater, scriptedUpdater } from '../fixtures/scripted-updater.ts';

interface Context {
  updater: ScriptedUpdater;
  metrics: Metrics;
  /** Moves the clock on. */
  wait(ms: number): void;
}

const test = suite<Context>('metrics');
const facts = {
  kind: 'update',
  version: '1.5.0',
  action: null,
  module: null,
  bytes: 0,
  totalBytes: 0,
  download: null,
} as const;

test.before.each((context) => {
  let nowMs = 0;
  context.updater = scriptedUpdater();
  context.wait = (ms) => {
    nowMs += ms;
  };
  context.metrics = createMetrics({
    version: '9.8.7',
    clock: { elapsed: () => nowMs },
    updater: () => context.updater,
    processFacts,
    watchers: () => 2,
    fleet: () => undefined,
  });
});

test('every line is a comment or a sample of the metric announced above it', async ({ metrics }) => {
  const text = await metrics.text();
  assert.ok(text.endsWith('\n'));
  let announced = '';
  const seen = new Set<string>();
  for (const line of text.trimEnd().split('\n')) {
    const [, name = '', kind] = /^# (?:HELP (\S+) .+|TYPE \S+ (gauge|counter|summary))$/.exec(line) ?? [];
    if (name !== '') announced = name;
    if (name !== '' || kind !== undefined) continue;
    const sample = /^([a-z_]+?)(_sum|_count)?(\{([a-z]+="(?:[^"\\\n]|\\.)*",?)+\})? (-?[\d.e+-]+)$/.exec(
      line,
    );
    assert.ok(sample, line);
    assert.is(sample?.[1], announced, line);
    assert.not(seen.has(line.replace(/ \S+$/, '')), line);
    seen.add(line.replace(/ \S+$/, ''));
  }
});

test('phases are timed, each from its beginning to its end', async (context) => {
  const way: readonly (readonly [Stage, number])[] = [
    ['downloading', 12_000],
    ['verifying', 500],
    ['toInstall', 60_000],
    ['installing', 3_000],
    ['success', 60_000],
    ['idle', 1_000],
    ['downloading', 2_000],
    ['idle', 1_000],
  ];
  for (const [stage, ms] of way) {
    enter(context, stage);
    context.wait(ms);
  }
  assert.is(await value(context, 'tope_updater_phase_duration_seconds_sum{phase="downloading"}'), 14);
  assert.is(await value(context, 'tope_updater_phase_duration_seconds_count{phase="downloading"}'), 2);
  assert.is(await value(context, 'tope_updater_phase_duration_seconds_sum{phase="verifying"}'), 0.5);
  assert.is(await value(context, 'tope_updater_phase_duration_seconds_sum{phase="installing"}'), 3);
  assert.is(await value(context, 'tope_updater_phase_duration_seconds_count{phase="rebooting"}'), 0);
  assert.not.match(await context.metrics.text(), /phase="toInstall"/);
});

test('outcomes are counted by kind and error code', async (context) => {
  enter(context, 'success');
  enter(context, 'failed', new UpdateError('MD5_MISMATCH', 'a expected, b found'));
  enter(context, 'failed', new UpdateError('MD5_MISMATCH', 'c expected, d found'));
  enter(context, 'failed', new UpdateError('DISK_FULL', 'full'), 'rollback');
  const outcome = (labels: string) => value(context, `tope_updater_outcomes_total{${labels}}`);
  assert.is(await outcome('kind="update",outcome="success",error=""'), 1);
  assert.is(await outcome('kind="update",outcome="failed",error="MD5_MISMATCH"'), 2);
  assert.is(await outcome('kind="rollback",outcome="failed",error="DISK_FULL"'), 1);
});

test('bytes, retries, stage, last success and the process are read when they are asked for', async (context) => {
  context.updater.setProgress({
    ...progressIn('installing'),
    progress: 37,
    facts: { ...facts, receivedBytes: 123_456, reusedBytes: 7, requests: 4, retries: 3, waits: 2 },
  });
  context.updater.setHistory([
    entry('1.6.0', 'failed', '2025-12-01T00:00:00.000Z'),
    entry('1.5.0', 'success', '2025-11-27T10:00:00.500Z'),
  ]);
  assert.is(await value(context, 'tope_updater_received_bytes_total'), 123_456);
  assert.is(await value(context, 'tope_updater_download_retries_total'), 3);
  assert.is(await value(context, 'tope_updater_stage{stage="installing"}'), 1);
  assert.is(await value(context, 'tope_updater_stage{stage="idle"}'), 0);
  assert.is(await value(context, 'tope_updater_progress_percent'), 37);
  assert.is(await value(context, 'tope_updater_event_streams'), 2);
  assert.is(await value(context, 'tope_updater_info{version="9.8.7",installed="1.5.0"}'), 1);
  assert.is(
    await value(context, 'tope_updater_last_success_timestamp_seconds'),
    Date.UTC(2025, 10, 27, 10, 0, 0, 500) / 1000,
  );
  const residentBytes = await value(context, 'process_resident_memory_bytes');
  assert.ok(residentBytes > 10e6 && residentBytes < 2e9, `${residentBytes} bytes`);
  assert.ok(Math.abs((await value(context, 'process_start_time_seconds')) - Date.now() / 1000) < 600);
});

test('a device of a fleet counts its polls, and tells whether its server knows how the last order ended', async (context) => {
  assert.not((await context.metrics.text()).includes('fleet'));
  const state = {
    ...noFleet,
    polls: { answered: 12, failed: 3 },
    last_contact_at: '2026-11-29T18:00:00.000Z',
    owed: { id: '7', finished: 'success' },
  };
  const text = await createMetrics({
    version: '9.8.7',
    clock: { elapsed: () => 0 },
    updater: () => context.updater,
    processFacts,
    watchers: () => 0,
    fleet: () => ({ state: () => state }),
  }).text();
  for (const line of [
    'tope_updater_fleet_polls_total{outcome="answered"} 12',
    'tope_updater_fleet_polls_total{outcome="failed"} 3',
    `tope_updater_fleet_last_contact_timestamp_seconds ${Date.parse(state.last_contact_at) / 1000}`,
    'tope_updater_fleet_owed 1',
  ])
    assert.ok(text.split('\n').includes(line), line);
});

test('a device that never installed anything has succeeded at 0, and labels are escaped', async (context) => {
  assert.is(await value(context, 'tope_updater_last_success_timestamp_seconds'), 0);
  const odd = createMetrics({
    version: 'a"b\\c\nd',
    clock: { elapsed: () => 0 },
    updater: () => context.updater,
    processFacts,
    watchers: () => 0,
    fleet: () => undefined,
  });
  assert.ok((await odd.text()).includes('version="a\\"b\\\\c\\nd"'));
});

test('over HTTP: content type, token for metrics, none for health', async ({ updater, metrics }) => {
  const server = await startServer(updater, {
    host: '127.0.0.1',
    port: 0,
    version: '9.8.7',
    log: collectingLog(),
    clock: realClock(),
    token: 'secret',
    metrics: metrics.text,
  });
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${server.port}${path}`, { headers });
  assert.is((await get('/metrics')).status, 401);
  const response = await get('/metrics', { authorization: 'Bearer secret' });
  assert.is(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  assert.match(await response.text(), /^# HELP tope_updater_info /);
  const health = (await (await get('/healthz')).json()) as { code: number; data: Record<string, unknown> };
  assert.is(health.code, 200);
  assert.is(health.data.status, 'ok');
  assert.is(health.data.version, '9.8.7');
  assert.is(health.data.stage, 'idle');
  await server.close();
});

function enter(
  { metrics }: Context,
  stage: Stage,
  error: UpdateError | null = null,
  kind: 'update' | 'rollback' = 'update',
): void {
  const progress = {
    ...progressIn(stage),
    facts: { ...facts, kind, receivedBytes: 0, reusedBytes: 0, requests: 0, retries: 0, waits: 0 },
  };
  void metrics.listener(progress, true, error);
}

function progressIn(stage: Stage): Progress {
  return { stage, progress: 0, message: '', error: null };
}

function entry(version: string, outcome: HistoryEntry['outcome'], endedAt: string): HistoryEntry {
  return {
    id: endedAt,
    kind: 'update',
    version,
    previous_version: null,
    started_at: endedAt,
    ended_at: endedAt,
    outcome,
    error: outcome === 'success' ? null : 'DISK_FULL: full',
    bytes: 0,
    modules: [],
  };
}

/** The number of one sample; NaN when it is not there. */
async function value({ metrics }: Context, sample: string): Promise<number> {
  const line = (await metrics.text()).split('\n').find((one) => one.startsWith(`${sample} `));
  return Number(line?.slice(sample.length + 1) ?? Number.NaN);
}

test.run();
