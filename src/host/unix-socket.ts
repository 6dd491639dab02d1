/** The name of a unix socket in the file system: freed before listening, guarded from then on. */
import { lstat, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { errno } from '../errors.ts';

/** Removes what a daemon that was killed left at `path`. Rejects when somebody still listens there, or when it is no socket. */
export async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`${path} exists and is no socket`);
  if (await isListening(path)) throw new Error(`the socket ${path} is taken: another program listens there`);
  await rm(path, { force: true });
}

/** Makes a socket by `listen`, which binds it before it returns: 0660 from its first moment. A chmod later could go elsewhere. */
export function listenGuarded(listen: () => void): void {
  const before = process.umask(0o117);
  try {
    listen();
  } finally {
    process.umask(before);
  }
}

/** False where nothing is there, or nobody behind it. */
export function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const end = (listening: boolean) => {
      socket.destroy();
      resolve(listening);
    };
    socket.once('connect', () => end(true));
    // A name that is gone, or a refusal, proves that nobody is behind it; a full queue does not.
    socket.once('error', (error) => end(!['ECONNREFUSED', 'ENOENT'].includes(errno(error) ?? '')));
  });
}
