/**
 * What is deployed, remembered: `backups/<id>.deployed` tells of every file that stood after the update of that id.
 *
 * Each line is a value of `RecordLine` behind the SHA-256 of its own text, as in the journal:
 *
 *     <SHA-256 of the JSON text, 64 hex digits> <JSON text> LF
 *
 * The first is the header, the last one counts the lines before it; a module comes before its files. A record is whole:
 * modules that an update leaves alone are taken over from the record before it.
 * Which of the records counts: current-record.ts. Reading takes one line of memory at a time.
 */

import { UpdateError } from '../errors.ts';
import { fileChunks } from '../host/file-chunks.ts';
import type { Attributes, Files } from '../host/host.ts';
import type { WriteGroup } from '../host/write-group.ts';
import { limits } from '../limits.ts';
import type { Notes } from '../notes.ts';
import type { ModuleCommands, ServiceSpec } from '../release.ts';
import { currentRecord, deployedPath } from './current-record.ts';
import type { Fingerprint } from './fingerprint.ts';
import { type EncodedLines, loadLineCodec } from './record-line.ts';

export interface RecordHeader {
  readonly kind: 'header';
  /** 1: every file has its SHA-256. 2: it may have a seal in its place. 3: a file has its CRC-32, too. */
  readonly format: 1 | 2 | 3;
  /** Of the update that made this record. */
  readonly id: string;
  readonly version: string;
  /** Every module that is deployed and the version that brought it, null where that is not known. Absent in records of 0.1.0. */
  readonly modules?: ModuleVersions;
  /** Of the package. */
  readonly notes?: Notes;
  /** What the update came in; `sha256` is null where nobody told it. */
  readonly package: { readonly sizeBytes: number; readonly md5: string; readonly sha256: string | null };
}

/** By name. */
export type ModuleVersions = Readonly<Record<string, string | null>>;

export interface DeployedModule {
  readonly kind: 'module';
  readonly name: string;
  /** Of the update that brought it. */
  readonly id: string;
  /** Of a directory module: what else stands below it is not the package's. Null: a single file. */
  readonly tree: string | null;
  /** The updater's own executable. */
  readonly isSelf?: true;
  readonly service: ServiceSpec;
  /** What it ran; absent where nothing, and in records of 0.1.0. */
  readonly commands?: ModuleCommands;
}

