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

/** One connection for one request. */
export function bulkConnection(): BulkConnection {
  let socket: Socket | undefined;
  /** Bytes of the body that the reader has not had are filling[0 .. filled]. */
  let filling = new Uint8Array(limits.socketBufferBytes);
  let filled = 0;
  /** The reader has, or had, a chunk of this one. */
  let other = new Uint8Array(limits.socketBufferBytes);
  let side = new Uint8Array(0);
  let mode: 'head' | 'parsed' | 'body' = 'head';
  /** Of the body, from the socket. */
  let missingBytes = 0;
  let isDeliveryDue = false;
  let reader: BodyReader | undefined;
  const head = headEnd();

  /** False stops the socket. */
  function onRead(lengthBytes: number, into: Uint8Array): boolean {
    const bytes = into.subarray(0, lengthBytes);
    let start = 0;
    while (mode === 'head' && start < bytes.length) {
      const end = head.after(bytes, start);
      parse(bytes.subarray(start, end));
      start = end;
    }
    if (mode === 'body') return keep(bytes.subarray(start));
    return start === bytes.length || parse(bytes.subarray(start));
  }

  /** Hands bytes to node:http, which calls `answered` from in here. */
  function parse(bytes: Uint8Array): boolean {
    const goesOn = socket?.push(bytes) ?? false;
    if ((socket?.readableLength ?? 0) === 0) return goesOn;
    // They wait in the socket: its buffer is not read into any more, and where a head ends can no longer be told.
    filling = new Uint8Array(limits.socketBufferBytes);
    mode = 'parsed';
    return goesOn;
  }

  function keep(bytes: Uint8Array): boolean {
    const ours = bytes.subarray(0, missingBytes);
    missingBytes -= ours.length;
    place(ours);
    if (missingBytes === 0) reader?.ended();
    else if (filled >= limits.chunkBytes) reader?.arrived();
    else deliverSoon();
    // TLS gives what it has decrypted even after a stop.
    return missingBytes > 0 && filling.length - filled >= limits.tlsBurstBytes;
  }

  /** Most bytes stand where they belong already: those were read before the reader took what was before them do not. */
  function place(bytes: Uint8Array): void {
    const isThere = bytes.buffer === filling.buffer && bytes.byteOffset === filling.byteOffset + filled;
    if (!isThere) {
      if (filling.length - filled < bytes.length) {
        const larger = new Uint8Array(filled + bytes.length + limits.socketBufferBytes);
        larger.set(filling.subarray(0, filled));
        filling = larger;
      }
      filling.set(bytes, filled);
    }
    filled += bytes.length;
  }

  /** Small reads, as the records of TLS, come by the dozen: they are given together. */
  function deliverSoon(): void {
    if (isDeliveryDue) return;
    isDeliveryDue = true;
    setImmediate(() => {
      isDeliveryDue = false;
      if (filled > 0) reader?.arrived();
    });
  }

  /** Where the next read goes; asked for after each one, and so before the reader may take what came before it. */
  function room(): Uint8Array {
    const rest = filling.subarray(filled);
    if (rest.length >= limits.chunkBytes) return rest;
    if (side.length === 0) side = new Uint8Array(limits.chunkBytes);
    return side;
  }

  function take(): Uint8Array | undefined {
    if (filled === 0) return undefined;
    const chunk = filling.subarray(0, filled);
    [filling, other] = [other, filling];
    filled = 0;
    return chunk;
  }

  return {
    open: (connect) => (options) => {
      const onread = { buffer: room, callback: onRead };
      // node:http keeps the request's path in `path`, where older versions of node:net look for a unix socket.
      socket = (connect as Connect)({ ...options, path: options.socketPath ?? null, onread });
      return socket;
    },
    answered({ headers, statusCode }) {
      if (mode !== 'head') return;
      const length = headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : 0;
      const isBody = (statusCode === 200 || statusCode === 206) && Number.isSafeInteger(length) && length > 0;
      mode = isBody ? 'body' : 'parsed';
      missingBytes = length;
    },
    body(incoming, stallTimeoutMs, signal) {
      if (mode !== 'body') return undefined;
      const source = { take, resume: () => void socket?.resume() };
      reader = bodyReader(incoming, source, stallTimeoutMs, signal);
      if (missingBytes === 0) reader.ended();
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
