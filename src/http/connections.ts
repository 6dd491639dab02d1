/**
 * Bounds the connections that have spoken without ever shutting a well-behaved client out: when there are too many,
 * one that lets us wait (idle, slow in sending headers or body) is closed for each that comes, first among those that
 * were never answered, the longest-waiting first.
 *
 * Invariants: a connection that we owe an answer, because a request of it has arrived whole, is not closed; one that we
 * do not read at present is closed only where there is no other.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { limits } from '../limits.ts';

export interface Connections {
  /** A new connection, whose first bytes are read at once; another may be closed for it, or itself where none can be. */
  opened(socket: Socket): void;
  /** A request's head has arrived; `answered` must follow. */
  began(request: IncomingMessage): void;
  answered(request: IncomingMessage): void;
  isOwed(socket: Socket): boolean;
  /** Its requests that are not answered yet. */
  requestsOf(socket: Socket): number;
  /** Closes the connection as soon as it is owed nothing. */
  endWhenAnswered(socket: Socket): void;
  /** Does that to all. */
  close(): void;
}

/** For all listeners that share the result. `isUnread`: do we not read this one at present? */
export function boundConnections(isUnread: (socket: Socket) => boolean): Connections {
  /** The requests in hand of each connection; in order of waiting, longest first. */
  const inHand = new Map<Socket, Set<IncomingMessage>>();
  /** Those never answered, in the same order. */
  const silent = new Set<Socket>();
  const ending = new WeakSet<Socket>();

  const isOwed = (socket: Socket) => firstThat(inHand.get(socket) ?? [], isComplete) !== undefined;
  const mayGo = (socket: Socket) => !isOwed(socket);
  const endWhenAnswered = (socket: Socket) => {
    ending.add(socket);
    if (!isOwed(socket)) socket.destroySoon();
  };
  const forget = (socket: Socket) => {
    inHand.delete(socket);
    silent.delete(socket);
  };
  return {
    opened(socket) {
      if (inHand.size >= limits.connections) {
        const goes =
          firstThat(silent, mayGo) ??
          firstThat(inHand.keys(), (other) => mayGo(other) && !isUnread(other)) ??
          firstThat(inHand.keys(), mayGo) ??
          socket;
        forget(goes);
        goes.destroy();
      }
      if (socket.destroyed) return;
      inHand.set(socket, new Set());
      silent.add(socket);
      socket.once('close', () => forget(socket));
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
    requestsOf: (socket) => inHand.get(socket)?.size ?? 0,
    endWhenAnswered,
    close() {
      for (const socket of inHand.keys()) endWhenAnswered(socket);
    },
  };
}

function firstThat<T>(all: Iterable<T>, holds: (one: T) => boolean): T | undefined {
  for (const one of all) if (holds(one)) return one;
  return undefined;
}

function isComplete(request: IncomingMessage): boolean {
  return request.complete;
}
