/**
 * syncfs(2) makes all of a filesystem durable at once, where thousands of small files would each wait for an fsync(2). node:ffi
 * (Node 26 and newer) calls on the thread that asks, which must not wait: so pthread_create(3) is given syncfs itself to run,
 * its descriptor as the argument, each a machine word in the first register on x86-64 and AArch64. Only errno is lost: EIO
 * stands for all. It is used where it promises what fsync does: Linux 5.8 and newer tell writes that failed, and the
 * filesystem's own code waits for its journal (no FUSE, no overlay).
 */
import fs from 'node:fs';
import { release } from 'node:os';
import { limits } from '../limits.ts';
import { type Foreign, foreign } from './foreign.ts';
import type { Filesystem } from './host.ts';

/** Opens the filesystem of a directory. Undefined where syncfs cannot be called or does not promise enough. */
export async function openFilesystem(directory: fs.PathLike): Promise<Filesystem | undefined> {
  const syncfs = systemCall();
  if (syncfs === undefined || !tellsFailedWrites(release())) return undefined;
  const { type } = await call<fs.StatsFs>((done) => fs.statfs(directory, done));
  if (!trusted.has(type)) return undefined;
  const fd = await call<number>((done) =>
    fs.open(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY, done),
  );
  return {
    async sync() {
      await syncfs(fd);
      // vfat and ext2 leave what they wrote in the disk's own cache; this empties it, and costs nothing where it is empty.
      await call<void>((done) => fs.fsync(fd, (error) => done(error, undefined)));
    },
    close: () => call<void>((done) => fs.close(fd, (error) => done(error, undefined))),
  };
}

/** Linux 5.8 and newer: before, syncfs reported success although a page could not be written. */
export function tellsFailedWrites(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  return major > 5 || (major === 5 && minor >= 8);
}

/** Magic numbers of statfs(2): ext2 to ext4, xfs, btrfs, f2fs, ubifs, vfat, tmpfs. */
const trusted = new Set([0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x24051905, 0x4d44, 0x01021994]);

interface Functions {
  readonly pthread_create: (thread: bigint, attributes: bigint, start: bigint, argument: bigint) => number;
  readonly pthread_tryjoin_np: (thread: bigint, result: bigint) => number;
}

function systemCall(): ((fd: number) => Promise<void>) | undefined {
  if (process.arch !== 'x64' && process.arch !== 'arm64') return undefined;
  const libc = foreign<Functions>({
    pthread_create: { arguments: ['uint64', 'uint64', 'uint64', 'uint64'], return: 'int32' },
    pthread_tryjoin_np: { arguments: ['uint64', 'uint64'], return: 'int32' },
  });
  if (libc === undefined) return undefined;
  try {
    const syncfs = libc.address('syncfs');
    return (fd) => onThread(libc, syncfs, fd);
  } catch {
    return undefined; // a libc without it
  }
}

const EBUSY = 16;

/** Runs an `int f(int)` of the C library on a thread of its own. */
async function onThread(
  { functions, pointerTo }: Foreign<Functions>,
  f: bigint,
  argument: number,
): Promise<void> {
  const thread = new BigUint64Array(1);
  const result = new BigUint64Array(1);
  const begun = functions.pthread_create(pointerTo(thread), 0n, f, BigInt(argument));
  if (begun !== 0) throw systemError('EAGAIN', `syncfs: no thread for it (${begun})`);
  for (;;) {
    const joined = functions.pthread_tryjoin_np(thread[0] ?? 0n, pointerTo(result));
    if (joined === 0) break;
    if (joined !== EBUSY) throw systemError('EINVAL', `syncfs: its thread cannot be joined (${joined})`);
    await new Promise((resolve) => setTimeout(resolve, limits.syncPollMs));
  }
  if (BigInt.asIntN(32, result[0] ?? 0n) !== 0n)
    throw systemError('EIO', 'syncfs: the filesystem could not be written');
}

function systemError(code: string, text: string): Error {
  return Object.assign(new Error(`${code}: ${text}`), { code });
}

function call<T>(start: (done: (error: NodeJS.ErrnoException | null, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => start((error, value) => (error ? reject(error) : resolve(value))));
}
