/**
 * (i) How much longer an update takes while a crowd is at the API: 200 pollers that ask once a second, the same beside a
 * hostile client, and pollers that never pause. The crowd needs a processor too, so two controls are measured as well,
 * whose cost is not the API's doing: the same crowd at another program's server, and a program that only burns one.
 */
import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { type Crowd, type CrowdOptions, type CrowdReport, startCrowd } from '../fixtures/crowd.ts';
import { median, type Row, ratios, spread } from './figures.ts';
import { dropPageCache, memoryOf, settleMachine } from './machine.ts';
import { speedPackage } from './packages.ts';
import { freePort, listens } from './ports.ts';
import type { Bench } from './setting.ts';
import { startUpdater, targetsOf } from './updater.ts';
import { waitUntil } from './wait.ts';

interface Situation {
  readonly what: string;
  /** Times the update alone. */
  readonly target?: number;
  readonly crowd?: Omit<CrowdOptions, 'port'>;
  /** The crowd is at a server of its own, nobody at the updater. */
  readonly isElsewhere?: boolean;
  readonly isBusy?: boolean;
}

const [pollers, oncePerSecond, withoutPause] = [200, 1_000, 0];
const usual = { pollers, pauseMs: oncePerSecond };
const greedy = { pollers, pauseMs: withoutPause };
const situations: readonly Situation[] = [
  { what: 'alone' },
  { what: '200 pollers, once a second', target: 1.1, crowd: usual },
  {
    what: '200 pollers and a hostile client',
    target: 1.2,
    crowd: { ...usual, hostileReconnectMs: 1_000 },
  },
  {
    what: 'the same crowd at another server',
    crowd: { ...usual, hostileReconnectMs: 1_000 },
    isElsewhere: true,
  },
  { what: '200 pollers without pause', crowd: greedy },
  { what: 'the same and a hostile client', crowd: { ...greedy, hostileReconnectMs: 1_000 } },
  {
    what: 'the same, which reconnects at once',
    target: 1.5,
    crowd: { ...greedy, hostileReconnectMs: 10 },
  },
  {
    what: 'the same crowd at another server',
    crowd: { ...greedy, hostileReconnectMs: 10 },
    isElsewhere: true,
  },
  { what: 'a program that keeps one processor busy', isBusy: true },
];

interface Outcome {
  readonly totalMs: number;
  /** What the updater itself used during the update. */
  readonly cpuSeconds: number;
  readonly report: CrowdReport | undefined;
  /** The updater's largest resident size. */
  readonly peakKb: number;
}

export async function measureHostile(bench: Bench): Promise<Row[]> {
  const outcomes = situations.map((): Outcome[] => []);
  for (let round = 1; round <= bench.rounds; round++) {
    for (const [index, situation] of situations.entries())
      outcomes[index]?.push(await oneUpdate(bench, situation));
    const latest = outcomes.map((all) => `${((all.at(-1)?.totalMs ?? 0) / 1000).toFixed(2)} s`);
    bench.say(`round ${round}: ${latest.join(', ')}`);
  }
  const times = outcomes.map((all) => all.map(({ totalMs }) => totalMs));
  const [alone = []] = times;
  return situations.flatMap(({ what, target, isElsewhere }, index) => {
    if (index === 0) return [];
    const all = outcomes[index] ?? [];
    const samples = ratios(times[index] ?? [], alone);
    const peakMb = (Math.max(...all.map(({ peakKb }) => peakKb)) / 1024).toFixed(1);
    const cpu = median(all.map(({ cpuSeconds }) => cpuSeconds)).toFixed(1);
    const note = `${spread(samples, 2)}; updater's CPU ${cpu} s; peak ${peakMb} MB${noteOf(all)}`;
    const row = {
      id: 'i',
      what: `update beside ${what}`,
      value: median(samples),
      unit: 'x alone',
      target,
      note,
    };
    return isElsewhere ? [row, ownPart(times[index - 1] ?? [], times[index] ?? [])] : [row];
  });
}

/** What the crowd costs by being at the updater: what it takes of the machine is the same elsewhere. */
function ownPart(here: readonly number[], elsewhere: readonly number[]): Row {
  const samples = ratios(here, elsewhere);
  const note = spread(samples, 2);
  return { id: 'i', what: 'that crowd here', value: median(samples), unit: 'x elsewhere', target: 1.1, note };
}

async function oneUpdate(bench: Bench, { crowd, isElsewhere, isBusy }: Situation): Promise<Outcome> {
  const folder = join(bench.scratch, 'speed');
  const made = await speedPackage(bench.www, targetsOf(folder));
  // Or the updater's largest size counts pages of an executable that was written a moment ago.
  dropPageCache();
  const updater = await startUpdater({ folder, executable: bench.executable });
  const elsewhere = isElsewhere ? await startOtherServer() : undefined;
  const port = elsewhere?.port ?? Number(new URL(updater.progressUrl).port);
  const busy = isBusy ? spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }) : undefined;
  let present: Crowd | undefined;
  try {
    present = crowd && (await startCrowd({ port, ...crowd }));
    execFileSync('cat', [join(bench.www, made.name)], { stdio: 'ignore' }); // into the page cache again
    settleMachine();
    const { totalMs, cpuSeconds } = await updater.update(made, bench.store.url(made.name));
    const report = await present?.end();
    present = undefined;
    return { totalMs, cpuSeconds, report, peakKb: memoryOf(updater.pid).peakKb };
  } finally {
    busy?.kill('SIGKILL');
    await present?.end();
    elsewhere?.stop();
    await updater.stop();
  }
}

/** Answers everything with a few bytes; Node's defaults otherwise. */
async function startOtherServer(): Promise<{ port: number; stop: () => void }> {
  const port = await freePort();
  const script = `require('node:http').createServer((_, r) => r.end('{}')).listen(${port}, '127.0.0.1')`;
  const child = spawn(process.execPath, ['-e', script], { stdio: 'ignore' });
  await waitUntil('the other server listens', 10_000, () => listens(port));
  return { port, stop: () => void child.kill('SIGKILL') };
}

function noteOf(all: readonly Outcome[]): string {
  const reports = all.flatMap(({ report }) => report ?? []);
  if (reports.length === 0) return '';
  const sum = (key: 'polls' | 'unanswered' | 'refused' | 'attacks') =>
    reports.reduce((total, report) => total + report[key], 0);
  const half = median(reports.map(({ p50Ms }) => p50Ms)).toFixed(1);
  const slow = median(reports.map(({ p99Ms }) => p99Ms)).toFixed(0);
  return `; ${sum('polls')} polls (p50 ${half} ms, p99 ${slow} ms), ${sum('unanswered') + sum('refused')} without answer, ${sum('attacks')} hostile connections`;
}
