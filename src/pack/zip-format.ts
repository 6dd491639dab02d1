/** The records of a ZIP as `pack` writes them (PKWARE APPNOTE 6.3.10), all of 1980-02-01; what 32 bits cannot hold goes into zip64 fields. Pure. */
import {
  endBytes,
  endSignature,
  localBytes,
  localSignature,
  locatorBytes,
  locatorSignature,
  recordBytes,
  recordSignature,
  zip64EndBytes,
  zip64EndSignature,
  zip64ExtraId,
} from '../zip/signatures.ts';

/** An entry, complete. */
export interface WrittenEntry {
  readonly nameBytes: Buffer;
  /** Type and permission bits, as in st_mode. */
  readonly mode: number;
  readonly isDeflated: boolean;
  readonly crc32: number;
  readonly packedBytes: number;
  readonly sizeBytes: number;
  /** Where its local header begins. */
  readonly start: number;
}

/** Beyond this a size is written in zip64: room is left for what deflate adds to bytes that it cannot pack. */
const narrowBytes = 0xf0000000;
const saturated = 0xffffffff;
const zip64Version = 45;
const plainVersion = 20;
/** Names are UTF-8. */
const flags = 0x0800;
const madeOnUnix = 3 << 8;
/** 1980-02-01 in the fields of DOS; the time is 0. A month after its first day, which some time zones move before it. */
const dosDate = (2 << 5) | 1;

export function localHeader(entry: WrittenEntry): Buffer {
  const extra = isWide(entry) ? zip64Extra([entry.sizeBytes, entry.packedBytes]) : noExtra;
  const { record, fields } = recordOf(localBytes, entry, extra);
  fields.setUint32(0, localSignature, true);
  writeShared(fields, 4, entry);
  fields.setUint16(26, entry.nameBytes.length, true);
  fields.setUint16(28, extra.length, true);
  return record;
}

export function centralRecord(entry: WrittenEntry): Buffer {
  const isFar = entry.start >= saturated;
  const sizes = isWide(entry) ? [entry.sizeBytes, entry.packedBytes] : [];
  const wide = isFar ? [...sizes, entry.start] : sizes;
  const extra = wide.length > 0 ? zip64Extra(wide) : noExtra;
  const { record, fields } = recordOf(recordBytes, entry, extra);
  fields.setUint32(0, recordSignature, true);
  fields.setUint16(4, madeOnUnix | zip64Version, true);
  writeShared(fields, 6, entry, isFar);
  fields.setUint16(28, entry.nameBytes.length, true);
  fields.setUint16(30, extra.length, true);
  fields.setUint32(38, entry.mode * 0x10000, true);
  fields.setUint32(42, isFar ? saturated : entry.start, true);
  return record;
}

/** Zeros, with the name and the extra field behind the `fixedBytes`. Written through a DataView: Buffer's methods are JavaScript, three times as slow where nothing is compiled. */
function recordOf(fixedBytes: number, { nameBytes }: WrittenEntry, extra: Buffer) {
  const bytes = new ArrayBuffer(fixedBytes + nameBytes.length + extra.length);
  const record = Buffer.from(bytes);
  record.set(nameBytes, fixedBytes);
  if (extra.length > 0) record.set(extra, fixedBytes + nameBytes.length);
  return { record, fields: new DataView(bytes) };
}

const noExtra = Buffer.alloc(0);

/** The end of a file whose directory of `count` entries takes `bytes` from `start` on. */
export function endRecords(count: number, start: number, bytes: number): Buffer {
  const isWide = count >= 0xffff || start >= saturated || bytes >= saturated;
  const end = Buffer.alloc(endBytes);
  end.writeUInt32LE(endSignature, 0);
  for (const at of [8, 10]) end.writeUInt16LE(isWide ? 0xffff : count, at);
  end.writeUInt32LE(isWide ? saturated : bytes, 12);
  end.writeUInt32LE(isWide ? saturated : start, 16);
  if (!isWide) return end;
  const wide = Buffer.alloc(zip64EndBytes);
  wide.writeUInt32LE(zip64EndSignature, 0);
  wide.writeBigUInt64LE(BigInt(zip64EndBytes - 12), 4);
  wide.writeUInt16LE(madeOnUnix | zip64Version, 12);
  wide.writeUInt16LE(zip64Version, 14);
  for (const at of [24, 32]) wide.writeBigUInt64LE(BigInt(count), at);
  wide.writeBigUInt64LE(BigInt(bytes), 40);
  wide.writeBigUInt64LE(BigInt(start), 48);
  const locator = Buffer.alloc(locatorBytes);
  locator.writeUInt32LE(locatorSignature, 0);
  locator.writeBigUInt64LE(BigInt(start + bytes), 8);
  locator.writeUInt32LE(1, 16);
  return Buffer.concat([wide, locator, end]);
}

function isWide({ sizeBytes }: WrittenEntry): boolean {
  return sizeBytes > narrowBytes;
}

/** From "version needed" to the uncompressed size: the same in both headers. */
function writeShared(fields: DataView, at: number, entry: WrittenEntry, isFar = false): void {
  const wide = isWide(entry);
  fields.setUint16(at, wide || isFar ? zip64Version : plainVersion, true);
  fields.setUint16(at + 2, flags, true);
  fields.setUint16(at + 4, entry.isDeflated ? 8 : 0, true);
  fields.setUint16(at + 8, dosDate, true);
  fields.setUint32(at + 10, entry.crc32, true);
  fields.setUint32(at + 14, wide ? saturated : entry.packedBytes, true);
  fields.setUint32(at + 18, wide ? saturated : entry.sizeBytes, true);
}

function zip64Extra(values: readonly number[]): Buffer {
  const extra = Buffer.alloc(4 + 8 * values.length);
  extra.writeUInt16LE(zip64ExtraId, 0);
  extra.writeUInt16LE(8 * values.length, 2);
  for (const [index, value] of values.entries()) extra.writeBigUInt64LE(BigInt(value), 4 + 8 * index);
  return extra;
}
