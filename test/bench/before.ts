/**
 * (a), (b), (c), (f), (g) against another executable, BENCH_BEFORE, say that of the commit before, in the same rounds: 300 MB at full speed,
 * once without polls and once with them, each from an empty page cache.
 */
import { join } from 'node:path';
import { median, percentile, type Row, ratios, skippedRow, spread } from './figures.ts';
import { defaultReadAhead, dropPageCache, memoryOf, settleMachine } from './machine.ts';
import { speedPackage } from './packages.ts';
import { startPoller } from './polls.ts';
import type { Bench } from './setting.ts';
import { startUpdater, targetsOf, type UpdateTimes } from './updater.ts';

interface Measured extends UpdateTimes {
  readonly peakKb: number;
}

interface Samples {
  readonly updates: Measured[];
  readonly pollsMs: number[];
}

export async function measureBefore(bench: Bench): Promise<Row[]> {
  const { BENCH_BEFORE: before } = process.env;
  if (before === undefined) return [skippedRow('-', 'the executable before', 'BENCH_BEFORE names none')];
  const ours = contender(bench.executable);
  const theirs = contender(before);
  try {
    for (let round = 0; round < bench.rounds; round++)
      for (const { executable, samples } of round % 2 === 0 ? [ours, theirs] : [theirs, ours])
        await oneRound(bench, executable, samples);
  } finally {
    for (const { restoreReadAhead } of [theirs, ours]) restoreReadAhead();
  }
  return rowsOf(ours.samples, theirs.samples);
}

function contender(executable: string) {
  const samples: Samples = { updates: [], pollsMs: [] };
  return { executable, samples, restoreReadAhead: defaultReadAhead(executable) };
}

async function oneRound(bench: Bench, executable: string, { updates, pollsMs }: Samples): Promise<void> {
  updates.push(await oneUpdate(bench, executable));
  await oneUpdate(bench, executable, (stage, tookMs) => {
    // The first answers come while the executable is read from the disk.
    if (stage !== 'idle') pollsMs.push(tookMs);
  });
}

async function oneUpdate(
  bench: Bench,
  executable: string,
  told?: (stage: string, tookMs: number) => void,
): Promise<Measured> {
  const folder = join(bench.scratch, 'speed');
  const made = await speedPackage(bench.www, targetsOf(folder));
  dropPageCache();
  const updater = await startUpdater({ folder, executable });
  const poller = told === undefined ? undefined : startPoller(updater.progressUrl, told);
  try {
    settleMachine();
    const times = await updater.update(made, bench.store.url(made.name));
    return { ...times, peakKb: memoryOf(updater.pid).peakKb };
  } finally {
    await poller?.stop();
    await updater.stop();
  }
}

function rowsOf(ours: Samples, theirs: Samples): Row[] {
  const ratioRow = (id: string, what: string, figure: (one: Measured) => number): Row => {
    const [samples, before] = [ours.updates.map(figure), theirs.updates.map(figure)];
    const all = ratios(samples, before);
    const note = `${median(samples).toFixed(2)} s, before ${median(before).toFixed(2)} s; ratios ${spread(all, 2)}`;
    return {
      id,
      what: `300 MB, ${what}`,
      value: median(all),
      unit: 'x before',
      target: undefined,
      note,
    };
  };
  const pollRow = (what: string, share: number): Row => ({
    id: 'c',
    what: `300 MB, GET /progress: ${what}`,
    value: percentile(ours.pollsMs, share),
    unit: 'ms',
    target: undefined,
    note: `before ${percentile(theirs.pollsMs, share).toFixed(2)}; ${ours.pollsMs.length} and ${theirs.pollsMs.length} polls`,
  });
  const peakMb = ({ updates }: Samples) => Math.max(...updates.map(({ peakKb }) => peakKb)) / 1024;
  return [
    ratioRow('a', 'download + verify', ({ downloadMs }) => downloadMs / 1000),
    ratioRow('b', 'download + verify + install', ({ totalMs }) => totalMs / 1000),
    ratioRow('f', 'processor time', ({ cpuSeconds }) => cpuSeconds),
    pollRow('p99', 0.99),
    pollRow('max', 1),
    {
      id: 'g',
      what: '300 MB, peak resident memory',
      value: peakMb(ours),
      unit: 'MB',
      target: 50,
      note: `before ${peakMb(theirs).toFixed(1)} MB`,
    },
  ];
}
