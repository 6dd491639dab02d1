/** Fuzzers of what a package store hands an adaptive download: the end of a ZIP, and patches. See device-fuzzers.ts. */
import { bspatch } from '../../src/download/bspatch.ts';
import { patchwork } from '../../src/download/patchwork.ts';
import { SourceError } from '../../src/download/source-error.ts';
import { limits } from '../../src/limits.ts';
import { bsdiff } from '../../src/pack/bsdiff.ts';
import { foretold } from '../../src/zip/frame.ts';
import type { TailEntry } from '../../src/zip/tail.ts';
import type { Fuzzer } from '../fixtures/fuzz-package.ts';
import { chance, mutateBytes } from '../fixtures/mutate.ts';
import { rawZip, zip64Extra } from '../fixtures/raw-zip.ts';
import { readTail } from '../fixtures/read-tail.ts';

export function downloadFuzzers(): readonly Fuzzer[] {
  return [
    { name: 'end of a ZIP', run: fuzzTail },
    { name: 'patch', run: fuzzPatch },
  ];
}

const zips: readonly Buffer[] = [
  rawZip({ entries: ['a', 'web/b', 'web/c'].map((name) => ({ name, content: name.repeat(90) })) }),
  rawZip({
    entries: [
      { name: 'a', content: 'x'.repeat(400), method: 8, descriptor: true },
      { name: 'd/', content: '' },
    ],
  }),
  rawZip({
    entries: [{ name: 'big', content: 'y'.repeat(50), local: { extra: zip64Extra(50, 50) } }, { name: 'z' }],
    zip64: {},
  }),
];

/** Whatever it says, the tail is read or refused, and what is planned after it covers the file once and in order. */
async function fuzzTail(seed: number): Promise<string> {
  const dice = chance(seed);
  const honest = dice.pick(zips);
  const marks = [
    honest.indexOf('PK\x01\x02'),
    honest.lastIndexOf('PK\x01\x02'),
    honest.indexOf('PK\x05\x06'),
  ];
  const bytes = mutateBytes(honest, dice, marks);
  // The size is what the request says, whatever the bytes are.
  const sizeBytes = dice.below(4) === 0 ? bytes.length + dice.below(5_000) : bytes.length;
  const tail = bytes.subarray(dice.below(3) === 0 ? dice.below(bytes.length) : 0);
  const told = readTail(tail, Math.max(sizeBytes, tail.length), limits.archiveEntries);
  if (told.kind !== 'entries') return told.kind;
  const held = new Map<TailEntry, { from: number; source: string }>();
  for (const entry of told.entries) {
    const frame = foretold(entry);
    if (
      frame !== undefined &&
      frame.head.length + entry.packedBytes + frame.foot.length !== entry.end - entry.start
    )
      throw new Error(`the frame of ${entry.name} does not fill its extent`);
    if (dice.below(2) === 0)
      held.set(entry, {
        from: frame === undefined ? entry.end - entry.packedBytes : entry.start,
        source: 'x',
      });
  }
  const size = Math.max(sizeBytes, tail.length);
  const tailStart = size - Math.min(tail.length, dice.below(200));
  const pieces = patchwork(told.entries, (entry) => held.get(entry), {
    tailStart,
    sizeBytes: size,
    worthBytes: 40,
  });
  let at = 0;
  for (const { from, to } of pieces) {
    if (from !== at || to < from) throw new Error(`a piece from ${from} to ${to} at ${at}`);
    at = to;
  }
  if (at !== size) throw new Error(`pieces up to ${at} of ${size}`);
  return `${told.entries.length} entries`;
}

const old = Buffer.from(Array.from({ length: 3_000 }, (_, n) => (n * n) % 251));
const now = Buffer.concat([
  old.subarray(0, 900),
  Buffer.from('new'),
  old.subarray(500),
  Buffer.alloc(300, 9),
]);
const patches: readonly Buffer[] = [bsdiff(old, now), bsdiff(old, old), bsdiff(Buffer.alloc(0), now)];

/** Never more bytes than asked for, no read outside the old file, and no end but the whole or a SourceError. */
async function fuzzPatch(seed: number): Promise<string> {
  const dice = chance(seed);
  const honest = dice.pick(patches);
  const marks = [...Array(honest.length).keys()].filter((at) => at % 24 === 0).slice(0, 4);
  const patch = mutateBytes(honest, dice, marks);
  const wanted = dice.below(5) === 0 ? dice.below(9_000) : now.length;
  let reads = 0;
  const base = {
    sizeBytes: old.length,
    read: (into: Uint8Array, position: number) => {
      reads += 1;
      if (position < 0 || position + into.length > old.length) throw new Error('a read outside the old file');
      into.set(old.subarray(position, position + into.length));
      return reads % 3 === 0 ? Promise.resolve() : undefined;
    },
  };
  async function* parts() {
    const step = 1 + dice.below(200);
    for (let at = 0; at < patch.length; at += step) yield patch.subarray(at, at + step);
  }
  let made = 0;
  try {
    for await (const chunk of bspatch(parts(), base, wanted)) {
      made += chunk.length;
      if (chunk.length === 0 || made > wanted) throw new Error(`${made} bytes of ${wanted}`);
    }
    if (made !== wanted) throw new Error(`only ${made} bytes of ${wanted}`);
    return 'whole';
  } catch (thrown) {
    if (thrown instanceof SourceError) return 'refused';
    throw thrown;
  }
}
