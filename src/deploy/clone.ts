/** A second copy of a file or symlink: by hard link where the filesystem is the same, else copied. */
import { errno } from '../errors.ts';
import type { FileStat, Files, OpenFile } from '../host/host.ts';
import { setAttributes } from '../host/new-files.ts';
import type { WriteGroup } from '../host/write-group.ts';
import { limits } from '../limits.ts';
import { giveAttributes } from './attributes.ts';

/** What a filesystem answers that has no hard links, or none across this border, or none for this file. */
const noHardLink = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/**
 * Makes `to` (nothing may stand there) the same file as `from`, or an equal one: mode, owner, extended attributes and time of change
 * kept, content durable at once, or with `group` where one is given. The directory of `to` is the caller's to sync. A symlink is cloned as
 * a link. Rejects with a system error.
 */
export async function cloneFile(
  files: Files,
  from: string,
  to: string,
  options: CopyOptions = {},
): Promise<Cloned> {
  if (await linkFile(files, from, to)) return { how: 'linked', lost: [] };
  return copyFile(files, from, to, options);
}

export interface CopyOptions {
  readonly group?: WriteGroup | undefined;
  /** Whether a file has extended attributes, where that was found out for many at once: to ask one may cost a process. */
  readonly hasAttributes?: (path: string) => Promise<boolean>;
}

export interface Cloned {
  readonly how: 'linked' | 'copied';
  /** Names of extended attributes that the copy has not. */
  readonly lost: readonly string[];
}

/** Makes `to` another name of `from`; false where the filesystem cannot. Rejects with any other system error. */
export async function linkFile(files: Files, from: string, to: string): Promise<boolean> {
  try {
    await files.hardLink(from, to);
    return true;
  } catch (thrown) {
    if (noHardLink.has(errno(thrown) ?? '')) return false;
    throw thrown;
  }
}

/** Makes `to` a file of its own with all that `from` has; see cloneFile. */
export async function copyFile(
  files: Files,
  from: string,
  to: string,
  { group, hasAttributes }: CopyOptions = {},
): Promise<Cloned> {
  const stat = await files.stat(from);
  if (stat?.kind === 'symlink') {
    await files.symbolicLink(await files.readLink(from), to, stat);
    return { how: 'copied', lost: [] };
  }
  const isDressed = (await hasAttributes?.(from)) ?? true;
  const source = await files.open(from, 'read');
  try {
    const target = await files.open(to, 'create');
    let isTaken = false;
    try {
      // Before its content: what somebody writes meanwhile makes it look changed since, never the same.
      const was = await source.stat();
      const sizeBytes = await copyContent(source, target, was.sizeBytes);
      await setAttributes(target, was);
      const lost = isDressed ? await copyAttributes(source, target) : [];
      await target.setModified(was.modifiedMs);
      isTaken = group !== undefined;
      if (group === undefined) await target.sync();
      else await group.finish(target, sizeBytes);
      return { how: 'copied', lost };
    } finally {
      if (!isTaken) await target.close();
    }
  } finally {
    await source.close();
  }
}

/** Gives the names of those that the copy cannot have. */
async function copyAttributes(source: OpenFile, target: OpenFile): Promise<readonly string[]> {
  const { values, beyond } = await source.attributes();
  if (Object.keys(values).length === 0) return beyond;
  return [...beyond, ...(await giveAttributes(target, values))];
}

/** Two names of one file. */
export function sameFile(a: FileStat, b: FileStat): boolean {
  return a.device === b.device && a.inode === b.inode;
}

/** What there is when it begins: a file that its owner makes grow all the time would fill the disk. */
async function copyContent(source: OpenFile, target: OpenFile, sizeBytes: number): Promise<number> {
  const buffer = new Uint8Array(Math.min(limits.chunkBytes, sizeBytes));
  let position = 0;
  for (;;) {
    const wanted = Math.min(buffer.length, sizeBytes - position);
    const got = wanted === 0 ? 0 : await source.read(buffer, 0, wanted, position);
    if (got === 0) return position;
    await target.write(buffer.subarray(0, got), position);
    position += got;
  }
}

/** True where both are files of the same bytes, or symlinks to the same place, with the same mode and owner. */
export async function isEqual(files: Files, a: string, b: string): Promise<boolean> {
  const [left, right] = [await files.stat(a), await files.stat(b)];
  if (left === undefined || right === undefined || left.kind !== right.kind) return false;
  if (sameFile(left, right)) return true;
  if (left.uid !== right.uid || left.gid !== right.gid || left.mode !== right.mode) return false;
  if (left.kind === 'symlink') return (await files.readLink(a)) === (await files.readLink(b));
  if (left.kind !== 'file' || left.sizeBytes !== right.sizeBytes) return false;
  const one = await files.open(a, 'read');
  try {
    const other = await files.open(b, 'read');
    try {
      return await sameContent(one, other);
    } finally {
      await other.close();
    }
  } finally {
    await one.close();
  }
}

async function sameContent(one: OpenFile, other: OpenFile): Promise<boolean> {
  const [left, right] = [Buffer.alloc(limits.chunkBytes), Buffer.alloc(limits.chunkBytes)];
  for (let position = 0; ; ) {
    const got = await one.read(left, 0, left.length, position);
    const asMany = await other.read(right, 0, right.length, position);
    if (got !== asMany || !left.subarray(0, got).equals(right.subarray(0, got))) return false;
    if (got === 0) return true;
    position += got;
  }
}
