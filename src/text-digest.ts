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

/**
 * A hash of 32 bits for a table, another one for each that is made: who writes a package, or files into a tree, cannot choose names that all
 * have the same. A digest, as a loop over the units of long names takes milliseconds where no compiler is.
 */
export async function loadTextHash(): Promise<(text: string) => number> {
  const digest = await loadTextDigest();
  const seed = Math.random().toString(36);
  return (text) => Number.parseInt(digest(seed + text).slice(0, 8), 16);
}
