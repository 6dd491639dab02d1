/** (c) How long GET /progress takes while the updater downloads and while it installs, at full speed. */
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { median, percentile, type Row } from './figures.ts';
import { settleMachine } from './machine.ts';
import { speedPackage } from './packages.ts';
import type { Bench } from './setting.ts';
import { startUpdater, targetsOf } from './updater.ts';

const wantedPolls = 2_000;
/** A pause between two polls: a poller that never rests would measure the fight for the processor. */
const shortPauseMs = 1;

export async function measurePolls(bench: Bench): Promise<Row[]> {
  const folder = join(bench.scratch, 'speed');
  const made = await speedPackage(bench.www, targetsOf(folder));
  const times = { download: [] as number[], install: [] as number[] };
  const sort = (stage: string, tookMs: number) => {
    if (stage === 'downloading' || stage === 'verifying') times.download.push(tookMs);
    if (stage === 'installing') times.install.push(tookMs);
  };
  for (let update = 1; Math.min(times.download.length, times.install.length) < wantedPolls; update++) {
    if (update > 100) throw new Error('a hundred updates were too short for the polls');
    const updater = await startUpdater({
      folder: join(bench.scratch, 'speed'),
      executable: bench.executable,
    });
    const poller = startPoller(updater.progressUrl, sort);
    try {
      settleMachine();
      await updater.update(made, bench.store.url(made.name));
    } finally {
      await poller.stop();
      await updater.stop();
    }
  }
  return [rowOf('downloading', times.download), rowOf('installing', times.install)].flat();
}

function rowOf(what: string, samples: readonly number[]): Row[] {
  const figure = (name: string, value: number, target: number, note: string): Row => ({
    id: 'c',
    what: `GET /progress while ${what}: ${name}`,
    value,
    unit: 'ms',
    target,
    note,
  });
  const half = median(samples).toFixed(2);
  return [
    figure('p99', percentile(samples, 0.99), 10, `p50 ${half}, ${samples.length} polls`),
    figure('max', percentile(samples, 1), 100, ''),
  ];
}

/** Polls over one connection until stopped, `pauseMs` between two, and tells of each poll the stage that its answer names. */
export function startPoller(
  url: string,
  tell: (stage: string, tookMs: number) => void,
  pauseMs = shortPauseMs,
): { stop: () => Promise<void> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let isStopped = false;
  const run = async () => {
    while (!isStopped) {
      const begun = performance.now();
      const stage = await stageNow(url, agent);
      tell(stage, performance.now() - begun);
      await sleep(pauseMs);
    }
  };
  const running = run();
  return {
    stop: async () => {
      isStopped = true;
      await running;
      agent.destroy();
    },
  };
}

function stageNow(url: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    request(url, { agent }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('end', () => resolve((JSON.parse(body) as { data: { stage: string } }).data.stage));
    })
      .on('error', reject)
      .end();
  });
}
