/**
 * Updates that a device downloads from a real server, having the version before: what changes in each, and how much of it may be fetched.
 * Packages and devices are made once for all servers of a test file.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Candidates } from '../../src/download/candidates.ts';
import { limits } from '../../src/limits.ts';
import { deploy, type Files, packageOf } from '../download/adaptive-store.ts';
import { many } from '../download/adaptive-suite.ts';
import { obtain, requestFor, temporaryDirectory, testHost } from './rig.ts';

export interface Served {
  readonly url: string;
  stop(): Promise<void>;
}

/** Of what is served: how much of it may be fetched. */
export interface Bounds {
  readonly name: string;
  /** Of a package of so many bytes. */
  readonly mostFetched: (packageBytes: number) => number;
  readonly requests: readonly [least: number, most: number];
}

export interface ServedUpdate extends Bounds {
  readonly isLong?: true;
  /** What the device has; undefined: nothing was ever installed. */
  readonly before?: () => Files;
  readonly after: (before: Files) => Files;
}

const MB = 1_000_000;
const noise = (bytes: number) => ({ content: randomBytes(bytes), compress: false });
const noises = (count: number, bytes: number): Files =>
  Object.fromEntries(
    Array.from({ length: count }, (_, n) => [`web/${String(n).padStart(3, '0')}`, noise(bytes)]),
  );

export const servedUpdates: readonly ServedUpdate[] = [
  {
    name: 'one of three files changed',
    before: () => noises(3, 500_000),
    after: (before) => ({ ...before, 'web/001': noise(500_000) }),
    // The changed one, the end of the package, its manifest and a few headers.
    mostFetched: () => 500_000 + limits.tailBytes + 4_000,
    requests: [2, 4],
  },
  {
    name: 'all changed',
    before: () => noises(3, 200_000),
    after: () => noises(3, 200_000),
    mostFetched: (bytes) => bytes + 1_000,
    requests: [1, 3],
  },
  {
    name: 'nothing was installed before',
    after: () => noises(3, 200_000),
    mostFetched: (bytes) => bytes,
    requests: [1, 1],
  },
  {
    name: 'every second of 240 small files changed, more questions than some servers take on a connection',
    before: () => noises(240, 6_000),
    after: (before) => ({ ...before, ...noiseOfEverySecond(before) }),
    mostFetched: (bytes) => 0.5 * bytes + limits.tailBytes + 30_000,
    requests: [115, 125],
  },
  {
    name: '300 MB, one of three files changed',
    isLong: true,
    before: () => noises(3, 100 * MB),
    after: (before) => ({ ...before, 'web/001': noise(100 * MB) }),
    mostFetched: (bytes) => 0.335 * bytes,
    requests: [2, 4],
  },
  {
    name: '2000 deflated files, 20 changed',
    isLong: true,
    before: () => many(2000, 0, 0),
    after: () => many(2000, 20, 100_000),
    mostFetched: (bytes) => 0.075 * bytes,
    requests: [2, 40],
  },
];

function noiseOfEverySecond(files: Files): Files {
  return Object.fromEntries(
    Object.keys(files)
      .filter((_, n) => n % 2 === 0)
      .map((name) => [name, noise(6_000)]),
  );
}

export interface PreparedUpdate {
  /**
   * Downloads it by `serve`, which is given a directory for a server (`www` is for what it serves, and has the package as
   * `package.zip`): the right bytes, and no more fetched than is missing. `hasRanges` false: the whole, once.
   */
  downloadFrom(serve: (directory: string) => Promise<Served>, hasRanges?: boolean): Promise<void>;
  remove(): void;
}

export async function prepareUpdate(update: ServedUpdate): Promise<PreparedUpdate> {
  const work = temporaryDirectory();
  const old = update.before?.() ?? {};
  const packagePath = join(work.path, 'new.zip');
  await packageOf(packagePath, update.after(old));
  const here = update.before && deploy(join(work.path, 'device'), old);
  return { remove: work.remove, downloadFrom: downloading(packagePath, here, update) };
}

/** `here`: what the device has. */
export function downloading(
  packagePath: string,
  here: Candidates | undefined,
  { name, mostFetched, requests }: Bounds,
): PreparedUpdate['downloadFrom'] {
  return async (serve, hasRanges = true) => {
    const bytes = readFileSync(packagePath);
    const place = temporaryDirectory();
    const [downloads, www] = [join(place.path, 'tmp'), join(place.path, 'www')];
    for (const path of [downloads, www]) mkdirSync(path);
    chmodSync(www, 0o755);
    const file = join(www, 'package.zip');
    copyFileSync(packagePath, file);
    chmodSync(file, 0o644);
    utimesSync(file, 1_500_000_000, 1_500_000_000); // Apache does not believe in dates younger than a minute
    const running = await serve(place.path);
    try {
      const got = await downloaded(running.url, downloads, bytes, here);
      console.log(`measured: ${name}: ${got.fetched} of ${bytes.length} bytes in ${got.requests} requests`);
      if (!hasRanges) {
        assert.equal(got, { fetched: bytes.length, requests: 1 });
        return;
      }
      const [least, most] = requests;
      assert.ok(got.fetched <= mostFetched(bytes.length), `${got.fetched} of ${bytes.length}`);
      assert.ok(got.requests >= least && got.requests <= most, `${got.requests} requests`);
    } finally {
      await running.stop();
      rmSync(place.path, { recursive: true, force: true });
    }
  };
}

async function downloaded(
  url: string,
  directory: string,
  bytes: Buffer,
  candidates: Candidates | undefined,
): Promise<{ fetched: number; requests: number }> {
  const got = { fetched: 0, requests: 0 };
  const outcome = await obtain(testHost(), directory, requestFor(url, bytes), {
    candidates,
    // So slow that deflating is worth it on any machine; the clock's sleeps take no time.
    bytesPerSecond: 1_000,
    onReceived: (count) => {
      got.fetched += count;
    },
    onRequest: () => {
      got.requests += 1;
    },
  });
  assert.is(outcome.error, undefined, outcome.error?.message);
  assert.equal(outcome.events, ['verifying']);
  assert.ok(bytes.equals(readFileSync(join(directory, 'package.zip'))), 'the right bytes');
  return got;
}
