/** Numbers that stand for texts in tables that are as long as a package has files. */
import type * as Crypto from 'node:crypto';

/**
 * A hash of 32 bits, another one for each that is made: who writes a package, or files into a tree, cannot choose names that all have the same.
 * It is a digest of the runtime's: a loop over the units of long names takes milliseconds where no compiler is.
 */
export async function textHash(): Promise<(text: string) => number> {
  const crypto: Partial<Pick<typeof Crypto, 'hash'>> & Pick<typeof Crypto, 'createHash'> = await import(
    'node:crypto'
  );
  const seed = Math.random().toString(36);
  const { hash } = crypto;
  // Node before 20.12 has no call for all at once.
  const digest =
    hash === undefined
      ? (text: string) => crypto.createHash('sha1').update(text).digest('hex')
      : (text: string) => hash('sha1', text, 'hex');
  return (text) => Number.parseInt(digest(seed + text).slice(0, 8), 16);
}
