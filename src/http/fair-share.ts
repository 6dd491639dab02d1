/**
 * Keeps the API from starving an update: both run on one event loop, and two hundred clients that ask without pause
 * would have nearly all of it. The connections together get `limits.apiShare` of the time. What is not used is saved up;
 * when that is spent, a connection is not read again before it has paid for its last request, and all that wait pay at
 * the same speed: a greedy one delays itself most, and a crowd of them gets less than a few.
 *
 * Invariants: no answer is held back, only the reading of the next request, so nothing piles up in here; the first
 * request of a connection is always read at once. Nothing runs while nobody waits.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../host/host.ts';
import { limits } from '../limits.ts';

export interface FairShare {
  /** A request of this connection has been answered; that took `ms`. */
  spent(socket: Socket, ms: number): void;
  /** Is this connection not read at present? Its next request may be here already. */
  isWaiting(socket: Socket): boolean;
  /** What a request takes of the event loop at present, from its parsing to its answer. */
  requestMs(): number;
}

export function fairShare(clock: Pick<Clock, 'elapsed' | 'after'>): FairShare {
  /** What each connection that waits has yet to pay, in ms of the event loop. */
  const owed = new Map<Socket, number>();
  const known = new WeakSet<Socket>();
  /** How long a request takes on this machine, whatever its kind: moves by one part in 64 with each. */
  let typicalMs = 0.1;
  let leastMs = Number.POSITIVE_INFINITY;
  let savedMs: number = limits.apiSavedMs;
  let earnedAtMs = clock.elapsed();

  return {
    spent(socket, ms) {
      if (owed.size === 0) savedMs = Math.min(limits.apiSavedMs, savedMs + earned());
      leastMs = Math.min(leastMs, ms);
      // What took much longer was waiting: for a body, for a disk, for a processor.
      typicalMs += (Math.min(ms, 2 * typicalMs, crowdFactor * leastMs) - typicalMs) / 64;
      const cost = requestMs();
      const unpaid = (owed.get(socket) ?? 0) + Math.max(0, cost - savedMs);
      savedMs = Math.max(0, savedMs - cost);
      if (unpaid === 0 || socket.destroyed) return;
      owed.set(socket, unpaid);
      hold(socket);
      if (owed.size === 1) collectIn(unpaid / limits.apiShare);
    },
    isWaiting: (socket) => owed.has(socket),
    requestMs,
  };

  function requestMs(): number {
    return typicalMs * nodeFactor;
  }

  /** What the API may use of the time since this was last asked. */
  function earned(): number {
    const nowMs = clock.elapsed();
    const share = (nowMs - earnedAtMs) * limits.apiShare;
    earnedAtMs = nowMs;
    return share;
  }

  /** All that wait pay an equal part; what they do not need is saved. */
  function collect(): void {
    const income = earned() * discount();
    const part = income / owed.size;
    let paid = 0;
    let least = Number.POSITIVE_INFINITY;
    for (const [socket, unpaid] of owed) {
      paid += Math.min(part, unpaid);
      if (unpaid > part) {
        owed.set(socket, unpaid - part);
        least = Math.min(least, unpaid - part);
      } else release(socket);
    }
    savedMs = Math.min(limits.apiSavedMs, savedMs + income - paid);
    if (owed.size > 0) collectIn((least * owed.size) / (limits.apiShare * discount()));
  }

  function discount(): number {
    return Math.min(1, limits.apiCrowd / owed.size);
  }

  function collectIn(ms: number): void {
    clock.after(Math.min(Math.max(1, ms), limits.apiTickMs), collect);
  }

  function hold(socket: Socket): void {
    socket.pause();
    if (known.has(socket)) return;
    known.add(socket);
    // Node resumes the socket by itself when it has done with a request.
    socket.on('resume', () => {
      if (owed.has(socket)) socket.pause();
    });
    socket.once('close', () => owed.delete(socket));
  }

  function release(socket: Socket): void {
    owed.delete(socket);
    socket.resume();
  }
}

/** A request takes no longer than so many times the shortest; thousands in one packet wait for each other. */
const crowdFactor = 4;

/** Parsing a request and writing its answer to the socket take as long again as what is measured (x64, Node 26). */
const nodeFactor = 2;
