/** Which program listens on a TCP port, for whoever is told that it is taken. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { printed } from '../printed.ts';
import { hasListener } from './listening.ts';

/** `tope-updater with pid 123`: who listens there; undefined: it is not ours to see. */
export async function listenerOn(port: number): Promise<string | undefined> {
  const sockets = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6'])
    for (const line of (await readFile(table, 'latin1').catch(() => '')).split('\n'))
      if (hasListener(line, port)) sockets.add(`socket:[${line.trim().split(/\s+/)[9]}]`);
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)))
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => []))
      if (sockets.has(await readlink(`/proc/${pid}/fd/${fd}`).catch(() => ''))) {
        const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'a program');
        return `${printed(name.trim())} with pid ${pid}`;
      }
  return undefined;
}
