/**
 * Bounds the open connections without ever shutting a well-behaved client out: when there are too many, the one that
 * has let us wait longest (idle, slow in sending its headers or body) is closed to make room for the new one.
 *
 * Invariant: a connection that we owe an answer is not closed.
 */
import type { Socket } from 'node:net';

export interface Connections {
  /** A new connection; may close an old one, or the new one when every other is owed an answer. */
  opened(socket: Socket): void;
  /** A request of this connection has arrived whole; `answered` must follow. */
  received(socket: Socket): void;
  answered(socket: Socket): void;
  isOwed(socket: Socket): boolean;
  /** Closes all that wait for their client now, and the others as they are answered. */
  close(): void;
}

/** At most `maximum` connections, over all listeners that share the result. */
export function boundConnections(maximum: number): Connections {
  /** Answers owed to each; in order of waiting, longest first. */
  const owed = new Map<Socket, number>();
  let isClosing = false;

  const waiting = () => [...owed].filter(([, count]) => count === 0).map(([socket]) => socket);

  return {
    opened(socket) {
      if (owed.size >= maximum) {
        const oldest = waiting()[0] ?? socket;
        oldest.destroy();
        owed.delete(oldest);
      }
      if (socket.destroyed) return;
      owed.set(socket, 0);
      socket.once('close', () => owed.delete(socket));
    },
    received(socket) {
      if (owed.has(socket)) owed.set(socket, (owed.get(socket) ?? 0) + 1);
    },
    answered(socket) {
      const left = (owed.get(socket) ?? 0) - 1;
      if (!owed.delete(socket)) return;
      owed.set(socket, Math.max(left, 0));
      if (isClosing && left <= 0) socket.end();
    },
    isOwed: (socket) => (owed.get(socket) ?? 0) > 0,
    close() {
      isClosing = true;
      for (const socket of waiting()) socket.destroy();
    },
  };
}
