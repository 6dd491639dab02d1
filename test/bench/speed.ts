/**
 * (a), (b), (f): download + verification, and the whole update, against curl | tee | md5sum and against the peers.
 * Interleaved: each round measures everyone once, so that what the machine does at the time cancels out in the ratios.
 */
import { join } from 'node:path';
import { runBaseline, runDurableCopy, type Timed } from './baseline.ts';
import { median, type Row, ratios, skippedRow, spread } from './figures.ts';
import { settleMachine } from './machine.ts';
import { speedPackage, writePlainFiles } from './packages.ts';
import { preparePeers } from './peers.ts';
import type { Bench } from './setting.ts';
import { startUpdater, targetsOf, type UpdateTimes } from './updater.ts';

export async function measureSpeed(bench: Bench): Promise<Row[]> {
  const folder = join(bench.scratch, 'speed');
  const made = await speedPackage(bench.www, targetsOf(folder));
  await writePlainFiles(made, bench.plain);
  const peers = await preparePeers(made, {
    plain: bench.plain,
    www: bench.www,
    url: bench.store.url,
    scratch: bench.scratch,
  });
  const url = bench.store.url(made.name);

  const base: Timed[] = [];
  const copy: Timed[] = [];
  const ours: UpdateTimes[] = [];
  const theirs = new Map<string, Timed[]>();
  for (let round = 1; round <= bench.rounds; round++) {
    base.push(runBaseline(bench.scratch, url));
    ours.push(await oneUpdate(bench, folder, made, url));
    copy.push(runDurableCopy(bench.scratch, bench.plain));
    for (const peer of peers)
      if ('run' in peer) theirs.set(peer.name, [...(theirs.get(peer.name) ?? []), peer.run()]);
    bench.say(
      `round ${round}: base ${seconds(base.at(-1)?.ms)}, ours ${seconds(ours.at(-1)?.downloadMs)} / ${seconds(ours.at(-1)?.totalMs)}, ` +
        `copy ${seconds(copy.at(-1)?.ms)}${[...theirs].map(([name, times]) => `, ${name} ${seconds(times.at(-1)?.ms)}`).join('')}`,
    );
  }

  const baseMs = base.map(({ ms }) => ms);
  const against = (id: string, what: string, samples: readonly number[], target?: number): Row => {
    const all = ratios(samples, baseMs);
    const note = `${seconds(median(samples))} median; ratios ${spread(all, 2)}`;
    return { id, what, value: median(all), unit: 'x base', target, note };
  };
  const totals = ours.map(({ totalMs }) => totalMs);
  const peerRows = peers.map((peer) => {
    if ('skipped' in peer) return skippedRow('b', `${peer.name}, whole update`, peer.skipped);
    return against(
      'b',
      `${peer.name}, whole update`,
      (theirs.get(peer.name) ?? []).map(({ ms }) => ms),
    );
  });
  const fastest = Math.min(...peerRows.flatMap(({ value }) => value ?? []));
  const sizeIn100Mb = made.sizeBytes / 1e8;
  return [
    {
      id: '-',
      what: 'base: curl | tee | md5sum, 300 MB',
      value: median(baseMs) / 1000,
      unit: 's',
      target: undefined,
      note: spread(
        baseMs.map((ms) => ms / 1000),
        2,
      ),
    },
    against(
      'a',
      'download + verify',
      ours.map(({ downloadMs }) => downloadMs),
      1.1,
    ),
    against('b', 'download + verify + durable install', totals, 1.6),
    ...peerRows,
    Number.isFinite(fastest)
      ? {
          ...against('b', 'the same, of the fastest peer', totals),
          value: median(ratios(totals, baseMs)) / fastest,
          unit: 'x peer',
          target: 1,
          note: '',
        }
      : skippedRow('b', 'the same, of the fastest peer', 'no peer could be measured'),
    against(
      '-',
      'cp + sync of the three files (the durable write alone)',
      copy.map(({ ms }) => ms),
    ),
    {
      id: 'f',
      what: 'CPU of download + verify + install',
      value: median(ours.map(({ cpuSeconds }) => cpuSeconds)) / sizeIn100Mb,
      unit: 's per 100 MB',
      target: undefined,
      note: `base ${(median(base.map(({ cpuSeconds }) => cpuSeconds)) / sizeIn100Mb).toFixed(2)}${[...theirs]
        .map(
          ([name, times]) =>
            `, ${name} ${(median(times.map(({ cpuSeconds }) => cpuSeconds)) / sizeIn100Mb).toFixed(2)}`,
        )
        .join('')}`,
    },
  ];
}

async function oneUpdate(
  bench: Bench,
  folder: string,
  made: Parameters<Awaited<ReturnType<typeof startUpdater>>['update']>[0],
  url: string,
): Promise<UpdateTimes> {
  const updater = await startUpdater({ folder, executable: bench.executable });
  try {
    settleMachine();
    return await updater.update(made, url);
  } finally {
    await updater.stop();
  }
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? 'none' : `${(ms / 1000).toFixed(2)} s`;
}
