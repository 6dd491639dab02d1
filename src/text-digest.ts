/** Digests of texts, at once: for thousands of lines and names an object each would be work for the collector. */
import type * as Crypto from 'node:crypto';

/** SHA-256 in hex. */
export type TextDigest = (text: string | Uint8Array) => string;

export async function loadTextDigest(): Promise<TextDigest> {
  const crypto: Partial<Pick<typeof Crypto, 'hash'>> & Pick<typeof Crypto, 'createHash'> = await import(
    'node:crypto'
  );
  const { hash } = crypto;
  if (hash !== undefined) return (text) => hash('sha256', text);
  // Node before 20.12, which armv7 may carry.
  return (text) => crypto.createHash('sha256').update(text).digest('hex');
}

/** A keyed hash of 32 bits for one table: nobody can choose names that share one. As a digest, since loops over names are slow without a compiler. */
export async function loadTextHash(): Promise<(text: string) => number> {
  const digest = await loadTextDigest();
  const seed = Math.random().toString(36);
  return (text) => Number.parseInt(digest(seed + text).slice(0, 8), 16);
}
