/** Memory of a buffer, freed at once: work that goes through thousands of them would leave it to a full collection. */

/**
 * Frees a large buffer that nobody uses any more, where the runtime can (Node 22 and newer): those of work that is under way live through
 * two small collections, and after that only a full one would free them. False where it is left to that.
 */
export function giveBack({ buffer, byteOffset, byteLength }: Uint8Array): boolean {
  const own: { readonly byteLength: number; transfer?(bytes: number): unknown } = buffer;
  // What does not fill its memory shares that with others: Node's pool, which cannot be detached. zlib is given one byte more than it needs.
  const isAlone = byteOffset === 0 && own.byteLength <= byteLength + 1;
  if (own.transfer === undefined || !isAlone || byteLength <= worthwhileBytes) return false;
  own.transfer(0);
  return true;
}

/**
 * The same for a part of a stream of zlib, which fills one buffer after another with them: with the last part, when those before it are
 * not used any more either, the buffer goes.
 */
export function giveBackFilled({ buffer, byteOffset, byteLength }: Uint8Array): void {
  const isLast = byteOffset + byteLength === buffer.byteLength;
  // What is not larger than Node's pool may be the pool.
  if (isLast && buffer.byteLength > Buffer.poolSize) giveBack(new Uint8Array(buffer));
}

/** A smaller one is not worth the call. */
const worthwhileBytes = 16 * 1024;
