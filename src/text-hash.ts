/** Numbers that stand for texts in tables that are as long as a package has files. */

/**
 * A hash of 32 bits, another one for each that is made: who writes a package, or files into a tree, cannot choose names that all have the same.
 * It is a digest of the runtime's: a loop over the units of long names takes milliseconds where no compiler is.
 */
export async function textHash(): Promise<(text: string) => number> {
  const { hash } = await import('node:crypto');
  const seed = Math.random().toString(36);
  return (text) => Number.parseInt(hash('sha1', seed + text, 'hex').slice(0, 8), 16);
}
