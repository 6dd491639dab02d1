/**
 * One updater a work directory, over PID and network namespaces, too. The lock is the directory `lock/` while a process listens
 * on the unix socket in it. Any user could take a name outside of the file system first, and Node has no flock. It is taken by
 * renaming `lock.<id>/`, with a listening socket in it, to `lock/`, which the kernel does for one of many, and only where that
 * is missing or empty. What a killed process left refuses connections, and is removed by its own name, so never that of one who
 * was quicker. Mode 0700: nobody else can connect and keep a dead socket looking alive.
 */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, unlink } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { errno } from '../errors.ts';
import { isListening } from './unix-socket.ts';

/**
 * Takes the lock of an existing directory until the process ends. False where another process has it; nothing was written then.
 * Rejects with the system error where it cannot be taken.
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
    // Who has the lock by now took the empty directory for one that a killed process left.
    if (server === undefined && (await isHeld(lock))) return false;
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
