/**
 * Opening a package's ZIP: the only file that knows yauzl, which parses the central directory. entry-policy.ts and
 * zip-records.ts judge every record before anything else happens; extraction.ts reads content. Memory: two windows of 16 KiB,
 * 200 bytes an entry while opening, then about 50.
 */
import type * as Yauzl from 'yauzl';
import type { Entry, ExtraField, ZipFile } from 'yauzl';
import { asUpdateError } from '../errors.ts';
import type { Memory } from '../host/host.ts';
import { limits } from '../limits.ts';
import { loadPacking, type PackedList } from '../packed-list.ts';
import { fastestCrc32 } from '../zip/crc32.ts';
import { type DecoderParts, decodeWhole, type Output } from './entry-decoder.ts';
import {
  type ArchiveEntry,
  acceptEntry,
  addExtent,
  type CentralRecord,
  checkLayout,
  type Extent,
  hasDescriptor,
  type LocalRecord,
  nameRegister,
} from './entry-policy.ts';
import {
  type Extraction,
  extract,
  type PackageFile,
  type PackageFiles,
  readEntry,
  readFully,
  readSmall,
  type Source,
} from './extraction.ts';
import { isPrintable, printable, quoted } from './path-fault.ts';
import {
  checkEnd,
  descriptorLength,
  descriptorMaxBytes,
  endRecordsBytes,
  invalidPackage,
} from './zip-records.ts';

/** An entry; `link` is where a symlink leads to. */
export type PackagedEntry = ArchiveEntry & { readonly link?: string };

export interface Archive {
  readonly sizeBytes: number;
  /** In the order in which they lie in the file. */
  readonly entries: PackedList<PackagedEntry>;
  /** Content of a small file entry; undefined when there is none. More than `maxBytes` is INVALID_PACKAGE. */
  readSmall(name: string, maxBytes: number): Promise<Uint8Array | undefined>;
  /** The same of any size, a part at a time. False when there is none. */
  readEntry(name: string, maxBytes: number, output: Output): Promise<boolean>;
  /** Reads the whole package once. Rejects with INVALID_PACKAGE for content that is not as declared, the reason of `signal`, or what a sink threw. */
  extract(extraction: Extraction): Promise<void>;
  close(): Promise<void>;
}

/** What parsing one entry leaves to the garbage collector, roughly: buffers, promises, header objects. */
const recordGarbageBytes = 2048;

/** What is known of an open package's content: enough to open it once more without judging it again. */
export type Listing = Pick<Archive, 'sizeBytes' | 'entries'>;

