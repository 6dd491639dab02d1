import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { newSealing } from '../src/seal.ts';
import { sealOf } from './fixtures/seal-of.ts';

const bytes = randomBytes(1_000_003);

test('a seal is the Poly1305 of RFC 8439 over all bytes, in whatever pieces they come', async () => {
  for (const size of [bytes.length, 262_144, 65_536, 4_097, 15]) {
    const sealing = await newSealing();
    for (let at = 0; at < bytes.length; at += size) sealing.update(bytes.subarray(at, at + size));
    const seal = sealing.finish();
    assert.equal(seal, sealOf(bytes, seal.key), `pieces of ${size}`);
  }
});

test('a seal made again under the same key is the same, and another where one bit or one byte is another', async () => {
  const first = await newSealing();
  first.update(bytes);
  const { key, tag } = first.finish();
  const again = async (content: Uint8Array) => {
    const sealing = await newSealing(key);
    sealing.update(content);
    return sealing.finish();
  };
  assert.equal(await again(bytes), { key, tag });
  const flipped = Uint8Array.from(bytes);
  flipped[500_000] = (flipped[500_000] ?? 0) ^ 1;
  const others = [flipped, bytes.subarray(1), bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.alloc(1)])];
  for (const content of others) assert.is.not((await again(content)).tag, tag);
});

test('each seal has a key of its own', async () => {
  const keys = new Set<string>();
  for (let i = 0; i < 100; i++) keys.add((await newSealing()).finish().key);
  assert.is(keys.size, 100);
});

test.run();