export interface DeployedDirectory {
  readonly kind: 'directory';
  readonly module: string;
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export type DeployedFile = FileFacts & Fingerprint;

interface FileFacts {
  readonly kind: 'file';
  readonly module: string;
  /** Absolute, free of symlinks when it was deployed. */
  readonly path: string;
  /** Name of the entry in its module's package. */
  readonly entry: string;
  readonly sizeBytes: number;
  /** As its ZIP entry told and staging checked: tells a download which bytes are here. Absent in what formats 1 and 2 knew. */
  readonly crc32?: number;
  /** People edit it: other bytes are no damage. */
  readonly isConfig?: true;
  /** Put beside an edited one, for people to take over or to throw away. Absent in records of 0.1.0. */
  readonly isBeside?: true;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Its capabilities and access list, where it was given any: absent where not, and in records of 0.1.0, which ignores them. */
  readonly attributes?: Attributes;
}

/** A symlink of a tree. */
export interface DeployedLink {
  readonly kind: 'link';
  readonly module: string;
  /** Absolute; its directories are free of symlinks. */
  readonly path: string;
  /** Where it leads to. */
  readonly to: string;
  /** People edit it: another place is no damage. */
  readonly isConfig?: true;
  /** As that of a file. */
  readonly isBeside?: true;
  readonly uid: number;
  readonly gid: number;
}

export type RecordLine = DeployedModule | DeployedDirectory | DeployedFile | DeployedLink;
type AnyLine = RecordHeader | RecordLine | { readonly kind: 'end'; readonly lines: number };

/** What an update makes of the record before it. */
export interface RecordChange {
  /** Of the update's own modules; gone through several times. */
  readonly lines: Iterable<RecordLine>;
  /** Names of these modules, where they are at hand: then the lines are not asked for them. */
  readonly own?: readonly string[];
  /** More of them, behind those. */
  readonly standing?: EncodedLines<RecordLine> | undefined;
  /** Modules that go. */
  readonly removed?: readonly string[];
  /** The record before it tells of no other modules: it need not be read. */
  readonly hasAll?: boolean;
  /** Told of the short-lived buffers, as Memory.produced. */
  readonly produced?: (bytes: number) => void;
}

/**
 * Writes the record of an update: its own lines, and those of other modules that stay from the one before, of which a damaged
 * one counts as none. Its content is durable with `group`, its name when backups/ is synced.
 */
export async function writeRecord(
  files: Files,
  backupDirectory: string,
  header: Omit<RecordHeader, 'modules'>,
  { lines, own, standing, removed = [], hasAll = false, produced = () => undefined }: RecordChange,
  group: WriteGroup,
): Promise<void> {
  const before = hasAll ? undefined : await currentRecord(files, backupDirectory);
  const kept =
    before === undefined
      ? nothingKept
      : await keptOf(files, backupDirectory, before, { lines, standing, removed });
  const modules = { ...kept.modules };
  for (const name of own ?? namesIn(lines)) modules[name] = header.version;
  const { encode } = await loadLineCodec();
  const file = await files.open(deployedPath(backupDirectory, header.id), 'create');
  let isTaken = false;
  try {
    let position = 0;
    let count = 0;
    let pending = '';
    const write = async (bytes: Buffer) => {
      await file.write(bytes, position);
      position += bytes.length;
    };
    /** One for all of it: a record of thousands of files has megabytes. */
    const buffer = Buffer.allocUnsafeSlow(2 * limits.chunkBytes);
    const flush = async () => {
      const isFitting = Buffer.byteLength(pending) <= buffer.length;
      await write(isFitting ? buffer.subarray(0, buffer.write(pending)) : Buffer.from(pending));
      pending = '';
    };
    const add = async (line: AnyLine) => {
      pending += encode(line);
      count += 1;
      if (pending.length >= limits.chunkBytes) await flush();
    };
    await add({ ...header, modules });
    for (const line of lines) await add(line);
    if (standing !== undefined) {
      await flush();
      for (const text of standing.texts()) {
        await write(text);
        produced(text.length);
      }
      count += standing.length;
    }
    for await (const line of kept.lines) await add(line);
    await add({ kind: 'end', lines: count });
    await flush();
    isTaken = true;
    await group.finish(file, position);
  } finally {
    if (!isTaken) await file.close();
  }
}

function* namesIn(lines: Iterable<RecordLine>): Generator<string> {
  for (const line of lines) if (line.kind === 'module') yield line.name;
}

const readableFormats: ReadonlySet<number> = new Set([1, 2, 3]);

/** What an open record tells: its header, then line by line. */
export interface DeployedRecord {
  readonly header: RecordHeader;
  lines(): AsyncGenerator<RecordLine>;
}

/** Opens a record. It, and later the reading of its lines, throw NO_BACKUP where it is damaged. */
export async function openRecord(files: Files, backupDirectory: string, id: string): Promise<DeployedRecord> {
  const path = deployedPath(backupDirectory, id);
  for await (const line of readLines(files, path)) {
    if (line.kind !== 'header' || !readableFormats.has(line.format)) break;
    return { header: line, lines: () => bodyOf(files, path) };
  }
  throw damaged(path, 'its first line is no header');
}

async function* bodyOf(files: Files, path: string): AsyncGenerator<RecordLine> {
  let count = 0;
  for await (const line of readLines(files, path)) {
    if (line.kind === 'end') {
      if (line.lines !== count) throw damaged(path, `${count} lines instead of ${line.lines}`);
      return;
    }
    count += 1;
    if (line.kind !== 'header') yield line;
  }
  throw damaged(path, 'it has no end');
}

interface Kept {
  readonly lines: AsyncIterable<RecordLine> | readonly RecordLine[];
  readonly modules: Record<string, string | null>;
}

const nothingKept: Kept = { lines: [], modules: {} };

/** Of the record of `id`, what belongs to other modules than those of `lines` and `removed`; nothing where it is damaged. */
async function keptOf(
  files: Files,
  backupDirectory: string,
  id: string,
  { lines, standing, removed }: RecordChange,
): Promise<Kept> {
  const leaving = new Set(removed);
  const paths = new Set<string>();
  for (const part of [lines, standing ?? []])
    for (const line of part) {
      if (line.kind === 'module') leaving.add(line.name);
      else paths.add(line.path);
    }
  const isKept = (line: RecordLine) =>
    line.kind === 'module' ? !leaving.has(line.name) : !leaving.has(line.module) && !paths.has(line.path);
  try {
    const record = await openRecord(files, backupDirectory, id);
    const modules: Record<string, string | null> = {};
    // To its end, so that it is known to be whole.
    for await (const line of record.lines())
      if (line.kind === 'module' && isKept(line)) modules[line.name] = versionOf(line, record.header);
    return { lines: only(record.lines(), isKept), modules };
  } catch (thrown) {
    if (thrown instanceof UpdateError) return nothingKept;
    throw thrown;
  }
}

/** A record without a list of versions knows that of its own update alone. */
function versionOf({ name, id }: DeployedModule, header: RecordHeader): string | null {
  return header.modules?.[name] ?? (id === header.id ? header.version : null);
}

async function* only(
  lines: AsyncIterable<RecordLine>,
  isKept: (line: RecordLine) => boolean,
): AsyncGenerator<RecordLine> {
  for await (const line of lines) if (isKept(line)) yield line;
}

async function* readLines(files: Files, path: string): AsyncGenerator<AnyLine> {
  const { decode } = await loadLineCodec();
  const file = await files.open(path, 'read');
  try {
    let rest = Buffer.alloc(0);
    let position = 0;
    for await (const chunk of fileChunks(file)) {
      position += chunk.length;
      let text = Buffer.concat([rest, chunk]);
      for (let end = text.indexOf(0x0a); end >= 0; end = text.indexOf(0x0a)) {
        const line = decode(text.subarray(0, end));
        if (line === undefined) throw damaged(path, `a bad line before byte ${position}`);
        yield line as AnyLine;
        text = text.subarray(end + 1);
      }
      rest = Buffer.from(text);
      if (rest.length > limits.manifestBytes) throw damaged(path, 'a line that does not end');
    }
    if (rest.length > 0) throw damaged(path, 'its last line is torn');
  } finally {
    await file.close();
  }
}

function damaged(path: string, why: string): UpdateError {
  return new UpdateError(
    'NO_BACKUP',
    `the record of what is deployed, ${path}, is damaged (${why}): install the version again`,
  );
}
