/**
 * The heads of an answer reach Node's parser one at a time: given a whole read, it would parse thousands of informational ones
 * (1xx) before anybody can stop it. None is parsed after the request was given up. Through a TLS tunnel or from an https proxy
 * they are counted, but parsed a read at a time.
 */
import type { ClientRequest, ClientRequestArgs, IncomingMessage } from 'node:http';
import type { OnReadOpts, Socket } from 'node:net';
import { limits } from '../limits.ts';
import { systemError } from './net-body.ts';

/** What net.connect and tls.connect have in common; node:http gives them all that a request was given. */
type Connect = (options: ClientRequestArgs & { onread: OnReadOpts }) => Socket;

/** The connection of one request, whose bytes pass through here on their way to the parser. */
export interface AnswerConnection {
  /** The `createConnection` of the request; `connect` is that of node:net or node:tls. */
  open(connect: unknown): (options: ClientRequestArgs) => Socket;
  /** To be called by the request's 'response' event. */
  answered(incoming: IncomingMessage): void;
  /** The body of that answer; undefined where the parser reads it. */
  body(
    incoming: IncomingMessage,
    stallTimeoutMs: number,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array> | undefined;
}

/** A connection whose bodies are left to the parser. */
export function parsedConnection(): AnswerConnection {
  let buffer = new Uint8Array(limits.chunkBytes);
  let socket: Socket | undefined;
  let isHead = true;
  const heads = headByHead(parse);

  function parse(bytes: Uint8Array): boolean {
    const goesOn = socket?.push(bytes) ?? false;
    // The parser copies what it gives on; what waits in the socket must not be read over.
    if ((socket?.readableLength ?? 0) > 0) buffer = new Uint8Array(limits.chunkBytes);
    return goesOn;
  }

  function onRead(lengthBytes: number, into: Uint8Array): boolean {
    const bytes = into.subarray(0, lengthBytes);
    const rest = bytes.subarray(heads(bytes, () => isHead && socket?.destroyed === false));
    if (socket?.destroyed) return false;
    return rest.length === 0 || parse(rest);
  }

  return {
    open: (connect) => (options) => {
      socket = connectionOf(connect, options, { buffer: () => buffer, callback: onRead });
      return socket;
    },
    answered() {
      isHead = false;
    },
    body: () => undefined,
  };
}

/** Calls net.connect or tls.connect. */
export function connectionOf(connect: unknown, options: ClientRequestArgs, onread: OnReadOpts): Socket {
  // node:http keeps the request's path in `path`, where older versions of node:net look for a unix socket.
  return (connect as Connect)({ ...options, path: options.socketPath ?? null, onread });
}

/** Fails the request with EPROTO at one more informational answer than `limits.informationalAnswers`. */
export function boundInformational(sent: ClientRequest): void {
  const most = limits.informationalAnswers;
  let count = 0;
  sent.on('information', () => {
    count += 1;
    if (count > most)
      sent.destroy(
        systemError('EPROTO', `more than ${most} informational answers (1xx) before the final one`),
      );
  });
}

/** Gives `parse` one head after the other while `isHead` says that another is wanted; heads may come in pieces. Tells how many bytes it gave. */
export function headByHead(
  parse: (bytes: Uint8Array) => void,
): (bytes: Uint8Array, isHead: () => boolean) => number {
  const [CR, LF] = [13, 10];
  const ending = [CR, LF, CR, LF];
  let matched = 0;

  return (bytes, isHead) => {
    let start = 0;
    while (start < bytes.length && isHead()) {
      const end = after(bytes, start);
      parse(bytes.subarray(start, end));
      start = end;
    }
    return start;
  };

  /** The position after the first end of a head at or after `start`; the length of `bytes` where there is none. */
  function after(bytes: Uint8Array, start: number): number {
    for (let at = start; at < bytes.length; at++) {
      if (bytes[at] === ending[matched]) matched += 1;
      else matched = bytes[at] === CR ? 1 : 0;
      if (matched < ending.length) continue;
      matched = 0;
      return at + 1;
    }
    return bytes.length;
  }
}
