/**
 * GET /metrics in the text format of Prometheus 0.0.4: HELP, TYPE and a line `name{label="value"} number` for each set of
 * labels. Counters begin at 0 with each start; the last success is from the history.
 */
import type { Clock } from '../host/host.ts';
import type { ProcessFacts } from '../host/process-facts.ts';
import type { FleetControl, FleetState } from '../updater/fleet-state.ts';
import { type ProgressListener, type Stage, stages, type Updater } from '../updater/state.ts';

export interface MetricsSources {
  readonly version: string;
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly updater: () => Pick<Updater, 'progress' | 'history' | 'auditState'>;
  readonly processFacts: () => ProcessFacts;
  readonly watchers: () => number;
  /** Undefined: the device belongs to no fleet. */
  readonly fleet: () => Pick<FleetControl, 'state'> | undefined;
}

export interface Metrics {
  /** Hears of the stages, to time and to count them. */
  readonly listener: ProgressListener;
  text(): Promise<string>;
}

/** The stages in which work is done; in the others it rests. */
const phases = ['downloading', 'verifying', 'installing', 'rebooting'] as const satisfies readonly Stage[];

export function createMetrics(sources: MetricsSources): Metrics {
  const seconds = new Map<Stage, number>(phases.map((phase) => [phase, 0]));
  const times = new Map<Stage, number>(phases.map((phase) => [phase, 0]));
  const outcomes = new Map<string, number>();
  let stage: Stage = 'idle';
  let sinceMs = sources.clock.elapsed();

  const leave = (left: Stage) => {
    const nowMs = sources.clock.elapsed();
    if (seconds.has(left)) {
      seconds.set(left, (seconds.get(left) ?? 0) + (nowMs - sinceMs) / 1000);
      times.set(left, (times.get(left) ?? 0) + 1);
    }
    sinceMs = nowMs;
  };
  return {
    listener: (progress, urgent, error) => {
      if (!urgent) return;
      if (progress.stage !== stage) leave(stage);
      stage = progress.stage;
      if (stage !== 'success' && stage !== 'failed') return;
      const labels = { kind: progress.facts?.kind ?? 'update', outcome: stage, error: error?.code ?? '' };
      const key = labelText(labels);
      outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
    },
    async text() {
      const { stage: current, progress, facts } = sources.updater().progress();
      const history = await sources.updater().history();
      const lastSuccess = history.find(({ outcome }) => outcome === 'success');
      const { report } = sources.updater().auditState();
      const { residentBytes, heapUsedBytes, cpuSeconds, startedAt } = sources.processFacts();
      return [
        gauge(
          'tope_updater_info',
          'The program that runs, and the version of the device that it installed last.',
          [[labelText({ version: sources.version, installed: lastSuccess?.version ?? '' }), 1]],
        ),
        gauge('tope_updater_stage', '1 for the stage the updater is in.', [
          ...stages.map((name) => [labelText({ stage: name }), name === current ? 1 : 0] as const),
        ]),
        gauge('tope_updater_progress_percent', 'Progress within the stage.', progress),
        counter(
          'tope_updater_received_bytes_total',
          'Bytes of packages that came over the network.',
          facts?.receivedBytes ?? 0,
        ),
        counter(
          'tope_updater_reused_bytes_total',
          'Bytes of packages that were on the device already and were not fetched.',
          facts?.reusedBytes ?? 0,
        ),
        counter('tope_updater_download_requests_total', 'Requests of downloads.', facts?.requests ?? 0),
        counter(
          'tope_updater_download_retries_total',
          'Tries of a download that failed and were followed by another.',
          facts?.retries ?? 0,
        ),
        counter(
          'tope_updater_download_network_waits_total',
          'Questions of a download that nobody answered, followed by a wait for the network.',
          facts?.waits ?? 0,
        ),
        summary('tope_updater_phase_duration_seconds', 'Time spent in each phase that has ended.', [
          ...phases.map((phase) => [`_sum${labelText({ phase })}`, seconds.get(phase) ?? 0] as const),
          ...phases.map((phase) => [`_count${labelText({ phase })}`, times.get(phase) ?? 0] as const),
        ]),
        counter(
          'tope_updater_outcomes_total',
          'Ends of downloads, updates and rollbacks; error is the code.',
          [...outcomes],
        ),
        gauge(
          'tope_updater_last_success_timestamp_seconds',
          'When an update or a rollback last succeeded; 0: never.',
          lastSuccess === undefined ? 0 : Date.parse(lastSuccess.ended_at) / 1000,
        ),
        gauge(
          'tope_updater_audit_differing_files',
          'Deployed files that the last audit found changed or missing, and that no repair restored.',
          report === null || report.unknown !== null ? [] : report.differing,
        ),
        gauge(
          'tope_updater_audit_last_timestamp_seconds',
          'When the last audit ended; 0: never.',
          report === null ? 0 : Date.parse(report.ended_at) / 1000,
        ),
        gauge('tope_updater_event_streams', 'Open streams of GET /events.', sources.watchers()),
        ...fleetMetrics(sources.fleet()?.state()),
        gauge('process_resident_memory_bytes', 'Resident memory.', residentBytes),
        gauge('nodejs_heap_size_used_bytes', 'Memory used by objects.', heapUsedBytes),
        counter('process_cpu_seconds_total', 'Processor time, user and system.', cpuSeconds),
        gauge('process_start_time_seconds', 'When the daemon started.', startedAt),
      ].join('');
    },
  };
}

function fleetMetrics(state: FleetState | undefined): string[] {
  if (state === undefined) return [];
  const { answered, failed } = state.polls;
  const contactMs = state.last_contact_at === null ? 0 : Date.parse(state.last_contact_at);
  return [
    counter('tope_updater_fleet_polls_total', "Questions to the fleet's server.", [
      [labelText({ outcome: 'answered' }), answered],
      [labelText({ outcome: 'failed' }), failed],
    ]),
    gauge(
      'tope_updater_fleet_last_contact_timestamp_seconds',
      "When the fleet's server last answered; 0: not since the start.",
      contactMs / 1000,
    ),
    gauge(
      'tope_updater_fleet_owed',
      "1: the end of an order has not reached the fleet's server.",
      state.owed === null ? 0 : 1,
    ),
  ];
}

/** What follows the metric's name (labels, for a summary also `_sum` or `_count`) and its value. */
type Sample = readonly [suffix: string, value: number];

const gauge = metricOf('gauge');
const counter = metricOf('counter');
const summary = metricOf('summary');

function metricOf(kind: string) {
  return (name: string, help: string, measured: readonly Sample[] | number): string => {
    const samples = typeof measured === 'number' ? [['', measured] as const] : measured;
    const lines = samples.map(([suffix, value]) => `${name}${suffix} ${value}\n`);
    return `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n${lines.join('')}`;
  };
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return `{${pairs.join(',')}}`;
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}
