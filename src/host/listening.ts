/** What the kernel's own tables say of TCP ports: who listens, which are privileged. A look takes a tenth of what a socket of Node's does. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { errno } from '../errors.ts';

/** At whatever address of this network namespace. True also where the table cannot be read: then only a try tells. */
export async function isListenedOn(port: number): Promise<boolean> {
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    try {
      if (hasListener(await readFile(table, 'latin1'), port)) return true;
    } catch (thrown) {
      // A kernel without IPv6 has no table of it.
      if (errno(thrown) !== 'ENOENT' || table === '/proc/net/tcp') return true;
    }
  }
  return false;
}

/** Ports below this only who has CAP_NET_BIND_SERVICE may take, root as a rule (ip(7)); 0: there are none, or it cannot be told. */
export function privilegedPortsEnd(): number {
  try {
    return Number.parseInt(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'latin1'), 10) || 0;
  } catch {
    return 0;
  }
}

/** State of a socket that listens, TCP_LISTEN of the kernel. */
const listens = '0A';

/** `table`: the text of proc(5) /proc/net/tcp or tcp6, whose second field is ADDRESS:PORT in hexadecimal. Pure. */
export function hasListener(table: string, port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return table.split('\n').some((line) => {
    const [, local = '', , state] = line.trim().split(/\s+/);
    return state === listens && local.endsWith(`:${hex}`);
  });
}
