/**
 * Connections until their first words have been let in, which wait for a turn of the newcomers' share (share.ts). Silent ones stay:
 * closed, they would only come back. Of too many the oldest goes, first among the silent, then among those that have shut down their
 * side; of too many bytes of theirs the one that sent most. One that has left before its request was whole can never be answered:
 * it goes at once.
 *
 * Root's go before all of them, or any local user could keep it from the updater by numbers alone. It is known by its port, as the low
 * ones are root's to take (ip(7)). That gives no right, only a place.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock, Memory } from '../host/host.ts';
import { limits } from '../limits.ts';
import { createShare } from './share.ts';

export interface NewcomersOptions {
  readonly clock: Pick<Clock, 'elapsed' | 'after'>;
  readonly memory: Pick<Memory, 'produced'> | undefined;
  turnMs(): number;
  isFromRoot(socket: Socket): boolean;
  /** Its first words are heard now; false: it was closed, as there are too many. */
  enter(socket: Socket): boolean;
  /** So many requests stood in its first words. */
  requestsOf(socket: Socket): number;
  /** Told of the memory that connections take. */
  use(bytes: number): void;
}

/** Takes the connections of a server; the returned function closes those that are not let in yet. */
export function guardNewcomers(server: Server, options: NewcomersOptions): () => void {
  const { clock, memory, turnMs, isFromRoot, enter, requestsOf, use } = options;
  // Node's own listeners, of which one makes the HTTP parser, come after the wait.
  const listeners = server.listeners('connection');
  server.removeAllListeners('connection');
  /** Those that have said nothing, and when they came; and what others have said that are not let in yet. The oldest first. */
  const silent = new Map<Socket, number>();
  const waiting = new Map<Socket, Buffer>();
  /** Of `waiting` those that have shut down their side. */
  const ended = new Set<Socket>();
  const share = createShare<Socket>(clock, {
    share: limits.newcomersShare,
    savedMs: limits.newcomersSavedMs,
    turnMs,
    pass: letIn,
  });
  let heldBytes = 0;
  let isSweeping = false;
  server.on('connection', arrived);
  return () => {
    for (const socket of [...silent.keys(), ...waiting.keys()]) socket.destroy();
  };

  function arrived(socket: Socket): void {
    if (silent.size + waiting.size >= limits.newcomers)
      close(firstOf(silent.keys()) ?? firstOf(ended) ?? firstOf(waiting.keys()));
    if (!isSweeping) clock.after(sweepMs, sweep);
    isSweeping = true;
    silent.set(socket, clock.elapsed());
    // One that leaves without a word is not kept half open.
    socket.allowHalfOpen = false;
    socket.on('error', ignore);
    socket.on('data', (bytes: Buffer) => hear(socket, bytes));
    socket.once('end', () => hasEnded(socket));
    socket.once('close', () => forget(socket));
    use(limits.newcomerBytes);
  }

  function hear(socket: Socket, bytes: Buffer): void {
    memory?.produced(bytes.length);
    silent.delete(socket);
    waiting.set(socket, Buffer.concat([waiting.get(socket) ?? nothing, bytes]));
    heldBytes += bytes.length;
    // Its end may come before its answer.
    socket.allowHalfOpen = true;
    if (isFromRoot(socket) || (!share.isWaiting(socket) && share.take(socket))) letIn(socket);
    while (heldBytes > limits.newcomersBytes) close(greediest());
  }

  function hasEnded(socket: Socket): void {
    const said = waiting.get(socket);
    if (said === undefined) return;
    if (said.includes(endOfHead)) ended.add(socket);
    else close(socket);
  }

  function letIn(socket: Socket): void {
    const first = waiting.get(socket) ?? nothing;
    forget(socket);
    socket.removeAllListeners('data');
    for (const listener of listeners) listener.call(server, socket);
    // As if they came now, so that a request is known of before the next newcomer is let in.
    if (enter(socket)) socket.emit('data', first);
    share.charge(requestsOf(socket));
    use(limits.connectionBytes);
  }

  function forget(socket: Socket): void {
    heldBytes -= waiting.get(socket)?.length ?? 0;
    silent.delete(socket);
    waiting.delete(socket);
    ended.delete(socket);
    share.leave(socket);
  }

  function close(socket: Socket | undefined): void {
    if (socket === undefined) return;
    forget(socket);
    socket.destroy();
  }

  /** A request is short: those that send much are not let keep others out. */
  function greediest(): Socket | undefined {
    let found: Socket | undefined;
    let mostBytes = -1;
    for (const [socket, { length }] of waiting) {
      if (length > mostBytes) found = socket;
      mostBytes = Math.max(mostBytes, length);
    }
    return found;
  }

  function sweep(): void {
    const nowMs = clock.elapsed();
    for (const [socket, sinceMs] of silent) {
      if (nowMs - sinceMs < limits.connectionIdleMs) break;
      socket.destroy();
    }
    isSweeping = silent.size > 0;
    if (isSweeping) clock.after(sweepMs, sweep);
  }
}

function firstOf<T>(all: Iterable<T>): T | undefined {
  for (const one of all) return one;
  return undefined;
}

const sweepMs = 1_000;
const nothing = Buffer.alloc(0);
const endOfHead = '\r\n\r\n';

/** Its 'close' tells enough. */
function ignore(): void {
  // nothing else to do
}
