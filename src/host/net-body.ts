/**
 * The body of an HTTP response as an async iterable, read at the reader's pace.
 *
 * Invariants: at most one chunk waits beyond what the socket had already decrypted (a buffer that outlives two collections is
 * kept until a full one: a longer queue was seen to double the process's memory); silence is counted only while the
 * reader waits, so a slow disk is never taken for a stalled network; a body that ends before its declared end throws;
 * the connection is closed when the reader stops, for whatever reason.
 */
import type { IncomingMessage } from 'node:http';

/** Reads `incoming`; throws ETIMEDOUT after `stallTimeoutMs` of silence, or the signal's reason when it aborts. */
export function bodyOf(
  incoming: IncomingMessage,
  stallTimeoutMs: number,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const arrived: Uint8Array[] = [];
  let ended = false;
  let failure: { readonly reason: unknown } | undefined;
  let wake: () => void = () => undefined;

  const fail = (reason: unknown) => {
    failure ??= { reason };
    wake();
  };
  const stop = () => {
    fail(signal.reason);
    incoming.destroy();
  };
  // Listening for errors starts now, not with the first read: an error nobody listens for ends the process.
  incoming.pause();
  incoming.on('data', (chunk: Uint8Array) => {
    arrived.push(chunk);
    wake();
    // Only a reader that does not wait stops the socket: stopping it for every chunk costs speed.
    if (arrived.length > 0) incoming.pause();
  });
  incoming.on('end', () => {
    ended = true;
    wake();
  });
  incoming.on('error', fail);
  incoming.on('close', () => {
    signal.removeEventListener('abort', stop);
    fail(systemError('ECONNRESET', 'the connection was closed before the end of the body'));
  });
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });

  return { [Symbol.asyncIterator]: () => iterator() };

  // By hand and not by a generator: this runs for every 64 KiB, in an interpreter where compilers are turned off.
  function iterator(): AsyncIterator<Uint8Array> {
    const stalled = setTimeout(() => {
      fail(systemError('ETIMEDOUT', `no byte for ${stallTimeoutMs} ms`));
    }, stallTimeoutMs);
    const end = () => {
      clearTimeout(stalled);
      incoming.destroy();
    };
    const settle = (
      resolve: (result: IteratorResult<Uint8Array>) => void,
      reject: (why: unknown) => void,
    ) => {
      const value = arrived.shift();
      if (value !== undefined) return resolve({ done: false, value });
      if (ended) {
        end();
        return resolve({ done: true, value: undefined });
      }
      if (failure !== undefined) {
        end();
        return reject(failure.reason);
      }
      stalled.refresh();
      wake = () => {
        wake = () => undefined;
        settle(resolve, reject);
      };
      if (incoming.isPaused()) incoming.resume();
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

/** An error shaped as Node's own: callers look at `code`. */
export function systemError(code: string, text: string): Error {
  return Object.assign(new Error(text), { code });
}
