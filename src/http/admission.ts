/**
 * Who is read when, so that a crowd at the API keeps neither an update nor an honest client waiting. A connection is a newcomer
 * until its first words (newcomers.ts); further requests wait for a turn of the whole API's, what is no HTTP for one of the broken
 * ones' (share.ts). No answer is held back from who reads the one before, only the reading of what comes next.
 * Of too many connections the one goes that lets us wait longest, first among those never answered, never one that we owe an
 * answer, and one of root's only where there is no other.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { errno } from '../errors.ts';
import type { Clock, Memory } from '../host/host.ts';
import { limits } from '../limits.ts';
import { brokenHttp, HttpError } from './http-error.ts';
import { guardNewcomers } from './newcomers.ts';
import { rawReply } from './reply.ts';
import { createShare, requestCost } from './share.ts';

export interface Admission {
  /** Takes the connections of a server; the returned function closes those that have said nothing. */
  guard(server: Server): () => void;
  /** A head has arrived. Resolves when the answer before it was read; `answered` must follow. Undefined: one too many, which gets no answer. */
  began(request: IncomingMessage, response: ServerResponse): Promise<void> | undefined;
  answered(request: IncomingMessage, ms: number): void;
  /** Answers what Node's parser refuses, or what must not be read on, and closes the connection. */
  refuse(error: Error, socket: Socket): void;
  /** Closes every connection as soon as it is owed nothing. */
  close(): void;
}

interface AdmissionOptions {
  /** TCP ports below this are root's to take; 0: none. */
  readonly privilegedPortsEnd: number;
  readonly clock: Pick<Clock, 'elapsed' | 'after'>;
  /** Told of the buffers that are made here, and to clear away after so many connections. */
  readonly memory?: Pick<Memory, 'produced' | 'trim'> | undefined;
}

/** One that has spoken. In `known` they stand in the order of their waiting, the longest first. */
interface Connection {
  /** Not answered yet: the one whose turn it is, and what came behind it (RFC 9112 section 9.3.2). */
  readonly requests: Set<IncomingMessage>;
  /** Resolves when what came last has been answered, and read. */
  last: Promise<void>;
  /** Requests so far. */
  count: number;
  isAnswering: boolean;
  /** Answers that are not read yet, or not given. */
  unread: number;
  /** A request waits behind another: nothing more is read, as bodies would pile up. */
  isHeld: boolean;
  wasAnswered: boolean;
  isEnding: boolean;
}

