/** Buffers that are freed at once: those that nobody else uses, and no others. */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { giveBack, giveBackFilled } from '../src/give-back.ts';

const canTransfer = 'transfer' in ArrayBuffer.prototype;
const bytes = 40_000;

test('one that fills its memory is freed', () => {
  const own = Buffer.alloc(bytes, 1);
  assert.is(giveBack(own), canTransfer);
  assert.is(own.length, canTransfer ? 0 : bytes);
});

test('and so is what zlib gives where it may write one byte more', () => {
  const text = inflateRawSync(deflateRawSync(Buffer.alloc(bytes, 1)), { chunkSize: bytes + 1 });
  assert.is(text.length, bytes);
  assert.is(giveBack(text), canTransfer);
});

test('a part of one, and a small one, which shares its memory with others, stay as they are', () => {
  const whole = Buffer.alloc(2 * bytes, 1);
  const small = Buffer.from('a small one');
  for (const part of [whole.subarray(0, bytes), whole.subarray(bytes), small]) {
    assert.not.ok(giveBack(part));
    assert.ok(part.length > 0);
  }
  assert.is(small.toString(), 'a small one');
  assert.is(whole[2 * bytes - 1], 1);
});

test('a buffer that was filled part by part is freed with its last part, and not before', () => {
  const size = 2 * Buffer.poolSize;
  const whole = Buffer.alloc(size, 1);
  giveBackFilled(whole.subarray(0, 100));
  giveBackFilled(whole.subarray(100, size - 1));
  assert.is(whole.length, size);
  giveBackFilled(whole.subarray(size - 1));
  assert.is(whole.length, canTransfer ? 0 : size);
});

test('what may be the pool of Node stays, also at its end', () => {
  const pool = Buffer.alloc(Buffer.poolSize, 1);
  giveBackFilled(pool.subarray(100));
  assert.is(pool.length, Buffer.poolSize);
});

test.run();
