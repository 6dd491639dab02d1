/** Packed lists and maps: what goes in comes out, in any order, and thousands take little memory. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { breathing } from '../src/host/breathing.ts';
import { keepScratchIn } from '../src/host/scratch-file.ts';
import { limits } from '../src/limits.ts';
import { loadPacking } from '../src/packed-list.ts';

const test = suite('packed lists');
const { list, map } = await loadPacking();
const sizes = [0, 1, 63, 64, 65, 1000];
const value = (index: number) => ({ path: `/opt/tope/ä"${index}"`, size: index, sha256: 'ab'.repeat(32) });

test('a list gives what was added, whole and one by one, also while it grows', () => {
  for (const size of sizes) {
    const packed = list<ReturnType<typeof value>>();
    const plain = [];
    for (let index = 0; index < size; index++) {
      packed.add(value(index));
      plain.push(value(index));
      assert.equal(packed.at(index), value(index));
    }
    assert.is(packed.length, size);
    assert.equal([...packed], plain);
    for (const index of [0, size >> 1, size - 1, 3, size - 1, 0])
      assert.equal(packed.at(index), plain[index]);
    assert.is(packed.at(size), undefined);
    assert.is(packed.at(-1), undefined);
  }
});

const digest = (index: number) => createHash('sha256').update(String(index)).digest('hex');
/** Of digests: 32 bytes each, which nothing packs any further. */
const moreThanMemory = Math.ceil((1.2 * limits.packedMemoryBytes) / 32);

function assertHolds(size: number): void {
  const packed = map<string>();
  for (let index = 0; index < size; index++) packed.set(`key ${index}`, digest(index));
  assert.is(packed.size, size);
  let index = 0;
  for (const pair of packed) assert.equal(pair, [`key ${index}`, digest(index++)]);
  assert.is(index, size);
  for (let at = size - 1; at >= 0; at -= 997) assert.is(packed.get(`key ${at}`), digest(at));
  assert.not(packed.has(`key ${size}`));
}

test('a list that is too long for memory is in a file that has no name, from its first value on', () => {
  const directory = mkdtempSync(join(tmpdir(), 'tope-scratch-'));
  const opened = () =>
    readdirSync('/proc/self/fd').filter((name) => {
      try {
        return readlinkSync(`/proc/self/fd/${name}`).startsWith(directory);
      } catch {
        return false;
      }
    }).length;
  keepScratchIn(directory);
  try {
    assertHolds(1000);
    assert.is(opened(), 0);
    assertHolds(moreThanMemory);
    assert.is(opened(), 1);
    assert.equal(readdirSync(directory), []);
  } finally {
    keepScratchIn(join(directory, 'none'));
    rmSync(directory, { recursive: true });
  }
});

test('where no such file can be made memory has to do', () => {
  keepScratchIn('/proc/none');
  assertHolds(moreThanMemory);
});

test('what the disk has no more room for stays in memory', () => {
  const directory = mkdtempSync(join(tmpdir(), 'tope-scratch-'));
  const size = `size=${limits.packedMemoryBytes}`;
  const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', size, 'tmpfs', directory]).status === 0;
  if (!isMounted) console.log('skipped: a full disk: needs root and mount');
  keepScratchIn(directory);
  try {
    if (isMounted) assertHolds(moreThanMemory);
  } finally {
    keepScratchIn('/proc/none');
    if (isMounted) assert.is(spawnSync('umount', ['--lazy', directory]).status, 0);
    rmSync(directory, { recursive: true });
  }
});

test('two readers at once do not disturb each other', () => {
  const packed = list<number>();
  for (let index = 0; index < 1000; index++) packed.add(index);
  for (const one of packed) assert.is(packed.at((one * 331) % 1000), (one * 331) % 1000);
});

test('a map knows each key that was set, and no other', () => {
  for (const size of sizes) {
    const packed = map<number>();
    for (let index = 0; index < size; index++) {
      assert.not.ok(packed.has(`key ${index}`));
      packed.set(`key ${index}`, index);
    }
    assert.is(packed.size, size);
    for (let index = size - 1; index >= 0; index--) assert.is(packed.get(`key ${index}`), index);
    assert.is(packed.get(`key ${size}`), undefined);
    assert.equal(
      [...packed],
      Array.from({ length: size }, (_, index) => [`key ${index}`, index]),
    );
  }
});

test('keys of the same hash are told apart', () => {
  // Two pairs that collide under FNV-1a of 32 bits.
  const packed = map<string>();
  for (const key of ['costarring', 'declinate', 'macallums']) packed.set(key, key);
  assert.not.ok(packed.has('liquid'));
  assert.not.ok(packed.has('altarage'));
  packed.set('liquid', 'liquid');
  assert.equal(
    ['costarring', 'liquid', 'macallums'].map((key) => packed.get(key)),
    ['costarring', 'liquid', 'macallums'],
  );
});

test('some hundred bytes hold what is known of a file', () => {
  globalThis.gc?.();
  const before = process.memoryUsage();
  const packed = map<ReturnType<typeof value>>();
  for (let index = 0; index < 20_000; index++)
    packed.set(`/opt/tope/part-${index % 200}/file-${index}`, value(index));
  globalThis.gc?.();
  const after = process.memoryUsage();
  const grown = after.external + after.arrayBuffers - before.external - before.arrayBuffers;
  assert.ok(grown < 160 * 20_000, `${grown} bytes outside of the heap`);
});

test('a long loop lets others have their turn', async () => {
  let turns = 0;
  const count = () => {
    turns += 1;
    turning = setImmediate(count);
  };
  let turning = setImmediate(count);
  function* work() {
    for (let item = 0; item < 100; item++) {
      for (const begun = performance.now(); performance.now() < begun + 1; );
      yield item;
    }
  }
  for await (const _ of breathing(work()));
  clearImmediate(turning);
  assert.ok(turns >= 4, `${turns} turns in 100 ms of work`);
});

test.run();
