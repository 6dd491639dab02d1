/** Differences of files, and what the device makes of them: whatever the two files are, the right bytes. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bspatch, type OldFile } from '../../src/download/bspatch.ts';
import { SourceError } from '../../src/download/source-error.ts';
import { bsdiff } from '../../src/pack/bsdiff.ts';
import { sortedSuffixes } from '../../src/pack/suffixes.ts';
import { chance } from '../fixtures/mutate.ts';

const test = suite('bsdiff');

/** An old file in memory that refuses to be read outside of itself. */
function inMemory(bytes: Buffer): OldFile {
  return {
    sizeBytes: bytes.length,
    read: (into, position) => {
      if (position < 0 || position + into.length > bytes.length) throw new Error('read outside the old file');
      bytes.copy(into, 0, position, position + into.length);
      return undefined;
    },
  };
}

async function* inParts(bytes: Buffer, partBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += partBytes) yield bytes.subarray(at, at + partBytes);
}

async function applied(patch: Buffer, old: Buffer, sizeBytes: number, partBytes = 1000): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of bspatch(inParts(patch, partBytes), inMemory(old), sizeBytes))
    chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

function bytesOf(seed: number, count: number, values = 256): Buffer {
  const dice = chance(seed);
  return Buffer.from(Array.from({ length: count }, () => dice.below(values)));
}

/** A program after some work on it: pieces come, go, move, and numbers in it change. */
function edited(old: Buffer, seed: number): Buffer {
  const dice = chance(seed);
  let now = Buffer.from(old);
  for (let edits = dice.below(8); edits > 0; edits--) {
    const [at, length] = [dice.below(now.length + 1), dice.below(400)];
    const kind = dice.below(4);
    if (kind === 0)
      now = Buffer.concat([now.subarray(0, at), bytesOf(seed + edits, length), now.subarray(at)]);
    else if (kind === 1) now = Buffer.concat([now.subarray(0, at), now.subarray(at + length)]);
    else if (kind === 2) now = Buffer.concat([now.subarray(at), now.subarray(0, at)]);
    else for (let n = 0; n < 30 && now.length > 0; n++) now[dice.below(now.length)] = dice.below(256);
  }
  return now;
}

const program = bytesOf(1, 20_000, 40);
const pairs: readonly (readonly [string, Buffer, Buffer])[] = [
  ['both empty', Buffer.alloc(0), Buffer.alloc(0)],
  ['an empty old file', Buffer.alloc(0), program],
  ['an empty new file', program, Buffer.alloc(0)],
  ['equal', program, program],
  ['unrelated', bytesOf(2, 9_000), bytesOf(3, 8_000)],
  ['zeros, more of them', Buffer.alloc(10_000), Buffer.alloc(70_000)],
  ['zeros, fewer of them', Buffer.alloc(70_000), Buffer.alloc(10_000)],
  ['a period of two', Buffer.alloc(9_000, 'ab'), Buffer.alloc(9_001, 'ba')],
  ['an old file much longer', Buffer.concat([bytesOf(4, 90_000), program]), program],
  [
    'halves that changed places',
    program,
    Buffer.concat([program.subarray(9_999), program.subarray(0, 9_999)]),
  ],
];
for (const [name, old, now] of pairs)
  test(`${name}: the patch makes the new file`, async () => {
    assert.ok((await applied(bsdiff(old, now), old, now.length)).equals(now));
  });

test('300 pairs of files that were edited, read in parts of any size', async () => {
  for (let seed = 1; seed <= 300; seed++) {
    const old = bytesOf(seed, (seed * 37) % 3_000, seed % 3 === 0 ? 3 : 200);
    const now = edited(old, seed);
    const made = await applied(bsdiff(old, now), old, now.length, 1 + (seed % 50));
    assert.ok(made.equals(now), `seed ${seed}`);
  }
});

test('a small change in a large file is a small patch', async () => {
  const now = Buffer.concat([
    program.subarray(0, 5_000),
    Buffer.from('something new'),
    program.subarray(5_000),
  ]);
  const { deflateRawSync } = await import('node:zlib');
  assert.ok(deflateRawSync(bsdiff(program, now)).length < 200);
});

