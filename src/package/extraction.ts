/**
 * Reading the content of a package's entries. An extraction is ONE pass over the file that feeds the package's digests and the
 * wanted entries at once: the bytes that were deployed are the bytes that were verified. Memory: two read buffers and one
 * inflater, whatever the size.
 */
import { asUpdateError } from '../errors.ts';
import { breather, breathing } from '../host/breathing.ts';
import type { DigestStream } from '../host/digest-thread.ts';
import type { FileStat, OpenFile } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { List } from '../packed-list.ts';
import { type Decoder, type DecoderParts, entryDecoder, type Output } from './entry-decoder.ts';
import type { ArchiveEntry } from './entry-policy.ts';
import { quoted } from './path-fault.ts';
import { isSmall, smallEntries, type WholeEntry } from './small-entries.ts';
import { invalidPackage } from './zip-records.ts';

/** Where an entry's content goes. A failed extraction calls neither again: who opened the sink cleans up. */
export interface EntrySink {
  /** The chunk is only valid until the returned promise resolves. */
  write(chunk: Uint8Array): Promise<void> | void;
  /** All content was written; its size and CRC-32 are right. */
  end(): Promise<void>;
}

/** A set of texts. */
export interface Names {
  readonly size: number;
  has(name: string): boolean;
}

export interface Extraction {
  /** Names of file entries. */
  readonly wanted: Names;
  /** Called for each wanted entry in the order of the file, one at a time. */
  open(entry: ArchiveEntry): Promise<EntrySink>;
  /**
   * Where it is there, it takes the small entries, many at a time, in the place of open(); it is called again before it has resolved. The
   * contents are only valid until then.
   */
  takeMany?(entries: readonly WholeEntry[]): Promise<void>;
  /** Takes every byte of the package, in order. */
  readonly digest: Pick<DigestStream, 'update'> | undefined;
  /** Hears how many bytes of the package have been read so far. */
  onBytes(packageBytesRead: number): void;
  readonly signal: AbortSignal;
}

/** What is asked of an open package: it may be the network's. */
export interface PackageFile extends Pick<OpenFile, 'read' | 'close'> {
  stat(): Promise<Pick<FileStat, 'sizeBytes'>>;
}

export interface PackageFiles {
  open(path: string, how: 'read'): Promise<PackageFile>;
}

/** An open package whose entries were accepted. */
export interface Source {
  readonly file: PackageFile;
  readonly sizeBytes: number;
  /** In the order of the file. */
  readonly entries: List<ArchiveEntry>;
  readonly parts: DecoderParts;
}

/** See Archive.readSmall. */
export async function readSmall(
  source: Source,
  name: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  const isThere = await readEntry(source, name, maxBytes, (chunk) => void chunks.push(Buffer.from(chunk)));
  return isThere ? Buffer.concat(chunks) : undefined;
}

/** See Archive.readEntry. */
export async function readEntry(
  source: Source,
  name: string,
  maxBytes: number,
  output: Output,
): Promise<boolean> {
  const entry = await entryNamed(source.entries, name);
  if (entry === undefined) return false;
  if (entry.isDirectory || entry.isLink)
    throw invalidPackage(`${quoted(name)} is a ${entry.isLink ? 'symlink' : 'directory'}`);
  const stored = Math.max(entry.sizeBytes, entry.compressedBytes);
  if (stored > maxBytes)
    throw invalidPackage(`entry ${quoted(name)} is ${stored} bytes, more than ${maxBytes}`);
  const decoder = entryDecoder(entry, output, source.parts);
  try {
    const buffer = Buffer.alloc(Math.min(limits.chunkBytes, entry.compressedBytes));
    for (let done = 0; done < entry.compressedBytes; ) {
      const part = buffer.subarray(0, entry.compressedBytes - done);
      await readFully(source.file, part, entry.dataStart + done);
      await decoder.write(part);
      done += part.length;
    }
    await decoder.end();
  } finally {
    decoder.abort();
  }
  return true;
}

/** See Archive.extract. */
export async function extract(source: Source, extraction: Extraction): Promise<void> {
  const feed = entryFeed(source, extraction);
  const reader = readAhead(source);
  try {
    for (let position = 0; position < source.sizeBytes; ) {
      extraction.signal.throwIfAborted();
      const chunk = await reader.next();
      const digested = extraction.digest?.update(chunk);
      await feed.take(chunk, position);
      await digested;
      position += chunk.length;
      extraction.onBytes(position);
    }
    await feed.end();
  } finally {
    await feed.abort();
    await reader.idle();
  }
}

