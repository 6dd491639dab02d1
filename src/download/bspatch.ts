/**
 * Applies a patch to an old file, in constant memory.
 *
 * A patch is a row of records, as Colin Percival's bsdiff makes them (BSD-2-Clause), one after another in one stream:
 *
 *     add, extra, seek   three numbers of 8 bytes, the lowest first, the highest bit the sign
 *     add bytes          each is added (modulo 256) to the next byte of the old file
 *     extra bytes        taken as they are
 *
 * and then the position in the old file goes `seek` on. A record that makes nothing may only come first. Nothing outside the old file
 * is read, and never more made than asked for. Whether it is right is for others to judge (recreate.ts).
 */
import { limits } from '../limits.ts';
import { SourceError } from './source-error.ts';

/** The file that a patch was made against. */
export interface OldFile {
  readonly sizeBytes: number;
  /** Fills `into` with what lies at `position`, all of which is inside of the file; to be awaited where it returns a promise. */
  read(into: Uint8Array, position: number): Promise<void> | undefined;
}

const recordBytes = 24;

/** The `sizeBytes` bytes that the patch makes, in chunks that are valid until the next is asked for. Throws SourceError. */
export async function* bspatch(
  patch: AsyncIterable<Uint8Array>,
  old: OldFile,
  sizeBytes: number,
): AsyncGenerator<Uint8Array> {
  const rest = reader(patch);
  const out = Buffer.allocUnsafeSlow(Math.min(limits.chunkBytes, Math.max(1, sizeBytes)));
  const record = Buffer.alloc(recordBytes);
  let filled = 0;
  let oldAt = 0;
  try {
    for (let made = 0, isFirst = true; made < sizeBytes; isFirst = false) {
      await rest.fill(record);
      const [add, extra, seek] = [numberAt(record, 0), numberAt(record, 8), numberAt(record, 16)];
      if (add < 0 || extra < 0 || add + extra > sizeBytes - made || (add + extra === 0 && !isFirst))
        throw new SourceError('has a patch with a record that does not fit');
      if (add > 0 && (oldAt < 0 || oldAt + add > old.sizeBytes))
        throw new SourceError('has a patch that goes beyond the old file');
      for (let left = add + extra; left > 0; ) {
        const isAdding = left > extra;
        const room = Math.min(isAdding ? left - extra : left, out.length - filled);
        const part = rest.now(room) ?? (await rest.next(room));
        const into = out.subarray(filled, filled + part.length);
        if (isAdding) {
          const read = old.read(into, oldAt);
          if (read !== undefined) await read;
          addTo(into, part);
          oldAt += part.length;
        } else into.set(part);
        left -= part.length;
        made += part.length;
        filled += part.length;
        if (filled === out.length || made === sizeBytes) {
          yield out.subarray(0, filled);
          filled = 0;
        }
      }
      oldAt += seek;
    }
  } finally {
    await rest.close();
  }
}

function numberAt(bytes: Buffer, at: number): number {
  const high = bytes.readUInt32LE(at + 4);
  const magnitude = (high & 0x7fffffff) * 2 ** 32 + bytes.readUInt32LE(at);
  return high > 0x7fffffff ? -magnitude : magnitude;
}

const zeros = Buffer.alloc(4096);

/** A difference is zeros for the most part: long runs of them are passed over at once. */
function addTo(into: Uint8Array, difference: Uint8Array): void {
  for (let at = 0; at < difference.length; ) {
    const step = difference.length - at >= zeros.length ? zeros.length : Math.min(64, difference.length - at);
    const isZeros = zeros.compare(difference, at, at + step, 0, step) === 0;
    const end = at + (isZeros ? step : Math.min(step, 64));
    if (!isZeros) for (let n = at; n < end; n++) into[n] = (into[n] ?? 0) + (difference[n] ?? 0);
    at = end;
  }
}

/** Takes so many bytes at a time out of chunks of any size. */
function reader(chunks: AsyncIterable<Uint8Array>) {
  const source = chunks[Symbol.asyncIterator]();
  let chunk: Uint8Array = new Uint8Array();
  let at = 0;
  /** Of what is at hand, at most `most` bytes; undefined: nothing is. */
  const now = (most: number): Uint8Array | undefined => {
    if (at === chunk.length) return undefined;
    const part = chunk.subarray(at, at + most);
    at += part.length;
    return part;
  };
  const next = async (most: number): Promise<Uint8Array> => {
    for (;;) {
      const part = now(most);
      if (part !== undefined) return part;
      const { value, done } = await source.next();
      if (done === true) throw new SourceError('has a patch that ends early');
      chunk = value;
      at = 0;
    }
  };
  return {
    now,
    next,
    async fill(into: Uint8Array): Promise<void> {
      for (let filled = 0; filled < into.length; ) {
        const part = now(into.length - filled) ?? (await next(into.length - filled));
        into.set(part, filled);
        filled += part.length;
      }
    },
    async close(): Promise<void> {
      await source.return?.();
    },
  };
}
