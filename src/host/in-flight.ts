/**
 * A bounded number of operations at a time: each file call goes to another thread and back, and where several wait, neither side
 * has to be woken for each. When a call here has rejected, nothing is under way any more.
 */
import { breather } from './breathing.ts';

export interface InFlight {
  /** Begins an action; waits only where too many run. Rejects with the first error of any that ended. */
  add(action: () => Promise<void>): Promise<void>;
  /** All have ended. Rejects with the first error of any. */
  idle(): Promise<void>;
}

export function inFlight(most: number): InFlight {
  let running = 0;
  let failure: { readonly reason: unknown } | undefined;
  let waiting: (() => void)[] = [];
  const untilBelow = async (bound: number): Promise<void> => {
    while (running >= bound)
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
      });
  };
  const raise = () => {
    if (failure !== undefined) throw failure.reason;
  };
  const run = async (action: () => Promise<void>): Promise<void> => {
    running += 1;
    try {
      await action();
    } catch (reason) {
      failure ??= { reason };
    }
    running -= 1;
    const woken = waiting;
    waiting = [];
    for (const wake of woken) wake();
  };
  const idle = async (): Promise<void> => {
    await untilBelow(1);
    raise();
  };
  return {
    async add(action) {
      await untilBelow(most);
      if (failure !== undefined) await idle();
      void run(action);
    },
    idle,
  };
}

/** Runs `action` for each item in order, up to `most` at a time. One without a wait gives nothing; the event loop turns all the same. */
export async function forEachInFlight<T>(
  items: Iterable<T>,
  most: number,
  action: (item: T) => Promise<void> | undefined,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const breathe = breather();
  let failure: { readonly reason: unknown } | undefined;
  const worker = async (): Promise<void> => {
    while (failure === undefined) {
      const next = iterator.next();
      if (next.done === true) return;
      try {
        const pending = action(next.value);
        if (pending !== undefined) await pending;
      } catch (reason) {
        failure ??= { reason };
      }
      const pause = breathe();
      if (pause !== undefined) await pause;
    }
  };
  await Promise.all(Array.from({ length: most }, worker));
  if (failure !== undefined) throw (failure as { readonly reason: unknown }).reason;
}

/** As they come, so many at a time: for calls that do the same for many. */
export function* inGroups<T>(items: Iterable<T>, most: number): Generator<readonly T[]> {
  let group: T[] = [];
  for (const item of items) {
    if (group.push(item) < most) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

/** Each with its place, for results that are kept in order. */
export function* numbered<T>(items: Iterable<T>): Generator<readonly [number, T]> {
  let index = 0;
  for (const item of items) yield [index++, item];
}
