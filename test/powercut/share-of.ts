/** The other side of in-parallel.ts: what one of its processes is to do. */

/** Of `all`, those that are this process's share. */
export function shareOf<T>(all: readonly T[]): T[] {
  const [share = 0, shares = 1] = process.argv.slice(2).map(Number);
  return all.filter((_, index) => index % shares === share);
}
