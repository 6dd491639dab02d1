/** The name of a unix socket in the file system: freed before listening, guarded after. */
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { errno } from '../errors.ts';

/**
 * Removes what a daemon that was killed left at `path`. Rejects when somebody still listens there, or when it is no
 * socket: nothing else is ever removed.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`${path} exists and is no socket`);
  if (await isListening(path)) throw new Error(`the socket ${path} is taken: another program listens there`);
  await unlink(path);
}

/** Mode 0660: for root and the socket's group only. */
export async function guardSocket(path: string): Promise<void> {
  await chmod(path, 0o660);
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const end = (listening: boolean) => {
      socket.destroy();
      resolve(listening);
    };
    socket.once('connect', () => end(true));
    // Only a refusal proves that nobody is behind the name.
    socket.once('error', (error) => end(errno(error) !== 'ECONNREFUSED'));
  });
}
