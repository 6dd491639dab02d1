/**
 * How long a download takes that fetches only what is missing, against the whole: by links of 1, 10 and 100 Mbit/s, with a quarter of
 * the package changed (stored, or deflated again on the device) and with a patch for all of it.
 *
 * For information: what is right for a link is the user's to say. Each figure is one update of a device that has the version before.
 */
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startPackageStore } from '../integration/package-store.ts';
import { withSource } from '../pack/source-folder.ts';
import type { Row } from './figures.ts';
import type { BenchPackage } from './packages.ts';
import type { Bench } from './setting.ts';
import { startUpdater, targetsOf } from './updater.ts';

const MB = 1_000_000;
/** Megabits a second; BENCH_LINKS=100 measures one. */
const links = (process.env.BENCH_LINKS ?? '1,10,100').split(',').map(Number);

interface Pair {
  readonly what: string;
  readonly old: BenchPackage;
  readonly next: BenchPackage;
}

export async function measureAdaptive(bench: Bench): Promise<Row[]> {
  const folder = join(bench.scratch, 'adaptive');
  const shelf = join(bench.scratch, 'shelf');
  mkdirSync(shelf, { recursive: true });
  const pairs = await pairsIn(shelf, targetsOf(folder));
  const store = await startPackageStore(shelf);
  const rows: Row[] = [];
  try {
    for (const { what, old, next } of pairs)
      for (const megabits of links) {
        const took = async (flags: readonly string[]): Promise<number> => {
          const updater = await startUpdater({ folder, executable: bench.executable, flags });
          try {
            store.throttle(undefined);
            await updater.update(old, `${store.url}/${old.name}`);
            store.throttle((megabits * MB) / 8);
            const { downloadMs } = await updater.update(
              next,
              `${store.url}/${next.name}`,
              300_000,
              'as they are',
            );
            return downloadMs;
          } finally {
            await updater.stop();
          }
        };
        const wholeMs = await took(['--no-adaptive-download']);
        const partMs = await took([]);
        const seconds = `${(partMs / 1000).toFixed(1)} s, the whole ${(wholeMs / 1000).toFixed(1)} s`;
        bench.say(`${what} at ${megabits} Mbit/s: ${seconds}`);
        const note = `${seconds}; ${(next.sizeBytes / MB).toFixed(1)} MB`;
        rows.push({
          id: '-',
          what: `download by ${megabits} Mbit/s, ${what}`,
          value: partMs / wholeMs,
          unit: 'x the whole',
          target: undefined,
          note,
        });
      }
  } finally {
    await store.close();
  }
  return rows;
}

async function pairsIn(shelf: string, targets: string): Promise<Pair[]> {
  const random = (name: string, bytes: number) =>
    createHash('shake256', { outputLength: bytes }).update(name).digest();
  const text = (name: string, bytes: number) => Buffer.from(random(name, bytes / 2).toString('hex'));
  const four = (made: (name: string) => Buffer, changed: string) =>
    Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, made(name === 'b' ? changed : name)]));
  const program = random('program', 3 * MB);
  const edited = Buffer.from(program);
  for (let at = 5_000; at < edited.length; at += 20_000) edited[at] = (edited[at] ?? 0) ^ 0x55;
  const stored = (name: string) => random(name, MB);
  const deflated = (name: string) => text(name, 2 * MB);
  return [
    {
      what: 'a quarter changed, stored',
      ...(await pack(shelf, targets, 'stored', four(stored, 'b'), four(stored, 'new'), false)),
    },
    {
      what: 'a quarter changed, deflated again',
      ...(await pack(shelf, targets, 'deflated', four(deflated, 'b'), four(deflated, 'new'), true)),
    },
    {
      what: 'a program patched',
      ...(await pack(shelf, targets, 'patched', { program }, { program: edited }, true)),
    },
  ];
}

type Contents = Readonly<Record<string, Buffer>>;

async function pack(
  shelf: string,
  targets: string,
  name: string,
  before: Contents,
  after: Contents,
  compress: boolean,
): Promise<Omit<Pair, 'what'>> {
  const manifest = (version: string) =>
    JSON.stringify({
      version,
      modules: Object.keys(before).map((file) => ({ name: file, src: file, dst: join(targets, file) })),
    });
  const paths = ['old', 'new'].map((which) => join(shelf, `${name}-${which}.zip`)) as [string, string];
  const rules = { allowedRoots: [targets], workDirectory: join(targets, '../work') };
  await withSource(manifest('1.0.0'), async (source) => {
    for (const [file, content] of Object.entries(before)) source.write(file, content);
    await source.pack({ outputPath: paths[0], compress, rules });
    source.write('manifest.json', manifest('2.0.0'));
    for (const [file, content] of Object.entries(after)) source.write(file, content);
    await source.pack({ outputPath: paths[1], compress, rules, deltaFrom: [paths[0]] });
  });
  return {
    old: await factsOf(paths[0], `${name}-old.zip`, '1.0.0', before),
    next: await factsOf(paths[1], `${name}-new.zip`, '2.0.0', after),
  };
}

async function factsOf(path: string, name: string, version: string, files: Contents): Promise<BenchPackage> {
  const bytes = await readFile(path);
  const digest = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex');
  const sizes = Object.entries(files).map(([file, { length }]) => ({ name: file, sizeBytes: length }));
  return {
    name,
    path,
    version,
    sizeBytes: bytes.length,
    md5: digest('md5'),
    sha256: digest('sha256'),
    files: sizes,
  };
}