export function createAdmission({ clock, memory, privilegedPortsEnd }: AdmissionOptions): Admission {
  const known = new Map<Socket, Connection>();
  const cost = requestCost();
  const { apiShare, apiSavedMs, apiCrowd, brokenShare, brokenSavedMs } = limits;
  const requests = createShare<Socket>(clock, {
    share: apiShare,
    savedMs: apiSavedMs,
    crowd: apiCrowd,
    turnMs: cost.ms,
    pass: (socket) => socket.resume(),
  });
  const broken = createShare<() => void>(clock, {
    share: brokenShare,
    savedMs: brokenSavedMs,
    turnMs: cost.ms,
    pass: (refuse) => refuse(),
  });
  let usedBytes = 0;

  return {
    guard: (server) =>
      guardNewcomers(server, {
        clock,
        memory,
        turnMs: cost.ms,
        isFromRoot,
        enter,
        requestsOf: (socket) => known.get(socket)?.count ?? 0,
        use,
      }),
    began(request, response) {
      const connection = known.get(request.socket);
      if (connection === undefined) return undefined;
      connection.count += 1;
      if (connection.requests.size >= limits.requestsInARow) {
        endWhenAnswered(request.socket);
        return undefined;
      }
      connection.requests.add(request);
      connection.unread += 1;
      hold(request.socket, connection);
      const turn = connection.last.then(() => {
        connection.isAnswering = true;
        hold(request.socket, connection);
      });
      connection.last = new Promise<void>((resolve) => response.once('close', resolve)).then(() => {
        connection.unread -= 1;
      });
      return turn;
    },
    answered(request, ms) {
      cost.measured(ms);
      const { socket } = request;
      const connection = known.get(socket);
      if (connection === undefined) return;
      connection.isAnswering = false;
      connection.requests.delete(request);
      connection.wasAnswered = true;
      known.delete(socket);
      known.set(socket, connection);
      if (connection.isEnding) endWhenAnswered(socket);
      if (!requests.take(socket)) socket.pause();
    },
    refuse(error, socket) {
      // A reply here would be taken for the one that is still owed.
      if (isOwed(socket)) {
        socket.pause();
        endWhenAnswered(socket);
      } else if (!socket.writable || errno(error) === 'ECONNRESET') socket.destroy();
      else {
        const refusal = error instanceof HttpError ? error : brokenHttp(errno(error));
        const reply = () => void socket.end(rawReply(refusal), () => socket.destroy());
        socket.once('close', () => broken.leave(reply));
        if (broken.take(reply)) reply();
        else socket.pause();
      }
    },
    close() {
      for (const socket of known.keys()) endWhenAnswered(socket);
    },
  };

  /** Another may be closed for it; false: it is closed itself, as none can be. */
  function enter(socket: Socket): boolean {
    if (known.size >= limits.connections) {
      const goes =
        firstThat(known, (connection, other) => !connection.wasAnswered && mayGoFirst(connection, other)) ??
        firstThat(
          known,
          (connection, other) => !requests.isWaiting(other) && mayGoFirst(connection, other),
        ) ??
        firstThat(known, mayGoFirst) ??
        firstThat(known, mayGo) ??
        socket;
      known.delete(goes);
      goes.destroy();
    }
    if (socket.destroyed) return false;
    known.set(socket, {
      requests: new Set(),
      last: Promise.resolve(),
      count: 0,
      isAnswering: false,
      unread: 0,
      isHeld: false,
      wasAnswered: false,
      isEnding: false,
    });
    // Node resumes the socket by itself when it has done with a request, and reads on behind the first words: a pause in between
    // stops nothing. One after the resuming does.
    const stop = () => void (socket.isPaused() ? socket.resume() : socket.pause());
    socket.on('resume', () => mustWait(socket) && stop());
    clock.after(0, () => mustWait(socket) && stop());
    socket.once('close', () => {
      known.delete(socket);
      requests.leave(socket);
    });
    return true;
  }

  /** Nothing more of it is read for now. */
  function mustWait(socket: Socket): boolean {
    const connection = known.get(socket);
    return requests.isWaiting(socket) || connection?.isHeld === true || connection?.isEnding === true;
  }

  function hold(socket: Socket, connection: Connection): void {
    const wasHeld = connection.isHeld;
    connection.isHeld = connection.unread > 1;
    if (connection.isHeld) socket.pause();
    else if (wasHeld && !requests.isWaiting(socket)) socket.resume();
  }

  /** Who does not read one answer is owed no other. */
  function mayGo({ isAnswering, wasAnswered }: Connection, socket: Socket): boolean {
    return !isAnswering && (wasAnswered || !isOwed(socket));
  }

  function mayGoFirst(connection: Connection, socket: Socket): boolean {
    return !isFromRoot(socket) && mayGo(connection, socket);
  }

  /** From a program of this machine that could take such a port. */
  function isFromRoot({ remoteAddress = '', remotePort = 0 }: Socket): boolean {
    return remotePort > 0 && remotePort < privilegedPortsEnd && /^(::ffff:)?127\.|^::1$/.test(remoteAddress);
  }

  /** A request of it has arrived whole. */
  function isOwed(socket: Socket): boolean {
    for (const { complete } of known.get(socket)?.requests ?? []) if (complete) return true;
    return false;
  }

  function endWhenAnswered(socket: Socket): void {
    const connection = known.get(socket);
    if (connection !== undefined) connection.isEnding = true;
    if (!isOwed(socket)) socket.destroySoon();
  }

  /** What connections use lives too long for the collections of young objects, and would pile up when they are gone. */
  function use(bytes: number): void {
    usedBytes += bytes;
    if (usedBytes < limits.connectionsGarbageBytes) return;
    usedBytes = 0;
    memory?.trim();
  }
}

function firstThat<Value>(
  all: ReadonlyMap<Socket, Value>,
  holds: (value: Value, socket: Socket) => boolean,
): Socket | undefined {
  for (const [socket, value] of all) if (holds(value, socket)) return socket;
  return undefined;
}
