/** How fast a download may go. */
import type { Clock } from './host.ts';

/** A bandwidth limit: called with each number of bytes received, it gives a promise to wait for, if any. Short waits are saved up to one of 50 ms. */
export function pacer(
  clock: Clock,
  bytesPerSecond: number | undefined,
  signal: AbortSignal,
): (bytes: number) => Promise<void> | undefined {
  if (bytesPerSecond === undefined) return () => undefined;
  const pauseMs = 50;
  let dueMs = clock.elapsed();
  return (bytes) => {
    const nowMs = clock.elapsed();
    // Time lost to a stall is not made up for by a burst.
    dueMs = Math.max(dueMs, nowMs - pauseMs) + (bytes * 1000) / bytesPerSecond;
    return dueMs - nowMs < pauseMs ? undefined : clock.sleep(dueMs - nowMs, signal);
  };
}
