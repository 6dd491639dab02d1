/** Packed lists and maps: what goes in comes out, in any order, and thousands take little memory. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { breathing } from '../src/host/breathing.ts';
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
