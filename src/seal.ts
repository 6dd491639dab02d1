/**
 * A seal tells later, in one fast pass, that a file still holds the same bytes: of a package at its install (FR-001b), of a
 * deployed file in an audit. It is a message authentication code, Poly1305 under a random key of its own (RFC 8439): equal seals
 * mean equal bytes, nobody without the key can make others that fit, and it takes a sixteenth of MD5's time.
 */
import type * as Crypto from 'node:crypto';
import * as v from 'valibot';

/** Lower-case hex. Kept where only the updater reads: in state.json, in journals and in the records of what is deployed, mode 0600. */
export const SealSchema = v.object({
  key: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  tag: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
});
export type Seal = v.InferOutput<typeof SealSchema>;

export interface Sealing {
  update(bytes: Uint8Array): undefined;
  /** Ends the computation. */
  finish(): Seal;
}

/** Begins a seal under a new random key, or under that of a seal to compare with. */
export async function newSealing(key?: Seal['key']): Promise<Sealing> {
  return sealingWith(await import('node:crypto'), key);
}

/** The same with the module at hand, which to load again for each of thousands of files would take longer than a seal. */
export function sealingWith(
  { createCipheriv, randomBytes }: Pick<typeof Crypto, 'createCipheriv' | 'randomBytes'>,
  key?: Seal['key'],
): Sealing {
  const secret = key === undefined ? randomBytes(keyBytes) : Buffer.from(key, 'hex');
  // Nothing is encrypted: the package is what this AEAD calls additional data. A key is used for one package only, so the
  // nonce may be a constant.
  const cipher = createCipheriv('chacha20-poly1305', secret, Buffer.alloc(nonceBytes), {
    authTagLength: tagBytes,
  });
  return {
    update(bytes) {
      cipher.setAAD(bytes, { plaintextLength: 0 });
      return undefined;
    },
    finish() {
      cipher.final();
      return { key: secret.toString('hex'), tag: cipher.getAuthTag().toString('hex') };
    },
  };
}

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
