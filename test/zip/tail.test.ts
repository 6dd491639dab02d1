/** The end of a ZIP read without the rest: what packers write is understood, and nothing that lies can do harm. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { patchingTogether, patchwork } from '../../src/download/patchwork.ts';
import { foretold } from '../../src/zip/frame.ts';
import type { TailEntry } from '../../src/zip/tail.ts';
import { buildPackage, xorshift } from '../fixtures/package-builder.ts';
import { readTail } from '../fixtures/read-tail.ts';

const folder = mkdtempSync(join(tmpdir(), 'tail-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

async function packed(zip64: boolean): Promise<Buffer> {
  const path = join(folder, `${zip64}.zip`);
  const files = {
    'a/one': 'x'.repeat(5_000),
    'a/two': { content: { random: 70_000 }, compress: false },
    'b/': '',
  };
  await buildPackage({ version: '1.0.0', modules: [], files, zip64 }, path);
  return readFileSync(path);
}

for (const zip64 of [false, true])
  test(`entries by yazl${zip64 ? ', zip64' : ''}: each is where it is said to be`, async () => {
    const whole = await packed(zip64);
    const told = readTail(whole, whole.length, 100);
    assert.is(told.kind, 'entries');
    if (told.kind !== 'entries') return;
    assert.equal(told.entries.map(({ name }) => name).sort(), ['a/one', 'a/two', 'b/', 'manifest.json']);
    for (const entry of told.entries) {
      assert.is(whole.readUInt32LE(entry.start), 0x04034b50);
      const frame = foretold(entry);
      if (!zip64 || entry.name.endsWith('/')) assert.ok(frame, entry.name);
      if (frame === undefined) continue;
      const around = Buffer.concat([frame.head, frame.foot]);
      const foot = entry.end - frame.foot.length;
      const real = [
        whole.subarray(entry.start, entry.start + frame.head.length),
        whole.subarray(foot, entry.end),
      ];
      assert.ok(around.equals(Buffer.concat(real)), `the frame of ${entry.name}`);
    }
  });

test('a tail that does not reach back to the directory says how far it must', async () => {
  const whole = await packed(false);
  const told = readTail(whole.subarray(whole.length - 40), whole.length, 100);
  assert.is(told.kind, 'need');
  const again = told.kind === 'need' ? readTail(whole.subarray(told.from), whole.length, 100) : told;
  assert.is(again.kind, 'entries');
});

test('too many entries, and what is no ZIP, are faults', async () => {
  const whole = await packed(false);
  assert.is(readTail(whole, whole.length, 2).kind, 'fault');
  assert.is(readTail(Buffer.alloc(1_000), 5_000, 100).kind, 'fault');
  assert.is(readTail(Buffer.alloc(0), 0, 100).kind, 'fault');
});

test('20 000 damaged tails: never an exception, never an entry outside the file', async () => {
  const random = xorshift(7);
  for (const zip64 of [false, true]) {
    const whole = await packed(zip64);
    const from = whole.length - 400;
    for (let n = 0; n < 10_000; n++) {
      const tail = Buffer.from(whole.subarray(from + (n % 7)));
      for (let k = 0; k <= n % 5; k++) tail.writeUInt8(random() & 0xff, random() % tail.length);
      const told = readTail(tail, whole.length, 100);
      if (told.kind === 'need') assert.ok(told.from >= 0 && told.from < from + 7);
      if (told.kind !== 'entries') continue;
      for (const entry of told.entries) {
        assert.ok(
          entry.start >= 0 && entry.end <= whole.length && entry.start + 30 + entry.packedBytes <= entry.end,
        );
        foretold(entry);
      }
    }
  }
});

test('patchwork: pieces cover the file once and in order, no crumb between two holes, none beyond the tail', () => {
  const random = xorshift(3);
  for (let n = 0; n < 3_000; n++) {
    const entries: TailEntry[] = [];
    let at = random() % 3 === 0 ? random() % 100 : 0;
    for (let k = random() % 12; k >= 0; k--) {
      const packedBytes = random() % 9_000;
      const start = at;
      at += packedBytes + 40 + (random() % 20);
      const none = Buffer.alloc(22);
      const facts = { name: `${k}`, versionNeeded: 20, flags: 0, method: 8, crc32: 1, sizeBytes: 1 };
      entries.push({ ...facts, start, end: at, packedBytes, shared: none, nameBytes: none });
    }
    const sizeBytes = at + 50;
    const tailStart = random() % (sizeBytes + 1);
    const worthBytes = random() % 5_000;
    const held = new Set(entries.filter(() => random() % 2 === 0));
    const heldOf = (entry: TailEntry) =>
      held.has(entry) ? { source: 0, from: entry.start + (random() % 2 === 0 ? 0 : 35) } : undefined;
    const pieces = patchwork(entries, heldOf, { tailStart, sizeBytes, worthBytes });
    let covered = 0;
    for (const { from, to } of pieces) {
      assert.is(from, covered);
      covered = to;
    }
    assert.is(covered, sizeBytes);
    for (const [index, { kind, to }] of pieces.entries()) {
      if (kind !== 'tail') assert.ok(to <= tailStart);
      if (kind !== 'fetch') continue;
      const next = pieces.slice(index + 1);
      const run = next.slice(
        0,
        Math.max(
          0,
          next.findIndex((piece) => piece.kind === 'fetch'),
        ),
      );
      if (!next.some((piece) => piece.kind === 'fetch')) continue;
      assert.ok(run.reduce((sum, piece) => sum + piece.to - piece.from, 0) >= worthBytes, 'a crumb');
    }
  }
});

test('patchwork of very many entries is made a part at a time, and a run of them may be as long as they are many', () => {
  const none = Buffer.alloc(22);
  const facts = { name: 'a', versionNeeded: 20, flags: 0, method: 8, crc32: 1, sizeBytes: 1, packedBytes: 1 };
  const entries = Array.from({ length: 150_000 }, (_, index): TailEntry => {
    return { ...facts, start: 100 * index + 100, end: 100 * index + 200, shared: none, nameBytes: none };
  });
  const sizeBytes = 100 * entries.length + 300;
  const options = { tailStart: sizeBytes - 50, sizeBytes, worthBytes: 1_000 };
  const patching = patchingTogether(entries, ({ start }) => ({ source: 0, from: start }), options);
  let parts = 0;
  let made = patching.next();
  for (; made.done !== true; made = patching.next()) parts += 1;
  assert.is(made.value.length, entries.length + 3); // what is before them, what is between them and the tail, the tail
  assert.ok(parts > entries.length / 100, `${parts} parts`);
});

test.run();
