/**
 * One updater a work directory, whoever else is on the machine.
 *
 * The lock is the directory `lock/` of the work directory while a process listens on the unix socket in it. A name in
 * the kernel's abstract space, a port, or anything else outside of the file system can be taken first by any user; a file's
 * lock (flock) is not to be had in Node. To take it, a process makes a directory `lock.<id>/` with its listening socket
 * `<id>` in it and renames that to `lock/`, which the kernel does for one of many only, and only where `lock/` is missing or
 * empty. What a killed process left there refuses connections; it is removed by its own name, so that nobody ever
 * removes the socket of one who was quicker. What a power cut or a kill leaves behind is empty files, which the next
 * holder takes away.
 *
 * Works over PID and network namespaces: a container that shares the work directory shares the lock. Both directories have
 * mode 0700: nobody else can connect, and keep a dead socket looking alive.
 */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, unlink } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { errno } from '../errors.ts';
import { isListening } from './unix-socket.ts';

/**
 * Takes the lock of an existing directory until the process ends. False where another process has it; then nothing was
 * written. Rejects with the system error where it cannot be taken (a file system without sockets, a `lock` that is no
 * directory).
 */
export async function lockDirectory(path: string): Promise<boolean> {
  const lock = join(path, 'lock');
  if (await isHeld(lock)) return false;
  const id = `${process.pid}-${Math.random().toString(36).slice(2)}`;
  const own = join(path, `lock.${id}`);
  await mkdir(own, { mode: 0o700 });
  let server: Server | undefined;
  const giveUp = async () => {
    server?.close();
    await rm(own, { recursive: true, force: true });
  };
  try {
    server = await listenIn(own, id);
    while (!(await isMoved(own, lock))) {
      if (!(await isHeld(lock))) continue;
      await giveUp();
      return false;
    }
  } catch (thrown) {
    await giveUp();
    throw thrown;
  }
  await sweep(path);
  return true;
}

/** Renames `own` to `lock`. False where somebody's socket is in that. */
async function isMoved(own: string, lock: string): Promise<boolean> {
  try {
    await rename(own, lock);
    return true;
  } catch (thrown) {
    if (errno(thrown) === 'ENOTEMPTY' || errno(thrown) === 'EEXIST') return false;
    throw thrown;
  }
}

/** Does somebody listen in this directory? What refuses is removed. */
async function isHeld(directory: string): Promise<boolean> {
  const handle = await ifThere(openDirectory(directory));
  if (handle === undefined) return false;
  try {
    for (const name of await readdir(within(handle, '.'))) {
      if (await isListening(within(handle, name))) return true;
      await ifThere(unlink(within(handle, name)));
    }
    return false;
  } finally {
    await handle.close();
  }
}

/** Takes away what those left that were killed before they had the lock. */
async function sweep(path: string): Promise<void> {
  for (const name of await readdir(path)) {
    const left = join(path, name);
    // One that is alive has not seen yet that it came too late, and takes itself away.
    if (name.startsWith('lock.') && !(await isHeld(left))) await ifThere(rmdir(left));
  }
}

async function listenIn(directory: string, name: string): Promise<Server> {
  const handle = await openDirectory(directory);
  const server = createServer((socket) => socket.destroy());
  server.unref();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path: within(handle, name) }, resolve);
    });
    return server;
  } finally {
    await handle.close();
  }
}

/** Never through a symlink in the last place. */
function openDirectory(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

/** By its directory's descriptor, as the path of a socket may have no more than 107 bytes. */
function within(directory: FileHandle, name: string): string {
  return `/proc/self/fd/${directory.fd}/${name}`;
}

async function ifThere<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (thrown) {
    if (errno(thrown) === 'ENOENT') return undefined;
    throw thrown;
  }
}
