/**
 * (g) The same for downloads of 500 MB that fetch 5 MB, the rest copied, deflated again or patched on the device: peak resident memory over
 * download, verification and install, by http and https; and the longest block of the event loop meanwhile, in a run of its own, as
 * what measures it takes memory.
 *
 * The version before is installed by another process. A rate limit makes it worth it to deflate and to patch.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildPackage, contentBytes, type FileSpec } from '../fixtures/package-builder.ts';
import { type Row, skippedRow } from './figures.ts';
import { loopRow } from './loop.ts';
import { defaultReadAhead, dropPageCache } from './machine.ts';
import { describe, flagsFor, sampled } from './memory.ts';
import type { BenchPackage } from './packages.ts';
import type { Bench } from './setting.ts';
import { startUpdater, targetsOf, type Updater } from './updater.ts';

const MB = 1_000_000;
const boundMb = 50;
const rateLimit = MB;
const withinMs = 600_000;

const kinds = ['copied', 'deflated again', 'patched'] as const;
type How = (typeof kinds)[number];
/** BENCH_REUSE="patched" measures one. */
const sources = kinds.filter((how) => (process.env.BENCH_REUSE ?? how).split(',').includes(how));

interface Pair {
  readonly old: BenchPackage;
  readonly next: BenchPackage;
}

export async function measureAdaptiveMemory(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  const restoreReadAhead = defaultReadAhead(bench.executable);
  try {
    for (const how of sources) {
      const pair = await pairOf(bench, how);
      for (const scheme of ['http', 'https'] as const) {
        const what = `peak resident memory, 500 MB over ${scheme}, most of it ${how}`;
        const url =
          scheme === 'http' ? bench.store.url(pair.next.name) : bench.store.secureUrl(pair.next.name);
        if (url === undefined) rows.push(skippedRow('g', what, 'openssl is not installed'));
        else rows.push(await peakRow(bench, pair, what, url));
      }
      rows.push(
        await loopRow(bench, `longest block of the event loop, 500 MB over http, most of it ${how}`, (env) =>
          runWithLoop(bench, pair, env),
        ),
      );
    }
    return rows;
  } finally {
    restoreReadAhead();
  }
}

async function peakRow(bench: Bench, pair: Pair, what: string, url: string): Promise<Row> {
  const { value, figures } = await withOldInstalled(bench, pair.old, {}, async (updater) => {
    const began = performance.now();
    const found = await sampled(updater, () => updater.update(pair.next, url, withinMs, 'as they are'));
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    const isMade = madeShare(updater, pair.next.sizeBytes) > 0.9;
    return {
      value: isMade ? found.peakKb / 1024 : undefined,
      figures: `${describe(found)}; ${seconds} s; ${fetchedBy(updater)}`,
    };
  });
  bench.say(`${what}: ${figures}`);
  return { id: 'g', what, value, unit: 'MB', target: boundMb, note: figures };
}

async function runWithLoop(bench: Bench, pair: Pair, env: Readonly<Record<string, string>>): Promise<void> {
  await withOldInstalled(bench, pair.old, env, async (updater) => {
    process.kill(updater.pid, 'SIGUSR2');
    await updater.update(pair.next, bench.store.url(pair.next.name), withinMs, 'as they are');
  });
}

async function withOldInstalled<T>(
  bench: Bench,
  old: BenchPackage,
  env: Readonly<Record<string, string>>,
  use: (updater: Updater) => Promise<T>,
): Promise<T> {
  const place = { folder: folderOf(bench), executable: bench.executable };
  const first = await startUpdater({ ...place, flags: flagsFor(bench) });
  try {
    await first.update(old, bench.store.url(old.name), withinMs, 'as they are');
  } finally {
    await first.stop('kept');
  }
  dropPageCache();
  const flags = [...flagsFor(bench), '--rate-limit', String(rateLimit)];
  const second = await startUpdater({ ...place, flags, env, goesOn: true });
  try {
    return await use(second);
  } finally {
    await second.stop();
  }
}

/** What the log says of the last download. */
function fetchedBy({ logPath }: Updater): string {
  const said = /downloaded \d+ bytes in \d+ requests; \d+ of \d+ were here already/g;
  return readFileSync(logPath, 'utf8').match(said)?.at(-1) ?? '';
}

