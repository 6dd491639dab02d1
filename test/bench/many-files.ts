/**
 * (j) Trees of very many small files: the first install, one that changes a tenth of the files, one that changes none, the
 * rollback of the tenth, an audit and `pack`, against `unzip` and syncfs, dpkg and OSTree in the same round; the peak of
 * the resident size and the slowest poll, of all and of each act, and the same under the memory bounds of the shipped unit.
 *
 * BENCH_FILES: the numbers of files, "3000,20000" unless given. "100000", the most that a package may hold,
 * takes many minutes.
 * BENCH_PEERS: "base" leaves out all but `unzip` and syncfs.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Extremes, watchActs } from './act-watch.ts';
import { openCgroup } from './cgroup.ts';
import { median, type Row, ratios, skippedRow, spread } from './figures.ts';
import { defaultReadAhead, dropPageCache, settleDisk } from './machine.ts';
import type { Bench } from './setting.ts';
import { packFolder, prepareTreePeers, type TreePeer, zipFolder } from './tree-peers.ts';
import { makeTrees, type Trees } from './trees.ts';
import { startUpdater, targetsOf, type Updater } from './updater.ts';

const withinMs = 900_000;
/** As the shipped unit sets them (deploy/tope-updater.service). */
const [highMb, maxMb] = [50, 100];

const acts = ['first', 'changed', 'rollback', 'changed again', 'same', 'audit'] as const;
type Act = (typeof acts)[number];
type Times = Record<Act, number>;
/** Times the base. `changed again` only leads to what `same` is measured from. */
const targets: Partial<Record<Act, number>> = { first: 2, changed: 1, rollback: 1, same: 0.3 };
const names: Record<Act, string> = {
  first: 'install, first',
  changed: 'install, 10 % changed',
  rollback: 'rollback of the 10 %',
  'changed again': 'install, 10 % changed, once more',
  same: 'install, nothing changed',
  audit: 'audit',
};

export async function measureManyFiles(bench: Bench): Promise<Row[]> {
  const counts = (process.env.BENCH_FILES ?? '3000,20000').split(',').map(Number);
  const rows: Row[] = [];
  for (const files of counts) rows.push(...(await measureCount(bench, files)));
  return rows;
}

async function measureCount(bench: Bench, files: number): Promise<Row[]> {
  const folder = join(bench.scratch, 'many');
  const allowedRoot = targetsOf(folder);
  const { executable, plain, www } = bench;
  const trees = await makeTrees(files, {
    executable,
    plain,
    www,
    target: join(allowedRoot, 'tree'),
    allowedRoot,
  });
  const peers = prepareTreePeers(trees, bench.scratch, bench.www, bench.store.url(''));
  // As on a device: where a disk reads megabytes ahead, large pieces of the executable are mapped as a whole.
  const restoreReadAhead = defaultReadAhead(bench.executable);
  const rounds: Round[] = [];
  try {
    for (let round = 0; round < Math.max(1, Math.min(3, bench.rounds)); round++) {
      const base = peers.map((peer) => timesOf(peer, trees));
      const ours = await oneRound(bench, folder, trees);
      rounds.push({ base, ours });
      bench.say(`${files} files: ${acts.map((act) => `${act} ${seconds(ours.times[act])}`).join(', ')}`);
      for (const { act, stage, peakMb, slowestMs } of ours.extremes)
        bench.say(
          `  ${act}, ${stage}: peak ${peakMb.toFixed(1)} MB, slowest poll ${slowestMs.toFixed(0)} ms`,
        );
      for (const [index, peer] of peers.entries())
        bench.say(`  ${peer.name}: ${base[index]?.map(seconds).join(', ') ?? ''}`);
    }
  } finally {
    restoreReadAhead();
  }
  const what = (text: string) => `${files} files: ${text}`;
  const extremes = rounds.flatMap(({ ours }) => ours.extremes);
  return [
    ...acts.filter((act) => act !== 'changed again').map((act) => actRow(what, act, rounds)),
    ...peers.map((peer, index) => peerRow(what, peer, index, rounds)),
    largestRow(what('peak resident memory'), 'MB', 50, extremes, ({ peakMb }) => peakMb),
    largestRow(what('slowest poll'), 'ms', 100, extremes, ({ slowestMs }) => slowestMs),
    packRow(what, bench, folder, trees),
    await boundedRow(what, bench, folder, trees),
  ];
}

interface Round {
  /** Of each peer: first, changed, same. */
  readonly base: readonly (readonly number[] | undefined)[];
  readonly ours: { readonly times: Times; readonly extremes: readonly Extremes[] };
}

function timesOf(peer: TreePeer, { first, changed, same }: Trees): number[] | undefined {
  return 'skipped' in peer ? undefined : [first, changed, same].map((version) => peer.bring(version));
}

