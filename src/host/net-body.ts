/**
 * The body of an HTTP response, read at the reader's pace, from Node's parser (here) or the socket itself (net-bulk.ts). Silence
 * is counted only while the reader waits; what arrived before a failure is given before it; a body that ends early throws; the
 * connection is closed when the reader stops.
 */
import type { IncomingMessage } from 'node:http';

/** Where the bytes wait. */
export interface BodySource {
  /** What has arrived since the last call; its bytes are the reader's until the next call. */
  take(): Uint8Array | undefined;
  /** The reader waits: let more come. */
  resume(): void;
}

export interface BodyReader {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** The source has something to take. */
  arrived(): void;
  /** The source has given, or holds, everything. */
  ended(): void;
}

/** Reads `source` for as long as `incoming` lives; throws ETIMEDOUT after `stallTimeoutMs` of silence, or the signal's reason when it aborts. */
export function bodyReader(
  incoming: IncomingMessage,
  source: BodySource,
  stallTimeoutMs: number,
  signal: AbortSignal,
): BodyReader {
  let hasEnded = false;
  let failure: { readonly reason: unknown } | undefined;
  let waiting: (() => void) | undefined;
  const wake = () => {
    const go = waiting;
    waiting = undefined;
    go?.();
  };

  const fail = (reason: unknown) => {
    failure ??= { reason };
    wake();
  };
  const stop = () => {
    fail(signal.reason);
    incoming.destroy();
  };
  // Listening for errors starts now, not with the first read: an error nobody listens for ends the process.
  incoming.on('error', fail);
  incoming.on('close', () => {
    signal.removeEventListener('abort', stop);
    fail(systemError('ECONNRESET', 'the connection was closed before the end of the body'));
  });
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });

  return {
    chunks: { [Symbol.asyncIterator]: () => iterator() },
    arrived: wake,
    ended() {
      hasEnded = true;
      wake();
    },
  };

  // By hand and not by a generator: this runs for every chunk, in an interpreter where compilers are turned off.
  function iterator(): AsyncIterator<Uint8Array> {
    const stalled = setTimeout(() => {
      if (waiting !== undefined) fail(systemError('ETIMEDOUT', `no byte for ${stallTimeoutMs} ms`));
    }, stallTimeoutMs);
    const end = () => {
      clearTimeout(stalled);
      incoming.destroy();
    };
    const settle = (
      resolve: (result: IteratorResult<Uint8Array>) => void,
      reject: (why: unknown) => void,
    ) => {
      const value = source.take();
      if (value !== undefined) return resolve({ done: false, value });
      if (hasEnded) {
        end();
        return resolve({ done: true, value: undefined });
      }
      if (failure !== undefined) {
        end();
        return reject(failure.reason);
      }
      stalled.refresh();
      waiting = () => settle(resolve, reject);
      source.resume();
    };
    return {
      next: () => new Promise(settle),
      return: async () => {
        end();
        return { done: true, value: undefined };
      },
    };
  }
}

/**
 * The body as Node's parser gives it; `produced` is told of its buffers. At most one chunk waits: a buffer that outlives two
 * collections is kept until a full one, and a longer queue was seen to double the memory.
 */
export function parsedBody(
  incoming: IncomingMessage,
  stallTimeoutMs: number,
  signal: AbortSignal,
  produced: (bytes: number) => void,
): AsyncIterable<Uint8Array> {
  const waiting: Uint8Array[] = [];
  const source: BodySource = {
    take: () => waiting.shift(),
    resume: () => {
      if (incoming.isPaused()) incoming.resume();
    },
  };
  incoming.pause();
  const reader = bodyReader(incoming, source, stallTimeoutMs, signal);
  incoming.on('data', (chunk: Uint8Array) => {
    produced(chunk.length);
    waiting.push(chunk);
    reader.arrived();
    // Only a reader that does not wait stops the socket: stopping it for every chunk costs speed.
    if (waiting.length > 0) incoming.pause();
  });
  incoming.on('end', reader.ended);
  return reader.chunks;
}

/** An error shaped as Node's own: callers look at `code`. */
export function systemError(code: string, text: string): Error {
  return Object.assign(new Error(text), { code });
}
