/** (d) From a change of stage, as the log dates it, to the arrival of its report at device-api. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { median, percentile, type Row } from './figures.ts';
import { speedPackage } from './packages.ts';
import type { Bench } from './setting.ts';
import { startUpdater, targetsOf } from './updater.ts';

export async function measureReports(bench: Bench): Promise<Row[]> {
  const folder = join(bench.scratch, 'speed');
  const made = await speedPackage(bench.www, targetsOf(folder));
  const delays: number[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const updater = await startUpdater({ folder, executable: bench.executable });
    try {
      await updater.update(made, bench.store.url(made.name));
      for (const { stage, atMs } of stageChanges(readFileSync(updater.logPath, 'utf8'))) {
        const report = updater.deviceApi.reports.find(
          (candidate) => candidate.stage === stage && candidate.arrivedMs > atMs - 1,
        );
        if (report !== undefined) delays.push(report.arrivedMs - atMs);
      }
    } finally {
      await updater.stop();
    }
  }
  const note = `p99 ${percentile(delays, 0.99).toFixed(1)}, max ${percentile(delays, 1).toFixed(1)}, ${delays.length} changes`;
  const what = 'stage change to report at device-api: median';
  return [{ id: 'd', what, value: median(delays), unit: 'ms', target: 20, note }];
}

/** `2026-01-01T00:00:00.000Z INFO stage idle -> downloading` */
function stageChanges(log: string): { stage: string; atMs: number }[] {
  return [...log.matchAll(/^(\S+) .*\bstage \w+ -> (\w+)/gm)].map(([, time = '', stage = '']) => ({
    stage,
    atMs: Date.parse(time),
  }));
}
