/** Digests of texts and of small contents, at once: for thousands of them an object each would be work for the collector. */
import type * as Crypto from 'node:crypto';

/** In lower-case hex. */
export type TextDigest = (text: string | Uint8Array) => string;

/** SHA-256 unless another one is named. */
export async function loadTextDigest(name: 'md5' | 'sha256' = 'sha256'): Promise<TextDigest> {
  const crypto: Partial<Pick<typeof Crypto, 'hash'>> & Pick<typeof Crypto, 'createHash'> = await import(
    'node:crypto'
  );
  const { hash } = crypto;
  if (hash !== undefined) return (text) => hash(name, text);
  // Node before 20.12, which armv7 may carry.
  return (text) => crypto.createHash(name).update(text).digest('hex');
}

/** A keyed hash of 32 bits for one table: nobody can choose names that share one. As a digest, since loops over names are slow without a compiler. */
export async function loadTextHash(): Promise<(text: string) => number> {
  const digest = await loadTextDigest();
  const seed = Math.random().toString(36);
  return (text) => Number.parseInt(digest(seed + text).slice(0, 8), 16);
}
