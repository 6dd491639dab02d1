/**
 * (g) Peak resident memory of the whole process over download + verify + install of 500 MB at full speed, polled every
 * 500 ms, from an empty page cache; and the same inside a memory cgroup of 50 MB, which counts the page cache too. All with Linux's own
 * read-ahead: where a disk reads megabytes ahead, large pieces of the executable are mapped as a whole.
 */
import { join } from 'node:path';
import { openCgroup } from './cgroup.ts';
import { type Row, skippedRow } from './figures.ts';
import { defaultReadAhead, dropPageCache, type MemoryUse, memoryOf } from './machine.ts';
import { type BenchPackage, memoryPackage } from './packages.ts';
import type { Bench } from './setting.ts';
import { startUpdater, targetsOf, type Updater, type UpdaterOptions } from './updater.ts';

const boundMb = 50;

export async function measureMemory(bench: Bench): Promise<Row[]> {
  const made = await memoryPackage(bench.www, targetsOf(join(bench.scratch, 'memory')));
  const urls = { http: bench.store.url(made.name), https: bench.store.secureUrl(made.name) };
  const rows: Row[] = [];
  const restoreReadAhead = defaultReadAhead(bench.executable);
  try {
    for (const [scheme, url] of Object.entries(urls)) {
      const what = `peak resident memory, 500 MB over ${scheme}`;
      if (url === undefined) rows.push(skippedRow('g', what, 'openssl is not installed'));
      else rows.push(await peakRow(bench, made, what, url));
    }
    rows.push(await cgroupRow(bench, made));
    return rows;
  } finally {
    restoreReadAhead();
  }
}

async function peakRow(bench: Bench, made: BenchPackage, what: string, url: string): Promise<Row> {
  const peaks: Sampled[] = [];
  for (let round = 0; round < Math.min(3, bench.rounds); round++) {
    const isCold = dropPageCache();
    const sampled = await sampledUpdate(bench, made, url, {});
    peaks.push(sampled);
    bench.say(`${what}: ${describe(sampled)}${isCold ? '' : ', page cache as it was'}`);
  }
  const worst = peaks.reduce((a, b) => (a.peakKb > b.peakKb ? a : b));
  return { id: 'g', what, value: worst.peakKb / 1024, unit: 'MB', target: boundMb, note: describe(worst) };
}

export interface Sampled {
  readonly peakKb: number;
  /** The largest of the samples, for its parts. */
  readonly largest: MemoryUse;
  readonly idle: MemoryUse;
}

export function describe({ peakKb, largest, idle }: Sampled): string {
  const mb = (kb: number) => (kb / 1024).toFixed(1);
  const parts = `largest sample ${mb(largest.residentKb)}: anonymous ${mb(largest.anonymousKb)}, file-backed ${mb(largest.fileKb)}`;
  return `peak ${mb(peakKb)}; ${parts}; idle ${mb(idle.residentKb)}`;
}

async function sampledUpdate(
  bench: Bench,
  made: BenchPackage,
  url: string,
  options: Partial<UpdaterOptions>,
): Promise<Sampled> {
  const flags = flagsFor(bench);
  const folder = join(bench.scratch, 'memory');
  const updater = await startUpdater({ folder, executable: bench.executable, flags, ...options });
  try {
    return await sampled(updater, () => updater.update(made, url, 300_000));
  } finally {
    await updater.stop();
  }
}

export function flagsFor({ store: { caFile } }: Bench): readonly string[] {
  return caFile === undefined ? [] : ['--ca-file', caFile];
}

/** What the updater takes while `act` goes on, polled as device-api does. */
export async function sampled(updater: Updater, act: () => Promise<unknown>): Promise<Sampled> {
  let largest = memoryOf(updater.pid);
  const sampling = setInterval(() => {
    const now = memoryOf(updater.pid);
    if (now.residentKb > largest.residentKb) largest = now;
  }, 20);
  const polling = setInterval(() => {
    fetch(updater.progressUrl).then(
      (answer) => answer.text(),
      () => clearInterval(polling),
    );
  }, 500);
  try {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const idle = memoryOf(updater.pid);
    await act();
    return { peakKb: memoryOf(updater.pid).peakKb, largest, idle };
  } finally {
    clearInterval(sampling);
    clearInterval(polling);
  }
}

/** Finishing inside the group, not killed, is the demand; the figure is the number of processes killed in it. */
async function cgroupRow(bench: Bench, made: BenchPackage): Promise<Row> {
  const what = `processes killed inside a memory cgroup of ${boundMb} MB, 500 MB update`;
  const cgroup = openCgroup(boundMb);
  if (typeof cgroup === 'string') return skippedRow('g', what, cgroup);
  try {
    dropPageCache();
    const begun = performance.now();
    const url = bench.store.secureUrl(made.name) ?? bench.store.url(made.name);
    const sampled = await sampledUpdate(bench, made, url, { cgroupProcs: cgroup.procs });
    const tookS = ((performance.now() - begun) / 1000).toFixed(1);
    const note = `cgroup ${cgroup.version}, finished in ${tookS} s; ${describe(sampled)}`;
    return { id: 'g', what, value: cgroup.killed(), unit: '', target: 0, note };
  } finally {
    await cgroup.remove();
  }
}