/** The first entries are near: a manifest is one of them, as a rule. */
export async function entryNamed<T extends ArchiveEntry>(
  entries: Iterable<T>,
  name: string,
): Promise<T | undefined> {
  for await (const entry of breathing(entries)) if (entry.name === name) return entry;
  return undefined;
}

/** The whole file in order: the next chunk is read while the one before it is digested and written. */
function readAhead({ file, sizeBytes }: Source) {
  let [buffer, other] = [new Uint8Array(limits.readBufferBytes), new Uint8Array(limits.readBufferBytes)];
  let position = 0;
  const readNext = async (): Promise<Uint8Array> => {
    const chunk = buffer.subarray(0, Math.min(buffer.length, sizeBytes - position));
    const length = await readFully(file, chunk, position);
    if (length < chunk.length)
      throw invalidPackage(`the file ends at ${position + length} of ${sizeBytes} bytes`);
    position += length;
    [buffer, other] = [other, buffer];
    return chunk;
  };
  let ahead = readNext();
  return {
    /** The chunk is valid until the next call. */
    async next(): Promise<Uint8Array> {
      const chunk = await ahead;
      ahead = readNext();
      ahead.catch(() => undefined); // heard by the next call, if there is one
      return chunk;
    },
    /** No read is in flight any more: the file may be closed. */
    async idle(): Promise<void> {
      await ahead.catch(() => undefined);
    },
  };
}

/** Cuts the file's chunks into the wanted entries and passes each on to its decoder. */
function entryFeed(source: Source, extraction: Extraction) {
  const { open, wanted } = extraction;
  const nextWanted = wantedOf(source, wanted);
  const small = smallEntries(source.parts, extraction);
  let entry: ArchiveEntry | undefined;
  let isBegun = false;
  let count = 0;
  let current: { decoder: Decoder; sink: EntrySink } | undefined;
  const start = async (begun: ArchiveEntry) => {
    const sink = await open(begun);
    return { sink, decoder: entryDecoder(begun, (chunk) => sink.write(chunk), source.parts) };
  };
  return {
    async take(chunk: Uint8Array, position: number): Promise<void> {
      const chunkEnd = position + chunk.length;
      if (!isBegun) entry = await nextWanted();
      isBegun = true;
      while (entry !== undefined && entry.dataStart < chunkEnd) {
        const end = entry.dataStart + entry.compressedBytes;
        if (isSmall(entry) && entry.dataStart >= position && end <= chunkEnd) {
          const isFull = small.add({
            entry,
            stored: chunk.subarray(entry.dataStart - position, end - position),
          });
          if (isFull) await small.pass();
        } else {
          await small.pass();
          current ??= await start(entry);
          const from = Math.max(entry.dataStart, position);
          const part = chunk.subarray(from - position, Math.min(end, chunkEnd) - position);
          if (part.length > 0) await current.decoder.write(part);
          if (end > chunkEnd) return;
          await current.decoder.end();
          await current.sink.end();
          current.decoder.abort();
          current = undefined;
        }
        count += 1;
        const next: ArchiveEntry | undefined | Promise<ArchiveEntry | undefined> = nextWanted();
        entry = next instanceof Promise ? await next : next;
      }
      await small.pass(); // the chunk is overwritten by the next
    },
    async end(): Promise<void> {
      await small.idle();
      if (count !== wanted.size) throw new Error('a wanted entry is not a file of this archive');
    },
    /** Nothing is under way any more when it has resolved. */
    async abort(): Promise<void> {
      current?.decoder.abort();
      await small.idle().catch(() => undefined);
    },
  };
}

/**
 * The next wanted one each time that it is called. A promise only where the event loop is to turn: where few of many are wanted, as in an
 * update that changes a few files, going through the others takes long.
 */
function wantedOf(
  { entries }: Source,
  wanted: Names,
): () => ArchiveEntry | undefined | Promise<ArchiveEntry | undefined> {
  const iterator = entries[Symbol.iterator]();
  const breathe = breather();
  const next = (): ArchiveEntry | undefined | Promise<ArchiveEntry | undefined> => {
    for (;;) {
      const pause = breathe();
      if (pause !== undefined) return pause.then(next);
      const { done, value } = iterator.next();
      if (done === true) return undefined;
      if (!value.isDirectory && wanted.has(value.name)) return value;
    }
  };
  return next;
}

/** Fills `into` from `position` on, less only at the end of the file; resolves with the number of bytes. */
export async function readFully(file: PackageFile, into: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const length = await file
      .read(into, done, into.length - done, position + done)
      .catch((thrown: unknown) => {
        throw asUpdateError(thrown, 'INVALID_PACKAGE', 'reading the package');
      });
    if (length === 0) break;
    done += length;
  }
  return done;
}
