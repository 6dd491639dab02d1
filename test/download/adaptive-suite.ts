/** A suite whose every test has an empty device and a store that is scripted: what an adaptive download is tried in. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import zlib from 'node:zlib';
import * as assert from 'uvu/assert';
import type { Candidates } from '../../src/download/candidates.ts';
import { fastestCrc32 } from '../../src/zip/crc32.ts';
import { type FaultServer, type Step, startFaultServer } from '../network/fault-server.ts';
import {
  type LoggingHost,
  type Outcome,
  obtain,
  type RunOptions,
  requestFor,
  temporaryDirectory,
  testHost,
} from '../network/rig.ts';
import { type Profile, plainProfile } from '../network/store-profile.ts';
import { suite } from '../runner/suites.ts';
import { type Files, packageOf, text } from './adaptive-store.ts';

export interface Context {
  directory: string;
  server: FaultServer;
  bytes: Buffer;
  cleanUp: () => void;
}

export function adaptiveSuite(name: string) {
  const test = suite<Context>(name, {} as Context);
  test.before.each((context) => {
    const work = temporaryDirectory();
    Object.assign(context, { directory: work.path, cleanUp: work.remove });
  });
  test.after.each(async ({ server, cleanUp }) => {
    await server?.close();
    cleanUp();
  });
  return test;
}

const stored = (content: Buffer) => ({ content, compress: false });
export const [a, b, c, c2] = [1, 2, 3, 4].map(() => randomBytes(600_000)) as [Buffer, Buffer, Buffer, Buffer];
export const oldStored: Files = { 'web/a': stored(a), 'web/b': stored(b), 'web/c': stored(c) };
export const newStored: Files = { 'web/a': stored(a), 'web/b': stored(b), 'web/c': stored(c2) };

/** Pages of which so many are others than those of seed 0. */
export function many(count: number, changed: number, seed: number): Files {
  const names = Array.from({ length: count }, (_, n) => `web/${String(n).padStart(4, '0')}.js`);
  const every = Math.max(1, Math.floor(count / Math.max(changed, 1)));
  return Object.fromEntries(
    names.map((name, n) => [name, { content: text(n + (changed > 0 && n % every === 0 ? seed : 0), 9_000) }]),
  );
}

export interface Run {
  readonly fetched: number;
  readonly reused: number;
  readonly requests: number;
  readonly asked: string[];
  readonly lines: readonly string[];
  readonly error: string | undefined;
  readonly outcome: Outcome;
}

/** Puts a package of these files into a store. */
export async function offer(
  context: Context,
  files: Files,
  profile: Profile = plainProfile,
  steps: readonly Step[] = [],
): Promise<void> {
  await offerBytes(context, await packageOf(join(context.directory, 'new.zip'), files), profile, steps);
}

export async function offerBytes(
  context: Context,
  bytes: Buffer,
  profile: Profile = plainProfile,
  steps: readonly Step[] = [],
): Promise<void> {
  context.bytes = bytes;
  const versions = [bytes, randomBytes(bytes.length)];
  context.server = await startFaultServer({ versions, profile, steps });
}

/** Downloads what is in the store; what comes of it are the right bytes, or an error. */
export async function download(
  context: Context,
  candidates: Candidates | undefined,
  options: RunOptions = {},
  host: LoggingHost = testHost(),
): Promise<Run> {
  const counted = { fetched: 0, reused: 0, requests: 0 };
  const seenBefore = context.server.seen.length;
  const outcome = await obtain(host, context.directory, requestFor(context.server.url, context.bytes), {
    // So slow that deflating is worth it on any machine; the clock's sleeps take no time.
    bytesPerSecond: 1_000,
    ...options,
    candidates,
    onReceived: (bytes) => {
      counted.fetched += bytes;
    },
    onReused: (bytes) => {
      counted.reused += bytes;
    },
    onRequest: () => {
      counted.requests += 1;
    },
  });
  if (outcome.error === undefined)
    assert.ok(context.bytes.equals(Buffer.from(outcome.file ?? [])), 'the right bytes');
  assert.not(existsSync(join(context.directory, 'package.zip.tail')) && outcome.error === undefined);
  const asked = context.server.seen
    .slice(seenBefore)
    .map(({ headers, status }) => `${headers.range ?? 'whole'} ${status}`);
  return { ...counted, asked, lines: host.lines, error: outcome.error?.message, outcome };
}

/** The same entries, deflated by `pack`. */
export function foreign(files: Files, pack: (bytes: Buffer) => Buffer): Buffer {
  const crc32 = fastestCrc32(zlib);
  const [locals, centrals]: [Buffer[], Buffer[]] = [[], []];
  let at = 0;
  for (const [name, { content }] of Object.entries(files)) {
    const bytes = Buffer.from(content as Uint8Array);
    const packed = pack(bytes);
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(8, 4);
    shared.writeUInt16LE(0x21, 8);
    shared.writeUInt32LE(crc32(bytes, 0), 10);
    shared.writeUInt32LE(packed.length, 14);
    shared.writeUInt32LE(bytes.length, 18);
    shared.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), shared, Buffer.from(name), packed]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(at, 10);
    centrals.push(
      Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), shared, place, Buffer.from(name)]),
    );
    locals.push(local);
    at += local.length;
  }
  const directory = Buffer.concat(centrals);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(locals.length, 8);
  end.writeUInt16LE(locals.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...locals, directory, end]);
}
