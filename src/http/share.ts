/**
 * A part of the event loop's time, in turns: who takes one passes at once while the part is not used up, else waits in the order
 * of coming. What is not used is saved up to a bound; who waits with several turns pays one after the other with those behind. A
 * turn's cost is only roughly known, so it is told, not measured. Nothing runs while nobody waits.
 */
import type { Clock } from '../host/host.ts';
import { limits } from '../limits.ts';

export interface Share<Waiter> {
  /** False: it waits, with one turn more if it did already; `pass` is called when it has none left. */
  take(waiter: Waiter): boolean;
  /** So many turns were taken without asking. What is owed for them has the bound of what can be saved. */
  charge(turns: number): void;
  isWaiting(waiter: Waiter): boolean;
  leave(waiter: Waiter): void;
}

export interface ShareOptions<Waiter> {
  /** 0 to 1. */
  readonly share: number;
  /** It begins with so much. */
  readonly savedMs: number;
  /** With more than so many waiting all of them get less. */
  readonly crowd?: number;
  turnMs(): number;
  pass(waiter: Waiter): void;
}

export function createShare<Waiter>(
  clock: Pick<Clock, 'elapsed' | 'after'>,
  { share, savedMs, crowd = Number.POSITIVE_INFINITY, turnMs, pass }: ShareOptions<Waiter>,
): Share<Waiter> {
  /** The turns that each has to pay for. */
  const waiting = new Map<Waiter, number>();
  let leftMs = savedMs;
  let earnedAtMs = clock.elapsed();
  let isServing = false;

  function pay(): boolean {
    const nowMs = clock.elapsed();
    leftMs = Math.min(savedMs, leftMs + (nowMs - earnedAtMs) * share);
    earnedAtMs = nowMs;
    const costMs = turnMs() * Math.max(1, waiting.size / crowd);
    if (leftMs < Math.min(costMs, savedMs)) return false;
    leftMs -= costMs;
    return true;
  }

  function serve(): void {
    for (const [waiter, turns] of waiting) {
      if (!pay()) break;
      waiting.delete(waiter);
      if (turns > 1) waiting.set(waiter, turns - 1);
      else pass(waiter);
    }
    isServing = waiting.size > 0;
    if (isServing) clock.after(limits.apiTickMs, serve);
  }

  return {
    take(waiter) {
      if (waiting.size === 0 && pay()) return true;
      waiting.set(waiter, (waiting.get(waiter) ?? 0) + 1);
      if (!isServing) clock.after(limits.apiTickMs, serve);
      isServing = true;
      return false;
    },
    charge(turns) {
      leftMs = Math.max(-savedMs, leftMs - turns * turnMs());
    },
    isWaiting: (waiter) => waiting.has(waiter),
    leave: (waiter) => void waiting.delete(waiter),
  };
}

export interface RequestCost {
  /** What a request takes of the event loop, from its parsing to its answer. */
  ms(): number;
  /** One took so long until its answer was handed over. */
  measured(ms: number): void;
}

/** Moves by one part in 64 with each. What took much longer was waiting: for a body, for a disk, for others of its packet. */
export function requestCost(): RequestCost {
  let typicalMs = 0.1;
  let leastMs = Number.POSITIVE_INFINITY;
  return {
    ms: () => typicalMs * nodeFactor,
    measured(ms) {
      leastMs = Math.min(leastMs, ms);
      typicalMs += (Math.min(ms, 2 * typicalMs, 4 * leastMs) - typicalMs) / 64;
    },
  };
}

/** Parsing a request and writing its answer to the socket take as long again as what is measured (x64, Node 26). */
const nodeFactor = 2;
