/**
 * Which ZIP entries are accepted, by the central directory and the local headers alone (spec section 4). Pure. Regular files,
 * directories and symlinks, stored or deflated, with names that stay below the root and mean the same everywhere; both headers
 * agree; no name comes twice; the entries fill the file up to the directory.
 */
import type { UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { PackedMap } from '../packed-list.ts';
import { pathFault, quoted } from './path-fault.ts';
import { type ExtraField, invalidPackage, localSizes, type Sizes } from './zip-records.ts';

/** An entry as the central directory tells it. */
export interface CentralRecord extends Sizes {
  readonly nameBytes: Buffer;
  readonly flags: number;
  readonly method: number;
  readonly headerStart: number;
  /** The system that made it (upper byte) and the version of ZIP it knew. */
  readonly madeBy: number;
  readonly externalAttributes: number;
  readonly extraFields: readonly ExtraField[];
}

/** The same entry as the header before its data tells it; sizes as they stand in their 32-bit fields. */
export interface LocalRecord extends Sizes {
  readonly nameBytes: Buffer;
  readonly flags: number;
  readonly method: number;
  readonly dataStart: number;
  readonly extraFields: readonly ExtraField[];
}

/** An accepted entry. */
export interface ArchiveEntry extends Sizes {
  /** Relative path; without the "/" at the end of a directory's name. */
  readonly name: string;
  readonly isDirectory: boolean;
  /** Its content is where it leads to; see archive.ts. */
  readonly isLink: boolean;
  /** Permission bits; undefined where the archive was not made on Unix. See `permissions`. */
  readonly mode: number | undefined;
  readonly isDeflated: boolean;
  /** Where the content starts in the file. */
  readonly dataStart: number;
}

const flagEncrypted = 0x0001;
const flagDescriptor = 0x0008;
const flagUtf8 = 0x0800;
/** Bits 1 and 2 tell how hard deflate tried. */
const knownFlags = 0x0006 | flagDescriptor | flagUtf8;

/** Judges one entry. Throws INVALID_PACKAGE naming the entry and the fault. */
export function acceptEntry(central: CentralRecord, local: LocalRecord): ArchiveEntry {
  const { name, isDirectory } = acceptName(central);
  const refuse = (why: string) => invalidPackage(`entry ${quoted(name)} ${why}`);
  if (central.flags & flagEncrypted) throw refuse('is encrypted');
  if (central.flags & ~knownFlags) throw refuse(`has unsupported flags 0x${central.flags.toString(16)}`);
  if (central.method !== 0 && central.method !== 8)
    throw refuse(`uses compression method ${central.method}; only 0 (stored) and 8 (deflated) are supported`);
  const special = specialKind(central, isDirectory);
  if (special !== undefined)
    throw refuse(`is ${special}; only regular files, directories and symlinks are accepted`);
  const isLink = isSymlink(central);
  const oddSize = sizeFault(central, isDirectory, isLink);
  if (oddSize !== undefined) throw refuse(oddSize);
  const difference = headerDifference(central, local);
  if (difference !== undefined) throw refuse(`has a local header that disagrees: ${difference}`);
  return {
    name,
    isDirectory,
    isLink,
    mode: permissions(central),
    isDeflated: central.method === 8,
    dataStart: local.dataStart,
    crc32: central.crc32,
    compressedBytes: central.compressedBytes,
    sizeBytes: central.sizeBytes,
  };
}

/** True when a data descriptor follows the entry's data. */
export function hasDescriptor(central: CentralRecord): boolean {
  return (central.flags & flagDescriptor) !== 0;
}

function acceptName({ nameBytes, extraFields }: CentralRecord): { name: string; isDirectory: boolean } {
  // Names without the UTF-8 flag are read as UTF-8 all the same: a Linux file name is just these bytes.
  const text = nameBytes.toString('utf8');
  if (!Buffer.from(text).equals(nameBytes))
    throw invalidPackage(`entry name ${quoted(nameBytes.toString('latin1'))} is not valid UTF-8`);
  const isDirectory = text.endsWith('/');
  const name = isDirectory ? text.slice(0, -1) : text;
  const fault = pathFault(name);
  if (fault !== undefined) throw invalidPackage(`entry name ${quoted(text)} ${fault}`);
  // Info-ZIP's Unicode path: version, CRC-32 of the header's name, then another name.
  const other = extraFields.find((field) => field.id === 0x7075)?.data.subarray(5);
  if (other !== undefined && !other.equals(nameBytes))
    throw invalidPackage(`entry ${quoted(text)} has a second name ${quoted(other.toString('utf8'))}`);
  if (extraFields.filter((field) => field.id === 0x0001).length > 1)
    throw invalidPackage(`entry ${quoted(text)} has two zip64 extra fields`);
  return { name, isDirectory };
}

/** What else than a regular file or directory the entry claims to be, whichever system it claims to come from. */
function specialKind(central: CentralRecord, isDirectory: boolean): string | undefined {
  const type = (central.externalAttributes >>> 28) & 0xf;
  const isDosDirectory = (central.externalAttributes & 0x10) !== 0;
  switch (type) {
    case 0x0:
      break;
    case 0x4:
      if (!isDirectory) return 'a directory by its mode but not by its name';
      break;
    case 0x8:
      if (isDirectory) return 'a file by its mode but a directory by its name';
      break;
    case 0x1:
      return 'a fifo';
    case 0x2:
      return 'a character device';
    case 0x6:
      return 'a block device';
    case 0xa:
      if (isDirectory) return 'a symlink by its mode but a directory by its name';
      if (!isUnix(central)) return 'a symbolic link of a system that has none';
      break;
    case 0xc:
      return 'a socket';
    default:
      return `of unknown type 0o${(type << 12).toString(8)}`;
  }
  if (isDosDirectory && !isDirectory) return 'a directory by its attributes but not by its name';
  if (central.externalAttributes & 0x08) return 'a volume label';
  return central.extraFields.some(linksElsewhere) ? 'a link or device by its extra field' : undefined;
}

/** PKWARE's Unix field carries a link's target or a device after 12 bytes; ASi's has a mode and a link's target. */
function linksElsewhere({ id, data }: ExtraField): boolean {
  if (id === 0x000d) return data.length > 12;
  if (id !== 0x756e) return false;
  if (data.length < 14) return true;
  const type = data.readUInt16LE(4) & 0o170000;
  return data.readUInt32LE(6) !== 0 || data.length > 14 || (type !== 0o100000 && type !== 0o040000);
}

function sizeFault(
  { method, compressedBytes, sizeBytes, crc32 }: Sizes & { method: number },
  isDirectory: boolean,
  isLink: boolean,
) {
  if (isDirectory && (sizeBytes !== 0 || crc32 !== 0)) return 'is a directory with content';
  if (isLink && (sizeBytes === 0 || Math.max(sizeBytes, compressedBytes) > limits.linkBytes))
    return `is a symlink of ${Math.max(sizeBytes, compressedBytes)} bytes; 1 to ${limits.linkBytes} are accepted`;
  if (method === 0 && compressedBytes !== sizeBytes)
    return `is stored, but its sizes differ: ${compressedBytes} and ${sizeBytes} bytes`;
  if (sizeBytes > limits.unpackedBytes)
    return `claims to unpack to ${sizeBytes} bytes, more than ${limits.unpackedBytes}`;
  if (sizeBytes > compressedBytes * limits.inflateRatio)
    return `claims to unpack ${compressedBytes} bytes to ${sizeBytes}, more than ${limits.inflateRatio} times as much`;
  return undefined;
}

/** The first field in which both headers differ; with a data descriptor the local one may leave sizes and CRC at 0. */
function headerDifference(central: CentralRecord, local: LocalRecord): string | undefined {
  const differ = (what: string, here: number | string, there: number | string) =>
    `${what} is ${here} there, ${there} in the central directory`;
  if (!local.nameBytes.equals(central.nameBytes)) {
    const [here, there] = [local, central].map(({ nameBytes }) => `${quoted(nameBytes.toString('utf8'))}`);
    return differ('name', here ?? '', there ?? '');
  }
  if (local.flags !== central.flags)
    return differ('flags', `0x${local.flags.toString(16)}`, `0x${central.flags.toString(16)}`);
  if (local.method !== central.method) return differ('method', local.method, central.method);
  const sizes = localSizes(local, local.extraFields);
  if (sizes === undefined) return 'its zip64 sizes are missing';
  const mayBeZero = hasDescriptor(central);
  for (const [what, here, there] of [
    ['CRC-32', local.crc32, central.crc32],
    ['compressed size', sizes.compressedBytes, central.compressedBytes],
    ['size', sizes.sizeBytes, central.sizeBytes],
  ] as const) {
    if (here !== there && !(mayBeZero && here === 0)) return differ(what, here, there);
  }
  return undefined;
}

/** Who may read and run the file, of archives made on Unix or macOS. Set-uid and the like, which no signature covers, is dropped. */
function permissions(central: CentralRecord): number | undefined {
  const mode = central.externalAttributes >>> 16;
  return isUnix(central) && mode !== 0 ? mode & 0o755 : undefined;
}

function isSymlink({ externalAttributes }: CentralRecord): boolean {
  return externalAttributes >>> 28 === 0xa;
}

/** Made on Unix or macOS. */
function isUnix({ madeBy }: CentralRecord): boolean {
  const system = madeBy >>> 8;
  return system === 3 || system === 19;
}

/** Collects names one by one and refuses the second of a kind. Throws INVALID_PACKAGE. `files`: empty; takes the files' names. */
export function nameRegister(
  files: Pick<PackedMap<true>, 'size' | 'has' | 'set'>,
): (entry: Pick<ArchiveEntry, 'name' | 'isDirectory'>) => void {
  const directories = new Map<string, 'named' | 'implied'>();
  return ({ name, isDirectory }) => {
    const before = directories.get(name);
    if (before === 'named' || (before === 'implied' && !isDirectory) || files.has(name))
      throw invalidPackage(`entry ${quoted(name)} comes twice, or is a file and a directory`);
    if (isDirectory) directories.set(name, 'named');
    else files.set(name, true);
    for (let slash = name.lastIndexOf('/'); slash > 0; slash = name.lastIndexOf('/', slash - 1)) {
      const parent = name.slice(0, slash);
      // Whatever named this parent first has seen to the parents above it.
      if (directories.has(parent)) break;
      if (files.has(parent))
        throw invalidPackage(`entry ${quoted(name)} lies below ${quoted(parent)}, which is a file`);
      directories.set(parent, 'implied');
    }
    if (files.size + directories.size > limits.treeEntries)
      throw invalidPackage(`more than ${limits.treeEntries} files and directories`);
  };
}

/** Where entries lie in the file, one or several side by side: from a local header to the end of data or data descriptor. */
export interface Extent {
  readonly name: string;
  /** Of the last one, where there are several. */
  readonly lastName?: string;
  readonly start: number;
  readonly end: number;
}

/** Adds one to those before it; one that begins where the last ends lengthens that, so that of most packages there is one. */
export function addExtent(extents: Extent[], { name, start, end }: Extent): void {
  const last = extents.at(-1);
  if (last?.end === start) extents[extents.length - 1] = { ...last, lastName: name, end };
  else extents.push({ name, start, end });
}

/** Checks that the entries lie side by side from byte 0 to the central directory. Throws INVALID_PACKAGE. */
export function checkLayout(extents: readonly Extent[], directoryStart: number): void {
  const sorted = [...extents].sort((a, b) => a.start - b.start);
  let end = 0;
  for (let index = 0; index <= sorted.length; index++) {
    const start = sorted[index]?.start ?? directoryStart;
    if (start !== end) throw misplaced(sorted, index, end, start);
    end = sorted[index]?.end ?? end;
  }
}

function misplaced(sorted: readonly Extent[], index: number, end: number, start: number): UpdateError {
  const [last, next] = [sorted[index - 1], sorted[index]];
  const before = last === undefined ? 'the start of the file' : `entry ${quoted(last.lastName ?? last.name)}`;
  const after = next === undefined ? 'the central directory' : `entry ${quoted(next.name)}`;
  return invalidPackage(
    start < end
      ? `${before} and ${after} overlap: one ends at ${end}, one starts at ${start}`
      : `${start - end} unexpected bytes between ${before} and ${after}`,
  );
}
