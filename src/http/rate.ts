/** The speed of a transfer, from looking at its byte count now and then. Pure. */
import { limits } from '../limits.ts';

export interface RateMeter {
  /** Nothing is counted now; what is counted next begins anew. */
  reset(): void;
  /** Takes a look at `atMs`, a time that never jumps. */
  look(bytes: number, atMs: number): void;
  /** Whole bytes per second over the last `limits.rateTicks` looks; null before the second one. */
  perSecond(): number | null;
}

/** A count that goes down begins anew. */
export function rateMeter(): RateMeter {
  let looks: { readonly bytes: number; readonly atMs: number }[] = [];
  return {
    reset() {
      looks = [];
    },
    look(bytes, atMs) {
      const newest = looks.at(-1);
      if (newest !== undefined && bytes < newest.bytes) looks = [];
      looks = [...looks, { bytes, atMs }].slice(-limits.rateTicks - 1);
    },
    perSecond() {
      const [oldest] = looks;
      const newest = looks.at(-1);
      if (oldest === undefined || newest === undefined || newest.atMs <= oldest.atMs) return null;
      return Math.round((1000 * (newest.bytes - oldest.bytes)) / (newest.atMs - oldest.atMs));
    },
  };
}
