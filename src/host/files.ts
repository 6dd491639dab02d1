/**
 * The Files port on the real filesystem: node:fs with callbacks and plain descriptors, because every FileHandle of
 * node:fs/promises is an object that waits for a garbage collection.
 *
 * Invariants: the daemon's port (realFiles) follows no symlink in whatever place of a path, as each directory below an allowed root may
 * belong to a service that is not trusted; nothing is given a mode or an owner by its name.
 */
import fs from 'node:fs';
import { posix } from 'node:path';
import { limits } from '../limits.ts';
import { type GroupReader, groupReader } from './acl.ts';
import { openAnchors } from './anchors.ts';
import { attributeNames } from './attribute-names.ts';
import { type AttributeCalls, attributeCalls } from './attributes.ts';
import { isAbsence, statMany, toFileStat } from './file-stat.ts';
import type { FileOwner, FileStat, Files, Memory, OpenFile, OpenHow } from './host.ts';
import { createMany } from './new-files.ts';
import { pathBytes, rawText } from './raw-text.ts';
import { renameMany } from './renames.ts';
import { openFilesystem } from './syncfs.ts';

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_APPEND, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } =
  fs.constants;
/** See anchors.ts. */
const O_PATH = 0o10000000;

/** O_NONBLOCK: a pipe put in a file's place would keep one of libuv's two threads until somebody opens its other end. */
export const openFlags: Record<OpenHow, number> = {
  read: O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
  update: O_RDWR | O_NOFOLLOW | O_NONBLOCK,
  create: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
  append: O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK,
};

/** What the system takes for a path, see pathBytes. */
type SystemName = string | Buffer;

/** How a path becomes a name for the system: `at` of the thing in its last place, `inside` of a directory as such. */
interface Names {
  at<T>(path: string, action: (name: SystemName) => Promise<T>): Promise<T>;
  inside<T>(directory: string, action: (name: SystemName) => Promise<T>): Promise<T>;
}

/** The disk as the daemon uses it: a symlink on the way to any name is an error (ELOOP), whoever has put it there. `memory`: hears of each call. */
export function realFiles(memory?: Pick<Memory, 'produced'>): Files {
  const anchors = openAnchors();
  return filesOf({
    at: (path, action) => {
      memory?.produced(limits.fileCallGarbageBytes);
      const absolute = shortest(path);
      const slash = absolute.lastIndexOf('/');
      return anchors.within(absolute.slice(0, slash) || '/', (anchor) =>
        action(pathBytes(`${anchor}${absolute.slice(slash)}`)),
      );
    },
    inside: (directory, action) => {
      memory?.produced(limits.fileCallGarbageBytes);
      return anchors.within(shortest(directory), action);
    },
  });
}

/**
 * The path in its shortest form, absolute. Nearly every one is, and node:path looks at each character of it in JavaScript; what
 * cannot be told by a glance is left to it.
 */
function shortest(path: string): string {
  return path.startsWith('/') && path.length > 1 && !/\/(?:\/|$|\.\.?(?:\/|$))/.test(path)
    ? path
    : posix.resolve(path);
}

/** For commands, whose paths a person has typed: symlinks in directories are followed, as everywhere in a shell. */
export function plainFiles(): Files {
  return filesOf({
    at: (path, action) => action(pathBytes(path)),
    inside: (directory, action) => action(pathBytes(directory)),
  });
}