/** Of what was downloaded last. Below nine tenths the machine was too slow: what is made more slowly than the limit is fetched. */
function madeShare(updater: Updater, sizeBytes: number): number {
  return Number(/; (\d+) of/.exec(fetchedBy(updater))?.[1] ?? 0) / sizeBytes;
}

function folderOf(bench: Bench): string {
  return join(bench.scratch, 'reuse');
}

/** Half a gigabyte of one kind, and a file of 5 MB that is another in each version. Built once for a folder. */
async function pairOf(bench: Bench, how: How): Promise<Pair> {
  const memo = join(bench.www, `reuse-${how.replace(' ', '-')}.json`);
  if (existsSync(memo)) return JSON.parse(readFileSync(memo, 'utf8')) as Pair;
  const before = contentsOf(how, 'before');
  const old = await built(bench, `${how}-old`, '1.0.0', { ...before, ...changing('before') }, {});
  const after = contentsOf(how, 'after');
  const patches = how === 'patched' ? patchesFor(before, after) : {};
  const next = await built(bench, `${how}-new`, '2.0.0', { ...after, ...changing('after') }, patches);
  const pair = { old, next };
  writeFileSync(memo, JSON.stringify(pair));
  return pair;
}

type Contents = Readonly<Record<string, FileSpec & { readonly content: Buffer }>>;

function contentsOf(how: How, version: 'before' | 'after'): Contents {
  const noise = (seed: number, bytes: number) => contentBytes({ random: bytes, seed });
  switch (how) {
    case 'copied':
      return named(4, (n) => ({ content: noise(n, 124 * MB), compress: false }));
    case 'deflated again':
      // Digits deflate to a little over half.
      return named(4, (n) => ({ content: Buffer.from(noise(n, 110 * MB).toString('hex')), compress: true }));
    case 'patched':
      return named(2, (n) => {
        const content = noise(n, 248 * MB);
        if (version === 'after')
          for (let at = 0; at < content.length; at += 50_000) content[at] = (content[at] ?? 0) ^ 0x55;
        return { content, compress: true };
      });
    default:
      return how satisfies never;
  }
}

function changing(version: string): Contents {
  const content = Buffer.alloc(
    5 * MB,
    createHash('shake256', { outputLength: 1_000_003 }).update(version).digest(),
  );
  return { 'changing.bin': { content, compress: false } };
}

function named(count: number, make: (n: number) => Contents[string]): Contents {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`model-${n}.bin`, make(n + 1)]));
}

/** As bsdiff makes them of files that differ in single bytes, in one record; its search would take many minutes. */
function patchesFor(before: Contents, after: Contents): Contents {
  const list: string[] = [];
  const patches: Record<string, Contents[string]> = {};
  for (const [name, { content }] of Object.entries(after)) {
    const old = before[name]?.content ?? Buffer.alloc(0);
    const patch = Buffer.alloc(24 + content.length);
    patch.writeBigUInt64LE(BigInt(content.length), 0);
    for (let at = 0; at < content.length; at++) patch[24 + at] = (content[at] ?? 0) - (old[at] ?? 0);
    const entry = `deltas/${list.length}`;
    patches[entry] = { content: patch, compress: true };
    const from = createHash('sha256').update(old).digest('hex');
    list.push(JSON.stringify({ path: name, deltas: [{ from, entry }] }));
  }
  // Before the patches, as `pack` writes it: what they are for is known when the last of them has come.
  return { 'files.json': { content: Buffer.from(`[\n${list.join(',\n')}\n]\n`) }, ...patches };
}

async function built(
  bench: Bench,
  name: string,
  version: string,
  files: Contents,
  patches: Contents,
): Promise<BenchPackage> {
  const fileName = `reuse-${name.replace(' ', '-')}.zip`;
  const targets = targetsOf(folderOf(bench));
  const modules = Object.keys(files).map((file) => ({ name: file, src: file, dst: join(targets, file) }));
  const spec = { version, modules, files: { ...patches, ...files }, withDigests: version === '1.0.0' };
  const zip = await buildPackage(spec, join(bench.www, fileName));
  const sizes = Object.entries(files).map(([file, { content }]) => ({
    name: file,
    sizeBytes: content.length,
  }));
  return { ...zip, name: fileName, files: sizes };
}
