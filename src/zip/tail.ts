/**
 * What the end of a ZIP file says of the whole: where each entry lies, how it is coded, its CRC-32. Pure. PKWARE APPNOTE 6.3.10.
 * Nothing here is trusted: bytes are judged by the digest of the file, and a tail that is not understood tells nothing.
 */

import {
  endBytes,
  endSignature,
  locatorBytes,
  locatorSignature,
  recordBytes,
  recordSignature,
  zip64EndBytes,
  zip64EndSignature,
  zip64ExtraId,
} from './signatures.ts';

/** One entry as the central directory tells it, and the extent between it and the next. */
export interface TailEntry {
  readonly name: string;
  /** Where its local header begins. */
  readonly start: number;
  /** Where the next entry, or the directory, begins. */
  readonly end: number;
  readonly versionNeeded: number;
  readonly flags: number;
  /** 0: stored, 8: deflated. */
  readonly method: number;
  readonly crc32: number;
  readonly packedBytes: number;
  readonly sizeBytes: number;
  /** Its record in the directory, as far as the local header repeats it: from "version needed" on, then the name. */
  readonly shared: Buffer;
  readonly nameBytes: Buffer;
}

export type Tail =
  | { readonly kind: 'entries'; readonly entries: readonly TailEntry[] }
  /** The directory begins before the tail does. */
  | { readonly kind: 'need'; readonly from: number }
  | { readonly kind: 'fault'; readonly why: string };

/**
 * `tail`: the last bytes of a file of `fileBytes`. Never throws, whatever they are. A part at a time: a directory of thousands of
 * entries takes a tenth of a second and more.
 */
export function* tailReading(
  tail: Buffer,
  fileBytes: number,
  mostEntries: number,
): Generator<undefined, Tail> {
  const tailStart = fileBytes - tail.length;
  const end = endOf(tail);
  if (end === undefined) return { kind: 'fault', why: 'no end record of a ZIP' };
  const told = directoryOf(tail, end, tailStart);
  if (told === undefined) return { kind: 'fault', why: 'a zip64 end record that is not where it should be' };
  const { count, start, bytes } = told;
  if (count > mostEntries) return { kind: 'fault', why: `${count} entries, more than ${mostEntries}` };
  if (!(start + bytes <= tailStart + end)) return { kind: 'fault', why: 'a directory beyond the end record' };
  if (start < tailStart) return { kind: 'need', from: start };
  const entries = yield* recordsOf(tail.subarray(start - tailStart, start - tailStart + bytes), count);
  if (entries === undefined) return { kind: 'fault', why: 'a directory that is damaged' };
  entries.sort((a, b) => a.start - b.start);
  for (const [n, entry] of entries.entries()) {
    entry.end = entries[n + 1]?.start ?? start;
    if (entry.start + 30 + entry.packedBytes > entry.end)
      return { kind: 'fault', why: 'entries that overlap' };
    if (n % recordsPerPart === 0) yield;
  }
  return { kind: 'entries', entries };
}

function endOf(tail: Buffer): number | undefined {
  for (let at = tail.length - endBytes; at >= 0; at--)
    if (tail.readUInt32LE(at) === endSignature && at + endBytes + tail.readUInt16LE(at + 20) === tail.length)
      return at;
  return undefined;
}

function directoryOf(tail: Buffer, end: number, tailStart: number) {
  const locator = end - locatorBytes;
  if (locator < 0 || tail.readUInt32LE(locator) !== locatorSignature)
    return {
      count: tail.readUInt16LE(end + 10),
      bytes: tail.readUInt32LE(end + 12),
      start: tail.readUInt32LE(end + 16),
    };
  const at = unsigned64(tail, locator + 8) - tailStart;
  if (!(at >= 0 && at + zip64EndBytes <= locator) || tail.readUInt32LE(at) !== zip64EndSignature)
    return undefined;
  return {
    count: unsigned64(tail, at + 32),
    bytes: unsigned64(tail, at + 40),
    start: unsigned64(tail, at + 48),
  };
}

const recordsPerPart = 64;

/** Of each the end is not known yet: it is 0. */
function* recordsOf(directory: Buffer, count: number): Generator<undefined, DirectoryEntry[] | undefined> {
  const records: DirectoryEntry[] = [];
  let at = 0;
  for (let n = 0; n < count; n++) {
    if (n % recordsPerPart === 0) yield;
    if (at + recordBytes > directory.length || directory.readUInt32LE(at) !== recordSignature)
      return undefined;
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((o) =>
      directory.readUInt16LE(at + o),
    ) as [number, number, number];
    const extraStart = at + recordBytes + nameLength;
    const next = extraStart + extraLength + commentLength;
    if (next > directory.length) return undefined;
    const large = largeNumbers(directory.subarray(extraStart, extraStart + extraLength));
    const wide = (offset: number) => {
      const value = directory.readUInt32LE(at + offset);
      return value === 0xffffffff ? (large() ?? Number.NaN) : value;
    };
    // In this order: that of the zip64 field.
    const [sizeBytes, packedBytes, start] = [wide(24), wide(20), wide(42)];
    if (![sizeBytes, packedBytes, start].every(Number.isSafeInteger)) return undefined;
    records.push(new DirectoryEntry(directory, at, { start, packedBytes, sizeBytes }));
    at = next;
  }
  return records;
}

/** One of thousands: what is seldom asked for stays in the directory's own bytes. */
class DirectoryEntry implements TailEntry {
  readonly start: number;
  end = 0;
  readonly packedBytes: number;
  readonly sizeBytes: number;
  readonly #directory: Buffer;
  readonly #at: number;

  /** `at`: where its record begins in the directory. */
  constructor(
    directory: Buffer,
    at: number,
    wide: { readonly start: number; readonly packedBytes: number; readonly sizeBytes: number },
  ) {
    this.start = wide.start;
    this.packedBytes = wide.packedBytes;
    this.sizeBytes = wide.sizeBytes;
    this.#directory = directory;
    this.#at = at;
  }

  get name(): string {
    return this.nameBytes.toString('utf8');
  }
  get versionNeeded(): number {
    return this.#directory.readUInt16LE(this.#at + 6);
  }
  get flags(): number {
    return this.#directory.readUInt16LE(this.#at + 8);
  }
  get method(): number {
    return this.#directory.readUInt16LE(this.#at + 10);
  }
  get crc32(): number {
    return this.#directory.readUInt32LE(this.#at + 16);
  }
  get shared(): Buffer {
    return this.#directory.subarray(this.#at + 6, this.#at + 28);
  }
  get nameBytes(): Buffer {
    const start = this.#at + recordBytes;
    return this.#directory.subarray(start, start + this.#directory.readUInt16LE(this.#at + 28));
  }
}

/** The numbers of a zip64 extra field, one after another. */
function largeNumbers(extra: Buffer): () => number | undefined {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== zip64ExtraId) continue;
    const data = extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2));
    let next = 0;
    return () => {
      next += 8;
      return next <= data.length ? unsigned64(data, next - 8) : undefined;
    };
  }
  return () => undefined;
}

/** Beyond 2^53 it is not exact, which no position in a real file is. */
function unsigned64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}
