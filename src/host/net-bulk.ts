/**
 * Large bodies read straight from the socket: once the parser has read the head and the body's length, the bytes go past it into
 * one of two buffers, used again and again; through it they cost more than their digest where no compiler is. No byte behind the
 * head it reports goes to the parser; a reader's chunk is not read over before it asks for the next. Any other answer is left to
 * the parser.
 */
import type { Socket } from 'node:net';
import { limits } from '../limits.ts';
import { type BodyReader, bodyReader } from './net-body.ts';
import { type AnswerConnection, connectionOf, headByHead } from './net-head.ts';
import { readBuffers } from './read-buffers.ts';

/** Who reads the connection: the parser up to the end of the head, then the parser on, or the body's reader. */
type Phase =
  | { readonly is: 'head' }
  | { readonly is: 'parsed' }
  | { readonly is: 'body'; missingBytes: number };

/** One connection for one request. `produced`: as Memory.produced. */
export function bulkConnection(produced: (bytes: number) => void): AnswerConnection {
  const buffers = readBuffers();
  const heads = headByHead(parse);
  let socket: Socket | undefined;
  let phase: Phase = { is: 'head' };
  let reader: BodyReader | undefined;
  let isDeliveryDue = false;

  /** False stops the socket. */
  function onRead(lengthBytes: number, into: Uint8Array): boolean {
    const bytes = into.subarray(0, lengthBytes);
    produced(limits.readGarbageBytes);
    const rest = bytes.subarray(heads(bytes, () => phase.is === 'head' && socket?.destroyed === false));
    if (socket?.destroyed) return false;
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
      socket = connectionOf(connect, options, { buffer: buffers.room, callback: onRead });
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
