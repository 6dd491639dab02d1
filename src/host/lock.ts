/**
 * One updater a work directory. The lock is a name in the kernel's abstract socket space, made from the directory's
 * device and inode: nothing is written into the directory, nothing is left behind by a kill, and two paths to one
 * directory make one name.
 */
import { stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { errno } from '../errors.ts';

/** Takes the lock of an existing directory until the process ends. False where another process has it. */
export async function lockDirectory(path: string): Promise<boolean> {
  const { dev, ino } = await stat(path, { bigint: true });
  const server = createServer((socket) => socket.destroy());
  server.unref();
  return new Promise((resolve, reject) => {
    server.once('error', (error) => (errno(error) === 'EADDRINUSE' ? resolve(false) : reject(error)));
    server.listen(`\0tope-updater:${dev}:${ino}`, () => resolve(true));
  });
}
