/**
 * The bytes of a package's entry made from what the device has: copied, or deflated again as the packer did; patched before that, where
 * the package brings a patch for what is here.
 *
 * Deflate is the same everywhere where it is node:zlib that deflates, which is what `pack` does; a probe (adaptive.ts) finds out.
 * Invariant: what was made has the CRC-32 and the length that the directory tells, or a SourceError ends it.
 */
import { errno } from '../errors.ts';
import type { Clock, Files, Memory, OpenFile } from '../host/host.ts';
import { limits } from '../limits.ts';
import { type Crc32, fastestCrc32 } from '../zip/crc32.ts';
import { foretold } from '../zip/frame.ts';
import type { TailEntry } from '../zip/tail.ts';
import { bspatch } from './bspatch.ts';
import { type Coding, deflating, inflating } from './coding.ts';
import { oldFile } from './old-file.ts';
import type { Rates } from './rates.ts';
import { isFramed, type Source } from './source.ts';
import { SourceError } from './source-error.ts';

/** Gives bytes of the partial file; fewer only where they are not there. */
export type ReadPart = (position: number, length: number) => Promise<Buffer>;

export interface Maker {
  /** The entry's bytes from its header (where that is foretold) to its end, in chunks that are valid until the next is asked for. */
  make(entry: TailEntry, source: Source, level: number): AsyncGenerator<Uint8Array>;
  /** The content of an entry that the partial file holds. */
  unpacked(entry: TailEntry): AsyncGenerator<Uint8Array>;
}

export async function createMaker(
  { files, memory, clock }: { readonly files: Files; readonly memory: Memory; readonly clock: Clock },
  readPart: ReadPart,
  rates: Pick<Rates, 'made'>,
): Promise<Maker> {
  const zlib = await import('node:zlib');
  const crc32 = fastestCrc32(zlib);
  /** Counts the time that the chunks take, not that of who uses them. */
  async function* timed(
    kind: Source['kind'],
    chunks: AsyncGenerator<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const askedMs = clock.elapsed();
        const { value, done } = await chunks.next();
        rates.made(kind, value?.length ?? 0, clock.elapsed() - askedMs);
        if (done === true) return;
        yield value;
      }
    } finally {
      await chunks.return(undefined);
    }
  }
  return {
    async *make(entry, source, level) {
      const frame = isFramed(source) ? foretold(entry) : undefined;
      if (frame !== undefined) yield frame.head;
      const file = await opened(files, source.path);
      try {
        if (source.kind === 'packed') yield* packedBytes(file, entry, source.position);
        else if (source.kind === 'file' && entry.method === 0)
          yield* checked(entry, summed(content(file, entry), crc32));
        else {
          const made = source.kind === 'file' ? content(file, entry) : patched(file, entry, source);
          const coding = entry.method === 0 ? undefined : deflating(zlib, memory, entry.sizeBytes, level);
          yield* timed(source.kind, checked(entry, summed(made, crc32), coding));
        }
      } finally {
        await file.close();
      }
      if (frame !== undefined && frame.foot.length > 0) yield frame.foot;
    },
    unpacked,
  };

  function unpacked(entry: TailEntry): AsyncGenerator<Uint8Array> {
    const bytes = heldBytes(entry, readPart);
    return entry.method === 0 ? bytes : inflating(zlib, memory)(bytes);
  }

  function patched(
    file: OpenFile,
    { sizeBytes }: TailEntry,
    { oldBytes, patch }: Extract<Source, { kind: 'patched' }>,
  ): AsyncGenerator<Uint8Array> {
    return bspatch(unpacked(patch), oldFile(file, oldBytes), sizeBytes);
  }
}

/** The packed bytes of an entry that the partial file holds. */
async function* heldBytes(entry: TailEntry, readPart: ReadPart): AsyncGenerator<Uint8Array> {
  const header = await readPart(entry.start, 30);
  if (header.length < 30) throw new SourceError('has a patch that is not here');
  const from = entry.start + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
  for (let done = 0; done < entry.packedBytes; ) {
    const part = await readPart(from + done, Math.min(limits.chunkBytes, entry.packedBytes - done));
    if (part.length === 0) throw new SourceError('has a patch that is not here');
    done += part.length;
    yield part;
  }
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
async function* content(file: OpenFile, entry: TailEntry): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(limits.chunkBytes, Math.max(1, entry.sizeBytes)));
  for (let position = 0; position < entry.sizeBytes; ) {
    const got = await read(file, buffer, Math.min(buffer.length, entry.sizeBytes - position), position);
    position += got;
    yield buffer.subarray(0, got);
  }
}

function summed(from: AsyncGenerator<Uint8Array>, crcOf: Crc32): Content {
  let crc = 0;
  async function* chunks() {
    for await (const chunk of from) {
      crc = crcOf(chunk, crc);
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