/** Every call runs on libuv's worker; none blocks the event loop. */
function filesOf({ at, inside }: Names): Files {
  const groups = groupReader();
  const attributes = attributeCalls();
  const files: Files = {
    open: async (path, how) => {
      const fd = await at(path, (name) => call<number>((done) => fs.open(name, openFlags[how], 0o600, done)));
      const file = openedFile(fd, how, { groups, attributes });
      try {
        if (how === 'create') attributes.dropInherited(fd);
        return file;
      } catch (thrown) {
        await file.close();
        throw thrown;
      }
    },
    createMany: (wanted) => createMany(wanted, inside, attributes),
    list: (path) =>
      inside(path, async (name) => {
        const names = await call<string[]>((done) => fs.readdir(name, { encoding: 'utf8' }, done));
        // As bytes only where one may be no UTF-8: a buffer for each of thousands of names is memory.
        if (!names.some((each) => each.includes('\ufffd'))) return names;
        return (await call<Buffer[]>((done) => fs.readdir(name, { encoding: 'buffer' }, done))).map(rawText);
      }),
    stat: async (path) => {
      try {
        return await at(path, async (name) => {
          const stat = toFileStat(
            await call<fs.BigIntStats>((done) => fs.lstat(name, { bigint: true }, done)),
          );
          return withoutMask(stat, groups, (reader) => reader.ofName(name));
        });
      } catch (thrown) {
        if (isAbsence(thrown)) return undefined;
        throw thrown;
      }
    },
    statMany: (paths) => statMany(paths, inside),
    realPath: async (path) =>
      rawText(
        await call<Buffer>((done) => fs.realpath.native(pathBytes(path), { encoding: 'buffer' }, done)),
      ),
    readLink: (path) =>
      at(path, async (name) =>
        rawText(await call<Buffer>((done) => fs.readlink(name, { encoding: 'buffer' }, done))),
      ),
    attributeNames,
    makeDirectory: (path, mode, owner) =>
      at(path, async (name) => {
        await callVoid((done) => fs.mkdir(name, mode, done));
        await dressDirectory(name, mode, owner, attributes);
      }),
    removeDirectory: (path) => at(path, (name) => callVoid((done) => fs.rmdir(name, done))),
    rename: (from, to) => at(from, (old) => at(to, (name) => callVoid((done) => fs.rename(old, name, done)))),
    renameMany: (renames) => renameMany(renames, inside, files),
    hardLink: (existing, newPath) =>
      at(existing, (old) => at(newPath, (name) => callVoid((done) => fs.link(old, name, done)))),
    symbolicLink: (target, path, owner) =>
      at(path, async (name) => {
        await callVoid((done) => fs.symlink(pathBytes(target), name, done));
        await giveLink(name, owner);
      }),
    remove: (path) => at(path, (name) => callVoid((done) => fs.unlink(name, done))),
    syncDirectory: (path) =>
      inside(path, (name) =>
        withDescriptor(name, O_RDONLY | O_DIRECTORY, (fd) => callVoid((done) => fs.fsync(fd, done))),
      ),
    mountPoints: async () =>
      mountPointsIn(await call<Buffer>((done) => fs.readFile('/proc/self/mountinfo', done))),
    space: (path) =>
      inside(path, async (name) => {
        const device = (await call<fs.BigIntStats>((done) => fs.stat(name, { bigint: true }, done))).dev;
        const { bavail, bsize } = await call<fs.StatsFs>((done) => fs.statfs(name, done));
        return { device, freeBytes: bavail * bsize, blockBytes: bsize };
      }),
    openFilesystem: (path) => inside(path, openFilesystem),
  };
  return files;
}

/**
 * Mode (mkdir's is cut by the umask) and owner of a directory that was just made, and no inherited access list, by its descriptor. Whoever owns the
 * directory above may have moved another one there meanwhile: one that is not ours, or not empty, is left alone.
 */
async function dressDirectory(
  name: SystemName,
  mode: number,
  owner: FileOwner | undefined,
  attributes: AttributeCalls,
): Promise<void> {
  await withDescriptor(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, async (fd) => {
    const made = toFileStat(await call<fs.BigIntStats>((done) => fs.fstat(fd, { bigint: true }, done)));
    const { uid, gid } = owner ?? made;
    // Until then whom the list names could put something there: it has to be empty.
    const hadList = made.uid === process.geteuid?.() && attributes.dropInherited(fd);
    if (!hadList && made.mode === mode && made.uid === uid && made.gid === gid) return;
    const inIt = await call<string[]>((done) => fs.readdir(`/proc/self/fd/${fd}`, done));
    if (made.uid !== process.geteuid?.() || inIt.length > 0)
      throw Object.assign(new Error(`EEXIST: ${name} is not the directory that was made`), {
        code: 'EEXIST',
      });
    if (made.uid !== uid || made.gid !== gid) await callVoid((done) => fs.fchown(fd, uid, gid, done));
    await callVoid((done) => fs.fchmod(fd, mode, done));
  });
}

