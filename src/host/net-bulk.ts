/**
 * Large bodies read straight from the socket. Node's parser reads the head of the answer; where the head declares the
 * body's length, the parser has nothing more to say, and the bytes that follow pass it by: from the kernel (or TLS) into one
 * of two buffers, used again and again. The parser would make two buffers for each read and pass them through a dozen calls,
 * which without a compiler cost more than the digest of the bytes (docs/performance.md).
 *
 * Invariants: bytes go to the parser up to and with the head that it reports, and no further; a reader's chunk is not read
 * over before it asks for the next; a body is never longer than declared. Anything else than a length-framed answer, and
 * a head whose end is not where it is looked for, is left to the parser.
 */
import type { ClientRequestArgs, IncomingMessage } from 'node:http';
import type { OnReadOpts, Socket } from 'node:net';
import { limits } from '../limits.ts';
import { type BodyReader, bodyReader } from './net-body.ts';
import { readBuffers } from './read-buffers.ts';

/** What net.connect and tls.connect have in common; node:http gives them all that a request was given. */
type Connect = (options: ClientRequestArgs & { onread: OnReadOpts }) => Socket;

export interface BulkConnection {
  /** The `createConnection` of one request; `connect` is that of node:net or node:tls. */
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

/** Who reads the connection: the parser up to the end of the head, then the parser on, or the body's reader. */
type Phase =
  | { readonly is: 'head' }
  | { readonly is: 'parsed' }
  | { readonly is: 'body'; missingBytes: number };

/** One connection for one request. */
export function bulkConnection(): BulkConnection {
  const buffers = readBuffers();
  const head = headEnd();
  let socket: Socket | undefined;
  let phase: Phase = { is: 'head' };
  let reader: BodyReader | undefined;
  let isDeliveryDue = false;

  /** False stops the socket. */
  function onRead(lengthBytes: number, into: Uint8Array): boolean {
    const bytes = into.subarray(0, lengthBytes);
    let start = 0;
    while (phase.is === 'head' && start < bytes.length) {
      const end = head.after(bytes, start);
      parse(bytes.subarray(start, end));
      start = end;
    }
    const rest = bytes.subarray(start);
    if (phase.is === 'body') return deliver(phase, rest);
    return rest.length === 0 || parse(rest);
  }

  /** Hands bytes to node:http, which calls `answered` from in here. */
  function parse(bytes: Uint8Array): boolean {
    const goesOn = socket?.push(bytes) ?? false;
    if ((socket?.readableLength ?? 0) === 0) return goesOn;
    // They wait in the socket, and where a head ends can no longer be told.
    buffers.giveAway();
    phase = { is: 'parsed' };
    return goesOn;
  }

  function deliver(body: Extract<Phase, { is: 'body' }>, bytes: Uint8Array): boolean {
    const ours = bytes.subarray(0, body.missingBytes);
    body.missingBytes -= ours.length;
    buffers.keep(ours);
    if (body.missingBytes === 0) reader?.ended();
    else if (buffers.filledBytes() >= limits.chunkBytes) reader?.arrived();
    else deliverSoon();
    // TLS gives what it has decrypted even after a stop.
    return body.missingBytes > 0 && buffers.leftBytes() >= limits.tlsBurstBytes;
  }

  /** Small reads, as the records of TLS, come by the dozen: they are given together. */
  function deliverSoon(): void {
    if (isDeliveryDue) return;
    isDeliveryDue = true;
    setImmediate(() => {
      isDeliveryDue = false;
      if (buffers.filledBytes() > 0) reader?.arrived();
    });
  }

  return {
    open: (connect) => (options) => {
      const onread = { buffer: buffers.room, callback: onRead };
      // node:http keeps the request's path in `path`, where older versions of node:net look for a unix socket.
      socket = (connect as Connect)({ ...options, path: options.socketPath ?? null, onread });
      return socket;
    },
    answered({ headers, statusCode }) {
      if (phase.is !== 'head') return;
      const length = headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : 0;
      const isBody = (statusCode === 200 || statusCode === 206) && Number.isSafeInteger(length) && length > 0;
      phase = isBody ? { is: 'body', missingBytes: length } : { is: 'parsed' };
    },
    body(incoming, stallTimeoutMs, signal) {
      if (phase.is !== 'body') return undefined;
      const source = { take: buffers.take, resume: () => void socket?.resume() };
      reader = bodyReader(incoming, source, stallTimeoutMs, signal);
      if (phase.missingBytes === 0) reader.ended();
      return reader.chunks;
    },
  };
}

/** Finds the empty line that ends a head, also when it comes in pieces. */
function headEnd() {
  const [CR, LF] = [13, 10];
  const ending = [CR, LF, CR, LF];
  let matched = 0;
  return {
    /** The position after the first end of a head at or after `start`; the length of `bytes` where there is none. */
    after(bytes: Uint8Array, start: number): number {
      for (let at = start; at < bytes.length; at++) {
        if (bytes[at] === ending[matched]) matched += 1;
        else matched = bytes[at] === CR ? 1 : 0;
        if (matched < ending.length) continue;
        matched = 0;
        return at + 1;
      }
      return bytes.length;
    },
  };
}