async function oneRound(bench: Bench, folder: string, trees: Trees): Promise<Round['ours']> {
  dropPageCache();
  const updater = await startUpdater({ folder, executable: bench.executable });
  const watch = watchActs(updater);
  try {
    const times = await allActs(bench, updater, trees, watch.begin);
    return { times, extremes: await watch.stop() };
  } catch (thrown) {
    await watch.stop().catch(() => undefined);
    throw thrown;
  } finally {
    await updater.stop();
  }
}

async function allActs(
  bench: Bench,
  updater: Updater,
  trees: Trees,
  begin: (act: Act) => void,
): Promise<Times> {
  const install = async ({ made }: Trees['first']) => {
    settleDisk();
    const { downloadMs, totalMs } = await updater.update(made, bench.store.url(made.name), withinMs);
    return totalMs - downloadMs;
  };
  const steps: Record<Act, () => Promise<number>> = {
    first: () => install(trees.first),
    changed: () => install(trees.changed),
    rollback: () => updater.rollBack(withinMs),
    'changed again': () => install(trees.changed),
    same: () => install(trees.same),
    audit: () => updater.audit(withinMs),
  };
  const times: Partial<Times> = {};
  for (const act of acts) {
    begin(act);
    times[act] = await steps[act]();
  }
  return times as Times;
}

function largestRow(
  what: string,
  unit: string,
  target: number,
  extremes: readonly Extremes[],
  figure: (one: Extremes) => number,
): Row {
  const largest = [...extremes].sort((a, b) => figure(b) - figure(a))[0];
  if (largest === undefined) return skippedRow('j', what, 'no act was watched');
  return { id: 'j', what, value: figure(largest), unit, target, note: `${largest.act}, ${largest.stage}` };
}

function actRow(what: (text: string) => string, act: Act, rounds: readonly Round[]): Row {
  const ours = rounds.map((round) => round.ours.times[act]);
  const base = rounds.map((round) => round.base[0]?.[act === 'first' ? 0 : 1] ?? Number.NaN);
  const note = `${spread(
    ours.map((ms) => ms / 1000),
    1,
  )} s; unzip + syncfs ${seconds(median(base))}`;
  const value = median(ratios(ours, base));
  return { id: 'j', what: what(names[act]), value, unit: 'x unzip', target: targets[act], note };
}

function peerRow(
  what: (text: string) => string,
  peer: TreePeer,
  index: number,
  rounds: readonly Round[],
): Row {
  if ('skipped' in peer) return skippedRow('j', what(peer.name), peer.skipped);
  const at = (act: number) => median(rounds.map(({ base }) => base[index]?.[act] ?? Number.NaN));
  const note = `10 % changed ${seconds(at(1))}, nothing changed ${seconds(at(2))}`;
  return {
    id: '-',
    what: what(`${peer.name}, first`),
    value: at(0) / 1000,
    unit: 's',
    target: undefined,
    note,
  };
}

function packRow(what: (text: string) => string, bench: Bench, folder: string, trees: Trees): Row {
  const output = join(bench.scratch, 'packed.zip');
  const source = trees.first.folder;
  const zipMs = zipFolder(source, output);
  const packMs = packFolder(bench.executable, source, output, targetsOf(folder));
  rmSync(output);
  const note = `${seconds(packMs)}; zip -r ${seconds(zipMs)}`;
  return { id: 'j', what: what('pack'), value: packMs / zipMs, unit: 'x zip -r', target: 3, note };
}

/** Finishing inside the group, not killed, is the demand; the figure is the number of processes killed in it. */
async function boundedRow(
  what: (text: string) => string,
  bench: Bench,
  folder: string,
  trees: Trees,
): Promise<Row> {
  const text = what(`processes killed under the unit's memory bounds`);
  const cgroup = openCgroup(maxMb, highMb);
  if (typeof cgroup === 'string') return skippedRow('j', text, cgroup);
  dropPageCache();
  const options = { folder, executable: bench.executable, cgroupProcs: cgroup.procs };
  const begun = performance.now();
  let outcome = 'finished';
  try {
    const updater = await startUpdater(options);
    try {
      await allActs(bench, updater, trees, () => undefined);
    } finally {
      await updater.stop();
    }
  } catch (thrown) {
    if (cgroup.killed() === 0) throw thrown;
    outcome = 'killed';
  }
  const note = `cgroup ${cgroup.version}, ${maxMb} MB, ${outcome} after ${seconds(performance.now() - begun)}`;
  const killed = cgroup.killed();
  await cgroup.remove();
  return { id: 'j', what: text, value: killed, unit: '', target: 0, note };
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