test('suffixes are in their order', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const text = bytesOf(seed, (seed * 13) % 300, 1 + (seed % 4));
    const order = [...sortedSuffixes(text)];
    const expected = [...Array(text.length + 1).keys()].sort((a, b) =>
      Buffer.compare(text.subarray(a), text.subarray(b)),
    );
    assert.equal(order, expected, `seed ${seed}`);
  }
});

const isInstalled = ['bsdiff', 'bzip2'].every((name) => spawnSync('which', [name]).status === 0);
if (!isInstalled) console.log('skipped: the records of bsdiff itself: no bsdiff program');
(isInstalled ? test : test.skip)('the very records of bsdiff 4.3', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bsdiff-'));
  const path = (name: string) => join(folder, name);
  try {
    for (let seed = 1; seed <= 12; seed++) {
      const old = bytesOf(seed, 4_000, 20);
      const now = edited(old, seed);
      writeFileSync(path('old'), old);
      writeFileSync(path('new'), now);
      execFileSync('bsdiff', [path('old'), path('new'), path('patch')]);
      const theirs = interleaved(readFileSync(path('patch')));
      assert.ok(theirs.equals(bsdiff(old, now)), `seed ${seed}`);
      assert.ok((await applied(theirs, old, now.length)).equals(now));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Its three streams (control, differences, extra bytes) as one; what makes nothing goes into the record before. */
function interleaved(patch: Buffer): Buffer {
  const [controlBytes, addBytes] = [8, 16].map((at) => Number(patch.readBigInt64LE(at))) as [number, number];
  const unpack = (from: number, to?: number) =>
    execFileSync('bzip2', ['-dc'], { input: patch.subarray(from, to) });
  const control = unpack(32, 32 + controlBytes);
  const added = unpack(32 + controlBytes, 32 + controlBytes + addBytes);
  const extras = unpack(32 + controlBytes + addBytes);
  const parts: Buffer[] = [];
  let [atAdd, atExtra] = [0, 0];
  for (let at = 0; at < control.length; at += 24) {
    const record = control.subarray(at, at + 24);
    const [add, extra] = [record.readUInt32LE(0), record.readUInt32LE(8)];
    assert.ok(add + extra > 0 || at === 0, 'a record that makes nothing');
    parts.push(record, added.subarray(atAdd, atAdd + add), extras.subarray(atExtra, atExtra + extra));
    atAdd += add;
    atExtra += extra;
  }
  return Buffer.concat(parts);
}

function record(add: number, extra: number, seek: number, ...bytes: number[]): Buffer {
  const head = Buffer.alloc(24);
  [add, extra, seek].forEach((value, n) => {
    head.writeBigUInt64LE(BigInt(Math.abs(value)) | (value < 0 ? 1n << 63n : 0n), n * 8);
  });
  return Buffer.concat([head, Buffer.from(bytes)]);
}

const old = Buffer.from('0123456789');
const bad: readonly (readonly [string, Buffer])[] = [
  ['that ends within a record', record(1, 0, 0).subarray(0, 20)],
  ['that ends before its bytes', record(4, 0, 0, 0, 0)],
  ['that ends before all is made', record(1, 1, 0, 0, 65)],
  ['with a negative count', record(-1, 3, 0, 65, 65, 65)],
  ['that makes more than the entry has', record(3, 2, 0, 0, 0, 0, 65, 65)],
  ['with counts beyond all numbers', record(2 ** 52, 2 ** 52, 0)],
  ['that starts before the old file', Buffer.concat([record(0, 0, -1), record(4, 0, 0, 0, 0, 0, 0)])],
  ['that reads behind the old file', Buffer.concat([record(0, 0, 8), record(4, 0, 0, 0, 0, 0, 0)])],
  ['whose records make nothing', Buffer.concat(Array.from({ length: 9 }, () => record(0, 0, 1)))],
  ['that is empty', Buffer.alloc(0)],
];
for (const [name, patch] of bad)
  test(`a patch ${name} is refused, and nothing outside the old file is read`, async () => {
    try {
      await applied(patch, old, 4);
      assert.unreachable();
    } catch (thrown) {
      assert.instance(thrown, SourceError);
    }
  });

test('a seek may lead anywhere as long as nothing is read there', async () => {
  const patch = Buffer.concat([
    record(2, 0, 2 ** 40, 1, 1),
    record(0, 1, -(2 ** 40) - 2, 65),
    record(1, 0, 0, 0),
  ]);
  assert.is((await applied(patch, old, 4)).toString(), '12A0');
});

test.run();
