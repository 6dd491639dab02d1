/**
 * Compares what stands on the disk with the record of what was deployed. Reads only. Memory: one read buffer, and the names
 * below the directory modules.
 */
import type * as Crypto from 'node:crypto';
import { posix } from 'node:path';
import { accessList, capability } from '../attribute-kinds.ts';
import { capabilitiesText } from '../capabilities.ts';
import { errno } from '../errors.ts';
import { breather } from '../host/breathing.ts';
import type { Attributes, FileStat, Files } from '../host/host.ts';
import { limits } from '../limits.ts';
import { loadTextDigest, type TextDigest } from '../text-digest.ts';
import type { DeployedDirectory, DeployedFile, DeployedLink } from './deployed-record.ts';
import { type Fingerprint, fingerprintOf, isSame, newFingerprinting } from './fingerprint.ts';
import { inDirectory } from './paths.ts';

/**
 * kind: something else stands there, or in the place of a directory above. content: other bytes, or a link that leads elsewhere.
 * attributes: the right bytes with another mode, owner, capabilities or access list than were given.
 */
export const differenceKinds = ['missing', 'kind', 'unreadable', 'content', 'attributes'] as const;
export type DifferenceKind = (typeof differenceKinds)[number];

export interface Difference {
  readonly kind: DifferenceKind;
  /** With what is there and what should be. */
  readonly text: string;
}

export interface Comparison {
  readonly signal: AbortSignal;
  /** Hears of the bytes of each read and waits where it is told to. */
  readonly pace: (bytes: number) => Promise<void> | undefined;
}

export interface Comparer {
  /** Undefined: as deployed. */
  file(file: DeployedFile): Promise<Difference | undefined>;
  link(link: DeployedLink): Promise<Difference | undefined>;
  /** A directory is compared by its kind alone: what it holds and who may write there is the services' matter too. */
  directory(directory: DeployedDirectory): Promise<Difference | undefined>;
  /** True where the first `sizeBytes` of a regular file are the bytes of that fingerprint. Rejects with the system error. */
  holds(path: string, sizeBytes: number, wanted: Fingerprint): Promise<boolean>;
}

export function createComparer(files: Files, comparison: Comparison): Comparer {
  return comparerOf(files, comparison, realDirectories(files), limits.readBufferBytes);
}

/** Where a directory really is; undefined: nowhere. The last one is remembered, as files come directory by directory. */
function realDirectories(files: Files): (directory: string) => Promise<string | undefined> {
  const lookUp = async (directory: string): Promise<string | undefined> => {
    try {
      return await files.realPath(directory);
    } catch (thrown) {
      if (errno(thrown) === 'ENOENT' || errno(thrown) === 'ENOTDIR') return undefined;
      throw thrown;
    }
  };
  let last: { readonly directory: string; readonly leadsTo: Promise<string | undefined> } | undefined;
  return (directory) => {
    if (last?.directory !== directory) last = { directory, leadsTo: lookUp(directory) };
    return last.leadsTo;
  };
}

function comparerOf(
  files: Files,
  { signal, pace }: Comparison,
  realDirectory: (directory: string) => Promise<string | undefined>,
  bufferBytes: number,
): Comparer {
  let buffer = new Uint8Array(0);
  let loaded: { readonly crypto: typeof Crypto; readonly digest: TextDigest } | undefined;

  /** To be compared with `wanted`. No more than `sizeBytes` are read: somebody may make the file grow all the time. */
  const fingerprint = async (path: string, sizeBytes: number, wanted: Fingerprint): Promise<Fingerprint> => {
    loaded ??= { crypto: await import('node:crypto'), digest: await loadTextDigest() };
    const { crypto, digest } = loaded;
    // A small one is read whole: an object for each digest would be memory that only a full collection gives back.
    const isSmall = sizeBytes <= limits.wholeFileBytes;
    const fingerprinting = isSmall ? undefined : newFingerprinting(crypto, 0, wanted);
    const mostBytes = Math.min(bufferBytes, sizeBytes);
    if (buffer.length < mostBytes) buffer = new Uint8Array(mostBytes);
    const file = await files.open(path, 'read');
    try {
      let position = 0;
      while (position < sizeBytes) {
        signal.throwIfAborted();
        const into = isSmall ? position : 0;
        const got = await file.read(
          buffer,
          into,
          Math.min(buffer.length - into, sizeBytes - position),
          position,
        );
        if (got === 0) break;
        fingerprinting?.update(buffer.subarray(0, got));
        position += got;
        await pace(got);
      }
      return fingerprinting?.finish() ?? fingerprintOf(crypto, digest, buffer.subarray(0, position), wanted);
    } finally {
      await file.close();
    }
  };

  const lackOf = async ({ path, attributes }: DeployedFile): Promise<string[]> => {
    if (attributes === undefined) return [];
    const file = await files.open(path, 'read');
    try {
      const { values, isUnknown } = await file.attributes();
      return isUnknown === true ? [] : lackingAttributes(values, attributes);
    } finally {
      await file.close();
    }
  };

  const place = async (
    path: string,
    wanted: 'file' | 'directory' | 'symlink',
  ): Promise<FileStat | Difference> => {
    const directory = posix.dirname(path);
    const leadsTo = await realDirectory(directory);
    if (leadsTo !== undefined && leadsTo !== directory)
      return { kind: 'kind', text: `${directory} is a symlink now and leads to ${leadsTo}` };
    const stat = await files.stat(path);
    if (stat === undefined) return { kind: 'missing', text: 'is missing' };
    if (stat.kind === wanted) return stat;
    const to = stat.kind === 'symlink' ? ` to ${await files.readLink(path)}` : '';
    return { kind: 'kind', text: `is ${nameOf[stat.kind]}${to}, not ${nameOf[wanted]}` };
  };

  const reading = async (action: () => Promise<Difference | undefined>): Promise<Difference | undefined> => {
    try {
      signal.throwIfAborted();
      return await action();
    } catch (thrown) {
      const system = errno(thrown);
      if (system === undefined || signal.aborted) throw thrown;
      if (system === 'ENOENT') return { kind: 'missing', text: 'is missing' };
      return { kind: 'unreadable', text: `cannot be read: ${(thrown as Error).message}` };
    }
  };

  return {
    holds: async (path, sizeBytes, wanted) => isSame(await fingerprint(path, sizeBytes, wanted), wanted),
    file: (file) =>
      reading(async () => {
        await pace(limits.auditFileBytes);
        const found = await place(file.path, 'file');
        if ('text' in found) return found;
        if (found.sizeBytes !== file.sizeBytes)
          return {
            kind: 'content',
            text: `holds ${found.sizeBytes} bytes, ${file.sizeBytes} were deployed`,
          };
        const now = await fingerprint(file.path, file.sizeBytes, file);
        if (!isSame(now, file)) return { kind: 'content', text: otherBytes(now, file) };
        return attributesOf(found, file, await lackOf(file));
      }),
    link: (link) =>
      reading(async () => {
        await pace(limits.auditFileBytes);
        const found = await place(link.path, 'symlink');
        if ('text' in found) return found;
        const to = await files.readLink(link.path);
        if (to !== link.to)
          return { kind: 'content', text: `leads to ${to}, deployed was a symlink to ${link.to}` };
        return attributesOf(found, { ...link, mode: found.mode }, []);
      }),
    directory: (directory) =>
      reading(async () => {
        const found = await place(directory.path, 'directory');
        return 'text' in found ? found : undefined;
      }),
  };
}

