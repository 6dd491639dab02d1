/**
 * What is faster for the bytes to come: the link, or making them of what the device has? By what was measured in this download so far.
 *
 * An entry that is copied is never slower. One that is deflated again or patched is made until it has shown itself slower than the link.
 */
import { limits } from '../limits.ts';
import type { Source } from './source.ts';

export interface Rates {
  /** So many bytes of one answer came, in so long. */
  received(bytes: number, ms: number): void;
  /** So many packed bytes were made of such a source, in so long. */
  made(kind: Source['kind'], bytes: number, ms: number): void;
  isFetchedFaster(kind: Source['kind']): boolean;
}

/** `limitBytesPerSecond`: the bandwidth limit, where there is one. */
export function createRates(limitBytesPerSecond: number | undefined): Rates {
  const most = limitBytesPerSecond === undefined ? Number.POSITIVE_INFINITY : limitBytesPerSecond / 1000;
  const link = meter();
  const makers = { file: meter(), patched: meter(), packed: meter() };
  return {
    received: link.add,
    made: (kind, bytes, ms) => makers[kind].add(bytes, ms),
    isFetchedFaster(kind) {
      const made = makers[kind].bytesPerMs();
      return made !== undefined && Math.min(link.bytesPerMs() ?? 0, most) > made;
    },
  };
}

/** An average over all that was measured; undefined as long as that is little. */
function meter() {
  let [bytes, ms] = [0, 0];
  return {
    add(moreBytes: number, moreMs: number): void {
      bytes += moreBytes;
      ms += moreMs;
    },
    bytesPerMs: () => (bytes < limits.ratedBytes ? undefined : bytes / Math.max(ms, 0.01)),
  };
}
