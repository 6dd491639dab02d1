/**
 * Bounds the open connections without ever shutting a well-behaved client out: when there are too many, those that let
 * us wait longest (idle, slow in sending headers or body) are closed, first among those that were never answered.
 *
 * Invariants: a connection that we owe an answer, because a request of it has arrived whole, is not closed; a new one is
 * not closed before it could be read once, however many come with it; one that we do not read at present is closed only
 * where there is no other.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../host/host.ts';
import { limits } from '../limits.ts';

export interface Connections {
  /** A new connection; others may be closed for it soon, or at once where very many come together. */
  opened(socket: Socket): void;
  /** A request's head has arrived; `answered` must follow. */
  began(request: IncomingMessage): void;
  answered(request: IncomingMessage): void;
  isOwed(socket: Socket): boolean;
  /** Closes the connection as soon as it is owed nothing. */
  endWhenAnswered(socket: Socket): void;
  /** Does that to all. */
  close(): void;
}

/** For all listeners that share the result. `isUnread`: do we not read this one at present? */
export function boundConnections(
  clock: Pick<Clock, 'after'>,
  isUnread: (socket: Socket) => boolean,
): Connections {
  /** The requests in hand of each connection; in order of waiting, longest first. */
  const inHand = new Map<Socket, Set<IncomingMessage>>();
  /** Those never answered: what came since the last look, and what had its chance to be read. */
  let fresh = new Set<Socket>();
  let silent = new Set<Socket>();
  const ending = new WeakSet<Socket>();
  let isLooking = false;

  const isOwed = (socket: Socket) => firstThat([inHand.get(socket) ?? []], isComplete) !== undefined;
  const endWhenAnswered = (socket: Socket) => {
    ending.add(socket);
    if (!isOwed(socket)) socket.destroySoon();
  };
  const forget = (socket: Socket) => {
    inHand.delete(socket);
    fresh.delete(socket);
    silent.delete(socket);
  };
  const drop = (socket: Socket) => {
    socket.destroy();
    forget(socket);
  };
  const closeUntil = (bound: number, sockets: Iterable<Socket>, mayGo: (socket: Socket) => boolean) => {
    for (const socket of sockets) {
      if (inHand.size <= bound) return;
      if (!fresh.has(socket) && !isOwed(socket) && mayGo(socket)) drop(socket);
    }
  };
  /** Between two looks every connection has been read once: timers and sockets take turns in Node. */
  const look = () => {
    // The fresh ones come first next time, so no known one goes for them now.
    const bound = limits.connections + fresh.size;
    closeUntil(limits.connections, silent, () => true);
    closeUntil(bound, inHand.keys(), (socket) => !isUnread(socket));
    closeUntil(bound, inHand.keys(), () => true);
    silent = new Set([...silent, ...fresh]);
    fresh = new Set();
    isLooking = inHand.size > limits.connections;
    if (isLooking) clock.after(1, look);
  };
  return {
    opened(socket) {
      if (inHand.size >= limits.connectionsAtOnce)
        drop(firstThat([silent, fresh, inHand.keys()], (other) => !isOwed(other)) ?? socket);
      if (socket.destroyed) return;
      inHand.set(socket, new Set());
      fresh.add(socket);
      socket.once('close', () => forget(socket));
      if (isLooking || inHand.size <= limits.connections) return;
      isLooking = true;
      clock.after(1, look);
    },
    began(request) {
      inHand.get(request.socket)?.add(request);
    },
    answered(request) {
      const { socket } = request;
      const requests = inHand.get(socket);
      if (requests === undefined) return;
      requests.delete(request);
      forget(socket);
      inHand.set(socket, requests);
      if (ending.has(socket) && !isOwed(socket)) socket.destroySoon();
    },
    isOwed,
    endWhenAnswered,
    close() {
      for (const socket of inHand.keys()) endWhenAnswered(socket);
    },
  };
}

/** Without a copy of the lists: in a flood this is asked for every connection. */
function firstThat<T>(lists: readonly Iterable<T>[], holds: (one: T) => boolean): T | undefined {
  for (const list of lists) for (const one of list) if (holds(one)) return one;
  return undefined;
}

function isComplete(request: IncomingMessage): boolean {
  return request.complete;
}
