/**
 * Bounds the open connections without ever shutting a well-behaved client out: when there are too many, the one that
 * has let us wait longest (idle, slow in sending its headers or body) is closed to make room for the new one.
 *
 * Invariant: a connection that we owe an answer, because a request of it has arrived whole, is not closed.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

export interface Connections {
  /** A new connection; may close an old one, or the new one when every other is owed an answer. */
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

/** At most `maximum` connections, over all listeners that share the result. */
export function boundConnections(maximum: number): Connections {
  /** The requests in hand of each connection; in order of waiting, longest first. */
  const inHand = new Map<Socket, Set<IncomingMessage>>();
  const ending = new WeakSet<Socket>();

  const isOwed = (socket: Socket) => [...(inHand.get(socket) ?? [])].some(({ complete }) => complete);
  const endWhenAnswered = (socket: Socket) => {
    ending.add(socket);
    if (!isOwed(socket)) socket.destroySoon();
  };
  return {
    opened(socket) {
      if (inHand.size >= maximum) {
        const oldest = [...inHand.keys()].find((other) => !isOwed(other)) ?? socket;
        oldest.destroy();
        inHand.delete(oldest);
      }
      if (socket.destroyed) return;
      inHand.set(socket, new Set());
      socket.once('close', () => inHand.delete(socket));
    },
    began(request) {
      inHand.get(request.socket)?.add(request);
    },
    answered(request) {
      const { socket } = request;
      const requests = inHand.get(socket);
      if (requests === undefined) return;
      requests.delete(request);
      inHand.delete(socket);
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