/** Comparers for many files at a time: each has a buffer of its own, a small one, and reads one file. */
export function comparers(
  files: Files,
  comparison: Comparison = { signal: new AbortController().signal, pace: () => undefined },
): <T>(action: (comparer: Comparer) => Promise<T>) => Promise<T> {
  const realDirectory = realDirectories(files);
  const idle: Comparer[] = [];
  return async (action) => {
    const comparer = idle.pop() ?? comparerOf(files, comparison, realDirectory, limits.sharedReadBufferBytes);
    try {
      return await action(comparer);
    } finally {
      idle.push(comparer);
    }
  };
}

/** Regular files and symlinks below a directory module that the record does not name. Nothing is looked for deeper than limits.pathDepth. */
export async function* extraFiles(
  files: Files,
  tree: string,
  known: Pick<ReadonlySet<string>, 'has'>,
  signal: AbortSignal,
  depth = 0,
): AsyncGenerator<string> {
  if (depth > limits.pathDepth || (await files.stat(tree))?.kind !== 'directory') return;
  const paths = (await files.list(tree)).sort().map((name) => inDirectory(tree, name));
  const breathe = breather();
  for (let first = 0; first < paths.length; first += limits.statsInFlight) {
    const some = paths.slice(first, first + limits.statsInFlight);
    const stats = await files.statMany(some);
    for (const [index, path] of some.entries()) {
      signal.throwIfAborted();
      const kind = stats[index]?.kind;
      if (kind === 'directory') yield* extraFiles(files, path, known, signal, depth + 1);
      else if ((kind === 'file' || kind === 'symlink') && !known.has(path)) yield path;
      await breathe();
    }
  }
}

const nameOf: Record<FileStat['kind'], string> = {
  file: 'a regular file',
  directory: 'a directory',
  symlink: 'a symlink',
  other: 'a device, socket or pipe',
};

function attributesOf(
  found: FileStat,
  file: Pick<DeployedFile, 'mode' | 'uid' | 'gid'>,
  lack: readonly string[],
): Difference | undefined {
  const texts: string[] = [];
  if (found.mode !== file.mode) texts.push(`has mode ${octal(found.mode)}, ${octal(file.mode)} was deployed`);
  if (found.uid !== file.uid || found.gid !== file.gid)
    texts.push(`belongs to ${found.uid}:${found.gid}, ${file.uid}:${file.gid} was deployed`);
  texts.push(...lack);
  return texts.length === 0 ? undefined : { kind: 'attributes', text: texts.join('; ') };
}

/** What it has beyond those that were deployed is the matter of whoever gave it that: a command of the package, a person. */
function lackingAttributes(found: Attributes, deployed: Attributes): string[] {
  const texts: string[] = [];
  const [now, was] = [found[capability], deployed[capability]];
  if (was !== undefined && now !== was)
    texts.push(
      `has ${now === undefined ? 'no capabilities' : `the capabilities ${capabilitiesText(now)}`}, ${capabilitiesText(was)} was deployed`,
    );
  const [list, deployedList] = [found[accessList], deployed[accessList]];
  if (deployedList !== undefined && list !== deployedList)
    texts.push(
      list === undefined
        ? 'has no access list (ACL), one was deployed'
        : 'has another access list (ACL) than was deployed',
    );
  return texts;
}

/** A seal tells nothing to anybody else. */
function otherBytes(now: Fingerprint, deployed: Fingerprint): string {
  if (now.sha256 === undefined || deployed.sha256 === undefined)
    return 'holds other bytes than were deployed';
  return `holds other bytes: SHA-256 ${short(now.sha256)}, ${short(deployed.sha256)} was deployed`;
}

/** Enough to tell two digests apart, and to look one up. */
function short(digest: string): string {
  return `${digest.slice(0, 16)}...`;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
