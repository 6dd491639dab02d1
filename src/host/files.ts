/**
 * The Files port on the real filesystem: node:fs with callbacks and plain descriptors, because every FileHandle of
 * node:fs/promises is an object that waits for a garbage collection.
 *
 * Invariant: nothing here follows a symlink in the last place of a path (O_NOFOLLOW, lstat, lchown).
 */
import fs from 'node:fs';
import { errno } from '../errors.ts';
import type { FileStat, Files, OpenFile, OpenHow } from './host.ts';

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_APPEND, O_NOFOLLOW, O_DIRECTORY } = fs.constants;

const openFlags: Record<OpenHow, number> = {
  read: O_RDONLY | O_NOFOLLOW,
  update: O_RDWR | O_NOFOLLOW,
  create: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
  append: O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW,
};

/** The real disk. Every call runs on libuv's worker; none blocks the event loop. */
export function realFiles(): Files {
  return {
    open: async (path, how) =>
      openedFile(await call<number>((done) => fs.open(path, openFlags[how], 0o600, done)), how),
    list: (path) => call((done) => fs.readdir(path, done)),
    stat: async (path) => {
      try {
        return toFileStat(await call<fs.BigIntStats>((done) => fs.lstat(path, { bigint: true }, done)));
      } catch (thrown) {
        if (errno(thrown) === 'ENOENT' || errno(thrown) === 'ENOTDIR') return undefined;
        throw thrown;
      }
    },
    realPath: (path) => call((done) => fs.realpath.native(path, done)),
    readLink: (path) => call((done) => fs.readlink(path, done)),
    makeDirectory: async (path, mode) => {
      await callVoid((done) => fs.mkdir(path, mode, done));
      await callVoid((done) => fs.chmod(path, mode, done)); // mkdir's mode is cut by the umask
    },
    removeDirectory: (path) => callVoid((done) => fs.rmdir(path, done)),
    rename: (from, to) => callVoid((done) => fs.rename(from, to, done)),
    hardLink: (existing, newPath) => callVoid((done) => fs.link(existing, newPath, done)),
    symbolicLink: (target, path) => callVoid((done) => fs.symlink(target, path, done)),
    remove: (path) => callVoid((done) => fs.unlink(path, done)),
    setMode: (path, mode) => callVoid((done) => fs.chmod(path, mode, done)),
    setOwner: (path, uid, gid) => callVoid((done) => fs.lchown(path, uid, gid, done)),
    syncDirectory: async (path) => {
      const fd = await call<number>((done) => fs.open(path, O_RDONLY | O_DIRECTORY, done));
      try {
        await callVoid((done) => fs.fsync(fd, done));
      } finally {
        await callVoid((done) => fs.close(fd, done));
      }
    },
    space: async (path) => {
      const device = (await call<fs.BigIntStats>((done) => fs.stat(path, { bigint: true }, done))).dev;
      const { bavail, bsize } = await call<fs.StatsFs>((done) => fs.statfs(path, done));
      return { device, freeBytes: bavail * bsize, blockBytes: bsize };
    },
  };
}

function openedFile(fd: number, how: OpenHow): OpenFile {
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
    stat: async () => toFileStat(await call<fs.BigIntStats>((done) => fs.fstat(fd, { bigint: true }, done))),
    close: () => callVoid((done) => fs.close(fd, done)),
  };
}

function toFileStat(stats: fs.BigIntStats): FileStat {
  const kind = stats.isFile()
    ? 'file'
    : stats.isDirectory()
      ? 'directory'
      : stats.isSymbolicLink()
        ? 'symlink'
        : 'other';
  return {
    kind,
    sizeBytes: Number(stats.size),
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    device: stats.dev,
    inode: stats.ino,
    modifiedMs: Number(stats.mtimeMs),
  };
}

type Done<T> = (error: NodeJS.ErrnoException | null, value: T) => void;

function call<T>(start: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => start((error, value) => (error ? reject(error) : resolve(value))));
}

function callVoid(start: (done: (error: NodeJS.ErrnoException | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error ? reject(error) : resolve())));
}
