/** How much of what a server's clients send waits in the kernel (socket(7)), which a control group counts as its own (cgroup-v2, `sock`). */
import type { Server } from 'node:net';
import { foreign } from './foreign.ts';

type SetOption = (fd: number, level: number, option: number, value: bigint, size: number) => number;

const SOL_SOCKET = 1;
const SO_RCVBUF = 8;

/**
 * For each connection that a server which listens will accept: Linux gives them what the listening socket has, and takes twice
 * `bytes` with its own books. False without node:ffi: the kernel lets each grow to megabytes then.
 */
export function boundReceived(server: Server, bytes: number): boolean {
  const libc = foreign<{ readonly setsockopt: SetOption }>({
    setsockopt: { arguments: ['int32', 'int32', 'int32', 'uint64', 'int32'], return: 'int32' },
  });
  const { _handle } = server as Server & { readonly _handle?: { readonly fd?: number } | null };
  if (libc === undefined || _handle?.fd === undefined || _handle.fd < 0) return false;
  const value = Buffer.alloc(4);
  value.writeInt32LE(bytes);
  return (
    libc.functions.setsockopt(_handle.fd, SOL_SOCKET, SO_RCVBUF, libc.pointerTo(value), value.length) === 0
  );
}
