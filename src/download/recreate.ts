/**
 * The bytes of a package's entry made from what the device has: copied, or deflated again as the packer did.
 *
 * Deflate is the same everywhere where it is node:zlib that deflates, which is what `pack` does; a probe (adaptive.ts) finds out.
 * Invariant: what was made has the CRC-32 and the length that the directory tells, or a SourceError ends it.
 */
import type * as Zlib from 'node:zlib';
import { errno } from '../errors.ts';
import type { Clock, Files, Memory, OpenFile } from '../host/host.ts';
import { limits } from '../limits.ts';
import { type Crc32, fastestCrc32 } from '../zip/crc32.ts';
import type { Frame } from '../zip/frame.ts';
import type { TailEntry } from '../zip/tail.ts';

export type Source =
  /** A file with the entry's content. */
  | { readonly kind: 'file'; readonly path: string; readonly frame: Frame }
  /** The packed bytes stand in another package, at `position`. */
  | {
      readonly kind: 'packed';
      readonly path: string;
      readonly position: number;
      readonly frame: Frame | undefined;
    };

/** What was thought to be the entry's content is not, or cannot be read. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
}

export interface Maker {
  /** The entry's bytes from its header (where that is foretold) to its end, in chunks that are valid until the next is asked for. */
  make(entry: TailEntry, source: Source, level: number): AsyncGenerator<Uint8Array>;
  /** How fast packed bytes come from deflating, so far; undefined: not known yet. */
  deflatedBytesPerMs(): number | undefined;
}

export async function createMaker(files: Files, memory: Memory, clock: Clock): Promise<Maker> {
  const zlib = await import('node:zlib');
  const crc32 = fastestCrc32(zlib);
  const pace = { bytes: 0, ms: 0 };
  /** Counts the time that the chunks take, not that of who uses them. */
  async function* timed(chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const askedMs = clock.elapsed();
        const { value, done } = await chunks.next();
        pace.ms += clock.elapsed() - askedMs;
        if (done === true) return;
        pace.bytes += value.length;
        yield value;
      }
    } finally {
      await chunks.return(undefined);
    }
  }
  return {
    deflatedBytesPerMs: () =>
      pace.bytes < limits.probeBytes / 4 ? undefined : pace.bytes / Math.max(pace.ms, 1),
    async *make(entry, source, level) {
      if (source.frame !== undefined) yield source.frame.head;
      const file = await opened(files, source.path);
      try {
        if (source.kind === 'packed') yield* packedBytes(file, entry, source.position);
        else if (entry.method === 0) yield* checked(entry, content(file, entry, crc32));
        else yield* timed(checked(entry, content(file, entry, crc32), deflating(zlib, memory, entry, level)));
      } finally {
        await file.close();
      }
      if (source.frame !== undefined && source.frame.foot.length > 0) yield source.frame.foot;
    },
  };
}

async function opened(files: Files, path: string): Promise<OpenFile> {
  try {
    return await files.open(path, 'read');
  } catch (thrown) {
    if (errno(thrown) === undefined) throw thrown;
    throw new SourceError(`${path} cannot be read: ${(thrown as Error).message}`);
  }
}

interface Content {
  readonly chunks: AsyncGenerator<Uint8Array>;
  /** Of what has been read. */
  crc32(): number;
}

/** A file's bytes, no more than the entry has. */
function content(file: OpenFile, entry: TailEntry, crcOf: Crc32): Content {
  let crc = 0;
  async function* chunks() {
    const buffer = new Uint8Array(Math.min(limits.chunkBytes, Math.max(1, entry.sizeBytes)));
    for (let position = 0; position < entry.sizeBytes; ) {
      const got = await read(file, buffer, Math.min(buffer.length, entry.sizeBytes - position), position);
      const chunk = buffer.subarray(0, got);
      crc = crcOf(chunk, crc);
      position += got;
      yield chunk;
    }
  }
  return { chunks: chunks(), crc32: () => crc };
}

async function read(file: OpenFile, into: Uint8Array, length: number, position: number): Promise<number> {
  let got: number;
  try {
    got = await file.read(into, 0, length, position);
  } catch (thrown) {
    if (errno(thrown) === undefined) throw thrown;
    throw new SourceError(`cannot be read: ${(thrown as Error).message}`);
  }
  if (got === 0) throw new SourceError('is shorter than it was');
  return got;
}

async function* packedBytes(file: OpenFile, entry: TailEntry, from: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(limits.chunkBytes);
  for (let done = 0; done < entry.packedBytes; ) {
    const got = await read(file, buffer, Math.min(buffer.length, entry.packedBytes - done), from + done);
    done += got;
    yield buffer.subarray(0, got);
  }
}

type Coding = (chunks: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array>;

/** Passes the content on, coded, and compares CRC-32 and packed length at its end. */
async function* checked(entry: TailEntry, from: Content, coding?: Coding): AsyncGenerator<Uint8Array> {
  let packed = 0;
  for await (const chunk of coding === undefined ? from.chunks : coding(from.chunks)) {
    packed += chunk.length;
    if (packed > entry.packedBytes) throw new SourceError('packs to more than the package has');
    yield chunk;
  }
  if (from.crc32() !== entry.crc32) throw new SourceError('is not what was deployed');
  if (packed !== entry.packedBytes) throw new SourceError('packs to less than the package has');
}

/** memLevel and the rest are zlib's defaults, as yazl's. */
function deflating(zlib: typeof Zlib, memory: Memory, entry: TailEntry, level: number): Coding {
  if (entry.sizeBytes <= limits.deflateAtOnceBytes)
    return async function* (chunks) {
      const parts: Buffer[] = [];
      for await (const chunk of chunks) parts.push(Buffer.from(chunk));
      const packed = zlib.deflateRawSync(Buffer.concat(parts), { level });
      memory.produced(packed.length + entry.sizeBytes);
      yield packed;
    };
  return async function* (chunks) {
    const deflater = zlib.createDeflateRaw({ level, chunkSize: limits.chunkBytes });
    const pump = async () => {
      for await (const chunk of chunks)
        await new Promise<void>((resolve, reject) =>
          deflater.write(chunk, (error) => (error ? reject(error) : resolve())),
        );
      deflater.end();
    };
    pump().catch((thrown: Error) => deflater.destroy(thrown));
    for await (const packed of deflater as AsyncIterable<Buffer>) {
      memory.produced(packed.length);
      yield packed;
    }
  };
}
