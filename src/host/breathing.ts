/** Long loops that compute: nothing else of the daemon runs while one of them does, so they give way to others now and then. */
import { limits } from '../limits.ts';
import { elapsedMs } from './clock.ts';

/** Goes through `items`; where that takes long, the event loop turns in between. */
export async function* breathing<T>(items: Iterable<T>): AsyncGenerator<T> {
  const breathe = breather();
  let count = 0;
  for (const item of items) {
    yield item;
    count += 1;
    if (count % itemsPerLook === 0) await breathe();
  }
}

/** Calls `action` for each of `items`, with the turns that breathing() makes, and no promise for each: for very many. */
export async function breathingEach<T>(items: Iterable<T>, action: (item: T) => void): Promise<void> {
  const breathe = breather();
  let count = 0;
  for (const item of items) {
    action(item);
    count += 1;
    if (count % itemsPerLook > 0) continue;
    const pause = breathe();
    if (pause !== undefined) await pause;
  }
}

/** Goes through the parts of some work to its result, in the same way. */
export async function breathingThrough<T>(work: Generator<unknown, T>): Promise<T> {
  const breathe = breather();
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    await breathe();
  }
}

/** To be called between two parts of work: a promise where the event loop has not turned for long. Who shares one waits for the same turn. */
export function breather(): () => Promise<void> | undefined {
  let sinceMs = elapsedMs();
  let turn: Promise<void> | undefined;
  return () => {
    if (turn !== undefined || elapsedMs() - sinceMs < limits.breathMs) return turn;
    turn = new Promise((resolve) =>
      setImmediate(() => {
        sinceMs = elapsedMs();
        turn = undefined;
        resolve();
      }),
    );
    return turn;
  };
}

/** The clock costs a little, too. */
const itemsPerLook = 16;
