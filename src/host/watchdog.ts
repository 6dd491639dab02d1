/**
 * Notices that work has stopped going on, whatever it waits for. It cannot be ended from outside: it is left behind with its
 * signal aborted, so that it goes no further should it ever wake.
 */
import type { Clock } from './host.ts';

/** The work that is watched tells that it goes on. */
export interface Watched {
  /** Aborted when the work was found stuck, or with the outer signal. */
  readonly signal: AbortSignal;
  /** Something was processed. */
  alive(): void;
  /** What is waited for on purpose, such as a bandwidth limit, counts as going on. */
  resting<T>(rest: Promise<T>): Promise<T>;
}

export interface WatchOptions {
  /** Longest time in which nothing is processed, in ms. */
  readonly boundMs: number;
  /** Which part is being waited for now, in words. */
  readonly part: () => string;
  readonly signal: AbortSignal;
}

/** Its message reads `PART does not go on: nothing was processed for N s`. */
export class StuckError extends Error {
  override readonly name = 'StuckError';
}

/** Runs `work`; rejects with a StuckError where it does not go on, else ends as it does. */
export async function watched<T>(
  clock: Clock,
  { boundMs, part, signal }: WatchOptions,
  work: (watched: Watched) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const pass = () => stop.abort(signal.reason);
  if (signal.aborted) pass();
  signal.addEventListener('abort', pass, { once: true });
  let aliveMs = clock.elapsed();
  let rests = 0;
  let disarm: () => void = () => undefined;
  const alive = () => {
    aliveMs = clock.elapsed();
  };
  const stuck = new Promise<never>((_, reject) => {
    const look = () => {
      if (rests > 0) alive();
      const leftMs = aliveMs + boundMs - clock.elapsed();
      if (leftMs > 0) {
        disarm = clock.after(leftMs, look);
        return;
      }
      const error = new StuckError(`${part()} does not go on: nothing was processed for ${boundMs / 1000} s`);
      stop.abort(error);
      reject(error);
    };
    disarm = clock.after(boundMs, look);
  });
  const resting = async <R>(rest: Promise<R>): Promise<R> => {
    rests += 1;
    try {
      return await rest;
    } finally {
      rests -= 1;
      alive();
    }
  };
  try {
    const going = work({ signal: stop.signal, alive, resting });
    going.catch(() => undefined); // heard below, unless it was left behind
    return await Promise.race([going, stuck]);
  } finally {
    disarm();
    signal.removeEventListener('abort', pass);
  }
}
