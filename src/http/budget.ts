/**
 * A share of the event loop's time, saved up to a bound while it is not used. What costs are known of only roughly, so
 * they are told beforehand and not measured.
 */
import type { Clock } from '../host/host.ts';

export interface Budget {
  /** Spends `ms` if there are so many, or as many as can be saved; false: nothing is spent. */
  pay(ms: number): boolean;
  /** Spends it, be it there or not; what is owed has the bound of what can be saved. */
  spend(ms: number): void;
}

/** `share`: 0 to 1. It begins with all that can be saved. */
export function openBudget(clock: Pick<Clock, 'elapsed'>, share: number, savedAtMostMs: number): Budget {
  let savedMs = savedAtMostMs;
  let earnedAtMs = clock.elapsed();
  return {
    pay(ms) {
      const nowMs = clock.elapsed();
      savedMs = Math.min(savedAtMostMs, savedMs + (nowMs - earnedAtMs) * share);
      earnedAtMs = nowMs;
      if (savedMs < Math.min(ms, savedAtMostMs)) return false;
      savedMs -= ms;
      return true;
    },
    spend(ms) {
      savedMs = Math.max(-savedAtMostMs, savedMs - ms);
    },
  };
}
