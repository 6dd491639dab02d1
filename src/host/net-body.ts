/**
 * The body of an HTTP response as an async iterable, read at the reader's pace.
 *
 * Invariants: at most two chunks wait beyond what the socket had already decrypted; silence is counted only while the
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
    // A reader that keeps up has taken the chunk before the next one comes: stopping the socket each time costs speed.
    if (arrived.length > 1) incoming.pause();
    wake();
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

  return {
    async *[Symbol.asyncIterator]() {
      const stalled = setTimeout(() => {
        fail(systemError('ETIMEDOUT', `no byte for ${stallTimeoutMs} ms`));
      }, stallTimeoutMs);
      try {
        for (;;) {
          const chunk = arrived.shift();
          if (chunk !== undefined) yield chunk;
          else if (ended) return;
          else if (failure !== undefined) throw failure.reason;
          else {
            stalled.refresh();
            await new Promise<void>((resolve) => {
              wake = resolve;
              if (incoming.isPaused()) incoming.resume();
            });
          }
        }
      } finally {
        clearTimeout(stalled);
        incoming.destroy();
      }
    },
  };
}

/** An error shaped as Node's own: callers look at `code`. */
export function systemError(code: string, text: string): Error {
  return Object.assign(new Error(text), { code });
}
