/** What a file is remembered by: its SHA-256 where the package declares it, else a seal. */
import crypto, { createHash, randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Fingerprint, isSame, newFingerprinting } from '../../src/deploy/fingerprint.ts';
import { limits } from '../../src/limits.ts';
import { sealOf } from '../fixtures/seal-of.ts';

const bytes = randomBytes(100_003);
const flipped = Uint8Array.from(bytes, (byte, at) => (at === 50_000 ? byte ^ 1 : byte));
const sha256 = createHash('sha256').update(bytes).digest('hex');
const seal = sealOf(bytes, randomBytes(32).toString('hex'));

async function fingerprintOf(content: Uint8Array, wanted?: Fingerprint): Promise<Fingerprint> {
  const fingerprinting = newFingerprinting(crypto, content.length, wanted);
  for (let at = 0; at < content.length; at += 4_097) fingerprinting.update(content.subarray(at, at + 4_097));
  return fingerprinting.finish();
}

test('nothing to compare with: a seal under a key of its own', async () => {
  const [first, second] = [await fingerprintOf(bytes), await fingerprintOf(bytes)];
  assert.equal(first, { seal: sealOf(bytes, first.seal?.key ?? '') });
  assert.is.not(first.seal?.key, second.seal?.key);
});

for (const [kind, wanted] of [
  ['a SHA-256', { sha256 }],
  ['a seal', { seal }],
] as const) {
  test(`${kind} to compare with: made again, the same for the same bytes`, async () => {
    const found = await fingerprintOf(bytes, wanted);
    assert.equal(found, wanted);
    assert.ok(isSame(found, wanted));
  });

  test(`${kind} to compare with: another where one bit, the end or everything is missing`, async () => {
    for (const other of [flipped, bytes.subarray(0, -1), new Uint8Array(0)])
      assert.not.ok(isSame(await fingerprintOf(other, wanted), wanted));
  });
}

test('a small file has its SHA-256, also where nobody declared it', async () => {
  const small = bytes.subarray(0, limits.sealFromBytes - 1);
  assert.equal(await fingerprintOf(small), { sha256: createHash('sha256').update(small).digest('hex') });
});

test('a SHA-256 is never the same as a seal', () => {
  assert.not.ok(isSame({ sha256 }, { seal }));
  assert.not.ok(isSame({ seal }, { sha256 }));
});

test.run();