/** Opens a package and judges every entry. Throws INVALID_PACKAGE. Spec section 4. `known`: the listing of the very same bytes, judged before. */
export async function openArchive(
  host: { readonly files: PackageFiles; readonly memory: Memory },
  path: string,
  known?: Listing,
): Promise<Archive> {
  const file = await host.files.open(path, 'read').catch((thrown: unknown) => {
    throw asUpdateError(thrown, 'INVALID_PACKAGE', `opening ${path}`);
  });
  try {
    const { sizeBytes } = await file.stat();
    const zlib = await import('node:zlib');
    const produced = (bytes: number) => host.memory.produced(bytes);
    const parts = { zlib, crc32: fastestCrc32(zlib), produced };
    if (known !== undefined && known.sizeBytes !== sizeBytes)
      throw invalidPackage(`${sizeBytes} bytes instead of ${known.sizeBytes}`);
    const entries = known?.entries ?? (await readEntries(file, sizeBytes, parts));
    const source: Source = { file, sizeBytes, entries, parts };
    return {
      sizeBytes,
      entries,
      readSmall: (name, maxBytes) => readSmall(source, name, maxBytes),
      readEntry: (name, maxBytes, output) => readEntry(source, name, maxBytes, output),
      extract: (extraction) => extract(source, extraction),
      close: () => file.close(),
    };
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
}

async function readEntries(
  file: PackageFile,
  sizeBytes: number,
  parts: DecoderParts,
): Promise<PackedList<PackagedEntry>> {
  const yauzl = await import('yauzl');
  const read = windowedRead(file);
  const zip = await openZip(yauzl, read, sizeBytes);
  if (zip.entryCount > limits.archiveEntries)
    throw invalidPackage(`${zip.entryCount} entries, more than ${limits.archiveEntries}`);
  const directoryStart = nextRecord(zip);
  const tail = Buffer.alloc(Math.min(endRecordsBytes, sizeBytes));
  await readFully(file, tail, sizeBytes - tail.length);
  const facts = { fileBytes: sizeBytes, entryCount: zip.entryCount, directoryStart };
  const directoryEnd = checkEnd(tail, { ...facts, commentBytes: zip.comment.length });
  if (directoryEnd - directoryStart > limits.archiveDirectoryBytes)
    throw invalidPackage(
      `a central directory of ${directoryEnd - directoryStart} bytes, more than ${limits.archiveDirectoryBytes}`,
    );

  const packing = await loadPacking();
  const entries = packing.list<PackagedEntry>();
  let isInOrder = true;
  let lastStart = 0;
  const extents: Extent[] = [];
  const register = nameRegister(packing.map());
  let unpackedBytes = 0;
  for await (const record of eachRecord(zip)) {
    const central = centralRecord(record);
    const local = await localRecord(yauzl, zip, record);
    const entry = acceptEntry(central, local);
    register(entry);
    parts.produced(recordGarbageBytes);
    unpackedBytes += entry.sizeBytes;
    if (unpackedBytes > limits.unpackedBytes)
      throw invalidPackage(`claims to unpack to more than ${limits.unpackedBytes} bytes`);
    entries.add(entry.isLink ? { ...entry, link: await linkOf(read, entry, parts) } : entry);
    const start = central.headerStart;
    isInOrder &&= start >= lastStart;
    lastStart = start;
    addExtent(extents, { name: entry.name, start, end: await endOfData(read, central, entry) });
  }
  if (nextRecord(zip) !== directoryEnd)
    throw invalidPackage(`the central directory ends at ${nextRecord(zip)}, not at ${directoryEnd}`);
  checkLayout(extents, directoryStart);
  if (isInOrder) return entries;
  const sorted = packing.list<PackagedEntry>();
  for (const entry of [...entries].sort((a, b) => a.dataStart - b.dataStart)) sorted.add(entry);
  return sorted;
}

/** Where a symlink leads to: it stands right behind the header that was just read. */
async function linkOf(read: Read, entry: ArchiveEntry, parts: DecoderParts): Promise<string> {
  const stored = Buffer.alloc(entry.compressedBytes);
  if ((await read(stored, entry.dataStart)) < stored.length)
    throw invalidPackage(`entry ${quoted(entry.name)} ends behind the end of the file`);
  const bytes = Buffer.from(decodeWhole(entry, stored, parts));
  const text = bytes.toString('utf8');
  if (!Buffer.from(text).equals(bytes) || !isPrintable(text))
    throw invalidPackage(
      `entry ${quoted(entry.name)} is a symlink to ${quoted(text)}, which is not plain text`,
    );
  return text;
}

/** Position of the record that yauzl reads next; its type package calls the number a boolean. */
function nextRecord(zip: ZipFile): number {
  return Number(zip.readEntryCursor);
}

/** Reads at a position until `into` is full or the file ends; resolves with the number of bytes. */
type Read = (into: Buffer, position: number) => Promise<number>;

/** yauzl asks for a few dozen bytes at a time, now of the directory, now of a local header: two windows make a few large reads of that. */
function windowedRead(file: PackageFile): Read {
  const windowBytes = 16 * 1024;
  let [recent, other] = [0, 1].map(() => ({ buffer: Buffer.alloc(windowBytes), start: 0, length: 0 }));
  return async (into, position) => {
    if (recent === undefined || other === undefined) throw new Error('no window');
    const covers = (w: { start: number; length: number }) =>
      position >= w.start && position + into.length <= w.start + w.length;
    if (!covers(recent)) [recent, other] = [other, recent];
    if (!covers(recent)) {
      if (into.length > windowBytes) return readFully(file, into, position);
      recent.length = await readFully(file, recent.buffer, position);
      recent.start = position;
    }
    const from = position - recent.start;
    return recent.buffer.copy(into, 0, from, Math.min(from + into.length, recent.length));
  };
}

async function openZip(yauzl: typeof Yauzl, read: Read, sizeBytes: number): Promise<ZipFile> {
  class PackageReader extends yauzl.RandomAccessReader {
    override read(
      buffer: Buffer,
      offset: number,
      length: number,
      position: number,
      callback: (error: Error | null, bytesRead?: number) => void,
    ): void {
      // Positions come from the file and may be absurd; behind its end there is nothing to read.
      const part = buffer.subarray(offset, offset + length);
      const result = position < sizeBytes ? read(part, position) : Promise.resolve(0);
      result.then((bytesRead) => callback(null, bytesRead), callback);
    }
  }
  const options = { autoClose: false, decodeStrings: false };
  return yauzl.fromRandomAccessReaderPromise(new PackageReader(), sizeBytes, options).catch(inYauzlsWords);
}

/** What yauzl finds wrong is wrong with the package. */
function inYauzlsWords(thrown: unknown): never {
  if (thrown instanceof Error && thrown.name === 'Error')
    throw invalidPackage(printable(thrown.message), thrown);
  throw thrown;
}

async function* eachRecord(zip: ZipFile): AsyncGenerator<Entry> {
  const records = zip.eachEntry();
  for (;;) {
    const next = await records.next().catch(inYauzlsWords);
    if (next.done === true) return;
    yield next.value;
  }
}

function centralRecord(entry: Entry): CentralRecord {
  return {
    nameBytes: entry.fileNameRaw,
    flags: entry.generalPurposeBitFlag,
    method: entry.compressionMethod,
    headerStart: entry.relativeOffsetOfLocalHeader,
    madeBy: entry.versionMadeBy,
    externalAttributes: entry.externalFileAttributes,
    extraFields: entry.extraFields,
    crc32: entry.crc32,
    compressedBytes: entry.compressedSize,
    sizeBytes: entry.uncompressedSize,
  };
}

async function localRecord(yauzl: typeof Yauzl, zip: ZipFile, entry: Entry): Promise<LocalRecord> {
  const header = await zip.readLocalFileHeaderPromise(entry).catch(inYauzlsWords);
  let extraFields: ExtraField[];
  try {
    extraFields = yauzl.parseExtraFields(header.extraField);
  } catch (thrown) {
    return inYauzlsWords(thrown);
  }
  return {
    nameBytes: header.fileName,
    flags: header.generalPurposeBitFlag,
    method: header.compressionMethod,
    dataStart: header.fileDataStart,
    extraFields,
    crc32: header.crc32,
    compressedBytes: header.compressedSize,
    sizeBytes: header.uncompressedSize,
  };
}

async function endOfData(read: Read, central: CentralRecord, entry: ArchiveEntry): Promise<number> {
  const end = entry.dataStart + entry.compressedBytes;
  if (!hasDescriptor(central)) return end;
  const after = Buffer.alloc(descriptorMaxBytes);
  const length = descriptorLength(after.subarray(0, await read(after, end)), central);
  if (length === undefined)
    throw invalidPackage(
      `entry ${quoted(entry.name)} has no data descriptor that agrees with the central directory`,
    );
  return end + length;
}
