/**
 * The bytes around an entry's data, foretold from the directory: local header, data descriptor. Pure. PKWARE APPNOTE 4.3.7,
 * 4.3.9. Only where nothing else fits: no extra field, and a descriptor of 16 bytes where flag bit 3 announces one.
 */
import { descriptorSignature, localBytes, localSignature } from './signatures.ts';
import type { TailEntry } from './tail.ts';

export interface Frame {
  readonly head: Buffer;
  readonly foot: Buffer;
}

const footBytes = 16;
const saturated = 0xffffffff;

/** Whether they can be foretold: of thousands of entries only this is asked. */
export function isForetold(entry: TailEntry): boolean {
  // Saturated in the directory (zip64), whole in the local header or not: nobody knows.
  const { shared } = entry;
  if (shared.readUInt32LE(14) === saturated || shared.readUInt32LE(18) === saturated) return false;
  const around = entry.end - entry.start - entry.packedBytes;
  return around === localBytes + entry.nameBytes.length + (hasDescriptor(entry) ? footBytes : 0);
}

/** Undefined where they cannot be foretold. */
export function foretold(entry: TailEntry): Frame | undefined {
  if (!isForetold(entry)) return undefined;
  const hasFoot = hasDescriptor(entry);
  const nameLength = entry.nameBytes.length;
  const head = Buffer.alloc(localBytes + nameLength);
  head.writeUInt32LE(localSignature, 0);
  entry.shared.copy(head, 4); // version needed to uncompressed size: same order and width as in the local header
  if (hasFoot) head.fill(0, 14, 26); // CRC-32 and sizes follow the data
  head.writeUInt16LE(nameLength, 26);
  entry.nameBytes.copy(head, localBytes);
  const foot = Buffer.alloc(hasFoot ? footBytes : 0);
  if (hasFoot) {
    foot.writeUInt32LE(descriptorSignature, 0);
    foot.writeUInt32LE(entry.crc32, 4);
    foot.writeUInt32LE(entry.packedBytes, 8);
    foot.writeUInt32LE(entry.sizeBytes, 12);
  }
  return { head, foot };
}

export function hasDescriptor({ flags }: Pick<TailEntry, 'flags'>): boolean {
  return (flags & 8) !== 0;
}

/** Entries that are framed and coded in the same way: where one of them is made right, the others will be. */
export function classOf({ method, flags, versionNeeded }: TailEntry): string {
  return `${method}/${flags}/${versionNeeded}`;
}
