/**
 * The ZIP records that yauzl does not show or does not compare, read from bytes. Pure. PKWARE APPNOTE 6.3.10.
 *
 *     [local header, data, data descriptor?] * N, central directory, zip64 end + locator?, end record + comment
 *
 * A package is accepted only when these parts follow each other from the first byte of the file to the last with
 * nothing between them. So there is no second directory, no hidden data and no overlap for another reader to see.
 * All numbers are little-endian.
 */
import { UpdateError } from '../errors.ts';
import {
  descriptorSignature,
  endBytes,
  endSignature,
  locatorBytes,
  locatorSignature,
  zip64EndBytes,
  zip64EndSignature,
  zip64ExtraId,
} from '../zip/signatures.ts';

/** As many bytes of a file's end as checkEnd needs to see: the records and the longest comment. */
export const endRecordsBytes = 0xffff + endBytes + locatorBytes + zip64EndBytes;

/** As many bytes after an entry's data as descriptorLength needs to see. */
export const descriptorMaxBytes = 24;

/** What yauzl says of the archive as a whole. */
export interface ArchiveFacts {
  readonly fileBytes: number;
  readonly entryCount: number;
  readonly directoryStart: number;
  /** Length of the comment that the end record announces. */
  readonly commentBytes: number;
}

export interface ExtraField {
  readonly id: number;
  readonly data: Buffer;
}

/** Size and CRC-32 of an entry, as the central directory gives them. */
export interface Sizes {
  readonly crc32: number;
  readonly compressedBytes: number;
  readonly sizeBytes: number;
}

export function invalidPackage(text: string, cause?: unknown): UpdateError {
  return new UpdateError('INVALID_PACKAGE', text, { cause });
}

/**
 * Checks the records after the central directory; gives where that must end. `tail`: the file's last endRecordsBytes. Throws
 * INVALID_PACKAGE where they contradict each other, or a second end record could be taken for the real one.
 */
export function checkEnd(tail: Buffer, facts: ArchiveFacts): number {
  const tailStart = facts.fileBytes - tail.length;
  const end = tail.length - facts.commentBytes - endBytes;
  refuseSecondEnd(tail, end);
  const directoryBytes = tail.readUInt32LE(end + 12);
  const told = {
    disks: [tail.readUInt16LE(end + 4), tail.readUInt16LE(end + 6)],
    counts: [tail.readUInt16LE(end + 8), tail.readUInt16LE(end + 10)],
    directory: [directoryBytes, tail.readUInt32LE(end + 16)],
  };
  const locator = end - locatorBytes;
  const isZip64 = locator >= 0 && tail.readUInt32LE(locator) === locatorSignature;
  if (!isZip64) {
    expect('disk number', told.disks, [0, 0]);
    expect('number of entries', told.counts, [facts.entryCount, facts.entryCount]);
    expect('central directory', told.directory, [
      tailStart + end - facts.directoryStart,
      facts.directoryStart,
    ]);
    return tailStart + end;
  }
  const directoryEnd = checkZip64End(tail, tailStart, locator, facts);
  // In zip64 a field of the old record is either saturated or says the same.
  expect('disk number', told.disks, [0, 0], 0xffff);
  expect('number of entries', told.counts, [facts.entryCount, facts.entryCount], 0xffff);
  const directory = [directoryEnd - facts.directoryStart, facts.directoryStart];
  expect('central directory', told.directory, directory, 0xffffffff);
  return directoryEnd;
}

/** Another end record whose comment would reach exactly to the end of the file shows another archive. */
function refuseSecondEnd(tail: Buffer, end: number): void {
  const signature = Buffer.alloc(4);
  signature.writeUInt32LE(endSignature);
  for (let at = tail.indexOf(signature); at !== -1; at = tail.indexOf(signature, at + 1)) {
    if (at === end || at + endBytes > tail.length) continue;
    if (at + endBytes + tail.readUInt16LE(at + 20) === tail.length)
      throw invalidPackage('two end of central directory records: it is not clear which archive is meant');
  }
}

function checkZip64End(tail: Buffer, tailStart: number, locator: number, facts: ArchiveFacts): number {
  const end = locator - zip64EndBytes;
  if (end < 0 || tail.readUInt32LE(end) !== zip64EndSignature)
    throw invalidPackage('the zip64 end record is not right before its locator');
  expect(
    'zip64 locator',
    [tail.readUInt32LE(locator + 4), unsigned64(tail, locator + 8)],
    [0, tailStart + end],
  );
  expect('zip64 number of disks', [tail.readUInt32LE(locator + 16)], [1]);
  expect('zip64 end record size', [unsigned64(tail, end + 4)], [zip64EndBytes - 12]);
  expect('zip64 disk number', [tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 20)], [0, 0]);
  const counts = [unsigned64(tail, end + 24), unsigned64(tail, end + 32)];
  expect('zip64 number of entries', counts, [facts.entryCount, facts.entryCount]);
  const directory = [unsigned64(tail, end + 40), unsigned64(tail, end + 48)];
  const directoryEnd = tailStart + end;
  expect('zip64 central directory', directory, [directoryEnd - facts.directoryStart, facts.directoryStart]);
  return directoryEnd;
}

function expect(what: string, told: readonly number[], actual: readonly number[], saturated?: number): void {
  if (told.every((value, index) => value === actual[index] || value === saturated)) return;
  throw invalidPackage(
    `the end record's ${what} is ${told.join(', ')}, but the file has ${actual.join(', ')}`,
  );
}

/** Length of the data descriptor behind an entry: with or without signature, sizes of 4 or 8 bytes. Undefined: none that fits the directory. */
export function descriptorLength(bytes: Buffer, sizes: Sizes): number | undefined {
  for (const [length, signed, wide] of [
    [24, true, true],
    [20, false, true],
    [16, true, false],
    [12, false, false],
  ] as const) {
    if (bytes.length < length || (signed && bytes.readUInt32LE(0) !== descriptorSignature)) continue;
    const at = signed ? 4 : 0;
    const compressedBytes = wide ? unsigned64(bytes, at + 4) : bytes.readUInt32LE(at + 4);
    const sizeBytes = wide ? unsigned64(bytes, at + 12) : bytes.readUInt32LE(at + 8);
    const same = compressedBytes === sizes.compressedBytes && sizeBytes === sizes.sizeBytes;
    if (same && bytes.readUInt32LE(at) === sizes.crc32) return length;
  }
  return undefined;
}

/** Sizes of a local header, from its zip64 extra field where they are saturated; undefined when that is missing. */
export function localSizes(
  header: { readonly compressedBytes: number; readonly sizeBytes: number },
  extraFields: readonly ExtraField[],
): { compressedBytes: number; sizeBytes: number } | undefined {
  let { compressedBytes, sizeBytes } = header;
  const zip64 = extraFields.find((field) => field.id === zip64ExtraId)?.data;
  let at = 0;
  if (sizeBytes === 0xffffffff) {
    if (zip64 === undefined || zip64.length < at + 8) return undefined;
    sizeBytes = unsigned64(zip64, at);
    at += 8;
  }
  if (compressedBytes === 0xffffffff) {
    if (zip64 === undefined || zip64.length < at + 8) return undefined;
    compressedBytes = unsigned64(zip64, at);
  }
  return { compressedBytes, sizeBytes };
}

/** Beyond 2^53 it is not exact, which no comparison with a real size survives. */
function unsigned64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}
