/**
 * Connections before their first request. A bare socket takes 1.5 KB, one with an HTTP parser 9.5 KB (x64, Node 26), so
 * each gets its parser with its first bytes. Those that say nothing may stay in large numbers: to close them would only
 * bring them back. Those that speak are let in in the order of their first words, as fast as `limits.newcomersShare` of
 * the event loop allows.
 *
 * Invariants: who speaks while that share is not used up is let in at once; what is kept here is bounded: of too many
 * connections the oldest goes, of too many bytes the one that sent most. Nothing runs while nobody is here.
 */
import type { Socket } from 'node:net';
import type { Clock, Memory } from '../host/host.ts';
import { limits } from '../limits.ts';
import { openBudget } from './budget.ts';

export interface Newcomers {
  /** A connection that nothing was read from yet. */
  arrived(socket: Socket): void;
  /** Closes all that are here. */
  close(): void;
}

export interface NewcomersOptions {
  readonly clock: Pick<Clock, 'elapsed' | 'after'>;
  /** Told of the buffers that are made here, and to clear away after so many connections. */
  readonly memory?: Pick<Memory, 'produced' | 'trim'> | undefined;
  /** How long the event loop takes for a request; to let one in, it takes as long again. */
  requestMs(): number;
  /** Takes a connection over, and `first`, what was read from it; tells how many requests that were. */
  letIn(socket: Socket, first: Buffer): number;
}

/** For one listener: a crowd at the port keeps nobody waiting at the unix socket. */
export function receiveNewcomers({ clock, memory, requestMs, letIn }: NewcomersOptions): Newcomers {
  const budget = openBudget(clock, limits.newcomersShare, limits.newcomersSavedMs);
  /** Those that have said nothing, and when they came; the oldest first. */
  const silent = new Map<Socket, number>();
  /** What those have said that are not let in yet, in the order of their first words. */
  const waiting = new Map<Socket, Buffer>();
  let heldBytes = 0;
  let usedBytes = 0;
  let isSweeping = false;
  let isLettingIn = false;

  return {
    arrived(socket) {
      if (silent.size + waiting.size >= limits.newcomers) closeOldest();
      // One that leaves without a word is not kept half open.
      socket.allowHalfOpen = false;
      socket.on('error', ignore);
      socket.on('data', (bytes: Buffer) => hear(socket, bytes));
      socket.once('close', () => forget(socket));
      silent.set(socket, clock.elapsed());
      use(limits.newcomerBytes);
      if (isSweeping) return;
      isSweeping = true;
      clock.after(sweepMs, sweep);
    },
    close() {
      for (const sockets of [silent, waiting]) for (const socket of sockets.keys()) socket.destroy();
    },
  };

  function hear(socket: Socket, bytes: Buffer): void {
    memory?.produced(bytes.length);
    if (waiting.size === 0 && budget.pay(requestMs())) handOver(socket, bytes);
    else keep(socket, bytes);
    while (heldBytes > limits.newcomersBytes) closeGreediest();
  }

  function keep(socket: Socket, bytes: Buffer): void {
    const before = waiting.get(socket) ?? Buffer.alloc(0);
    silent.delete(socket);
    waiting.set(socket, Buffer.concat([before, bytes]));
    heldBytes += bytes.length;
    // Its end may come before its answer.
    socket.allowHalfOpen = true;
    if (isLettingIn) return;
    isLettingIn = true;
    clock.after(limits.apiTickMs, letInNext);
  }

  function letInNext(): void {
    for (const [socket, first] of waiting) {
      if (!budget.pay(requestMs())) break;
      handOver(socket, first);
    }
    isLettingIn = waiting.size > 0;
    if (isLettingIn) clock.after(limits.apiTickMs, letInNext);
  }

  function handOver(socket: Socket, first: Buffer): void {
    forget(socket);
    socket.removeAllListeners('data');
    socket.allowHalfOpen = true;
    budget.spend(letIn(socket, first) * requestMs());
    use(limits.connectionBytes);
  }

  /** What connections use lives too long for the collections of young objects, and would pile up when they are gone. */
  function use(bytes: number): void {
    usedBytes += bytes;
    if (usedBytes < limits.connectionsGarbageBytes) return;
    usedBytes = 0;
    memory?.trim();
  }

  function forget(socket: Socket): void {
    silent.delete(socket);
    heldBytes -= waiting.get(socket)?.length ?? 0;
    waiting.delete(socket);
  }

  function closeOldest(): void {
    for (const sockets of [silent, waiting])
      for (const socket of sockets.keys()) {
        forget(socket);
        socket.destroy();
        return;
      }
  }

  /** A request is short: those that send much are not let keep others out. */
  function closeGreediest(): void {
    let greediest: Socket | undefined;
    let mostBytes = 0;
    for (const [socket, { length }] of waiting)
      if (length > mostBytes) [greediest, mostBytes] = [socket, length];
    if (greediest === undefined) return;
    forget(greediest);
    greediest.destroy();
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

const sweepMs = 1_000;

/** Its 'close' tells enough. */
function ignore(): void {
  // nothing else to do
}