/** The owner of a symlink that was just made, by its descriptor: chown(2) of that does not go on to where the link leads. */
async function giveLink(name: SystemName, owner: FileOwner | undefined): Promise<void> {
  if (owner === undefined) return;
  await withDescriptor(name, O_PATH | O_NOFOLLOW, async (fd) => {
    const made = toFileStat(await call<fs.BigIntStats>((done) => fs.fstat(fd, { bigint: true }, done)));
    if (made.uid === owner.uid && made.gid === owner.gid) return;
    if (made.kind !== 'symlink' || made.uid !== process.geteuid?.())
      throw Object.assign(new Error(`EEXIST: ${name} is not the symlink that was made`), { code: 'EEXIST' });
    await callVoid((done) => fs.chown(`/proc/self/fd/${fd}`, owner.uid, owner.gid, done));
  });
}

/** From the text of /proc/self/mountinfo (proc(5)): the fifth field, in which blanks and backslashes are octal. */
function mountPointsIn(text: Buffer): Set<string> {
  const points = new Set<string>();
  for (const line of text.toString('latin1').split('\n')) {
    const field = line.split(' ')[4];
    if (field === undefined) continue;
    const bytes = field.replace(/\\([0-7]{3})/g, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 8)),
    );
    points.add(rawText(Buffer.from(bytes, 'latin1')));
  }
  return points;
}

async function withDescriptor<T>(
  name: SystemName,
  flags: number,
  action: (fd: number) => Promise<T>,
): Promise<T> {
  const fd = await call<number>((done) => fs.open(name, flags, done));
  try {
    return await action(fd);
  } finally {
    await callVoid((done) => fs.close(fd, done));
  }
}

interface Calls {
  readonly groups: GroupReader | undefined;
  readonly attributes: AttributeCalls;
}

/** The port of an open descriptor. */
export function openedFile(fd: number, how: OpenHow, { groups, attributes }: Calls): OpenFile {
  return {
    read: (buffer, offset, length, position) =>
      call<number>((done) => fs.read(fd, buffer, offset, length, position, done)),
    write: async (bytes, position) => {
      for (let done = 0; done < bytes.length; ) {
        const at = how === 'append' ? null : position + done;
        done += await call<number>((cb) => fs.write(fd, bytes, done, bytes.length - done, at, cb));
      }
    },
    sync: () => callVoid((done) => fs.fsync(fd, done)),
    syncData: () => callVoid((done) => fs.fdatasync(fd, done)),
    truncate: (sizeBytes) => callVoid((done) => fs.ftruncate(fd, sizeBytes, done)),
    setMode: (mode) => callVoid((done) => fs.fchmod(fd, mode, done)),
    setOwner: (uid, gid) => callVoid((done) => fs.fchown(fd, uid, gid, done)),
    setModified: (epochMs) => callVoid((done) => fs.futimes(fd, epochMs / 1000, epochMs / 1000, done)),
    stat: async () => {
      const stat = toFileStat(await call<fs.BigIntStats>((done) => fs.fstat(fd, { bigint: true }, done)));
      return withoutMask(stat, groups, (reader) => reader.ofDescriptor(fd));
    },
    attributes: () => attributes.read(fd),
    setAttribute: (name, value) => attributes.write(fd, name, value),
    close: () => callVoid((done) => fs.close(fd, done)),
  };
}

/** With what the owning group may do in the place of an access list's mask (acl.ts). */
export async function withoutMask(
  stat: FileStat,
  groups: GroupReader | undefined,
  read: (groups: GroupReader) => Promise<number | undefined>,
): Promise<FileStat> {
  if (groups === undefined || (stat.kind !== 'file' && stat.kind !== 'directory')) return stat;
  const [group, others] = [(stat.mode >> 3) & 7, stat.mode & 7];
  // Where the group may do no more than everybody, a mask has let hardly anything in.
  if (group === 0 || (groups.isCostly && (group & ~others) === 0)) return stat;
  const bits = await read(groups);
  return bits === undefined ? stat : { ...stat, mode: (stat.mode & ~0o070) | ((bits & group) << 3) };
}

type Done<T> = (error: NodeJS.ErrnoException | null, value: T) => void;

function call<T>(start: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => start((error, value) => (error ? reject(error) : resolve(value))));
}

function callVoid(start: (done: (error: NodeJS.ErrnoException | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error ? reject(error) : resolve())));
}
