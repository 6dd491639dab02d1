/** The Clock port on the machine's own clocks and timers. */
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import type { Clock } from './host.ts';

export function realClock(): Clock {
  let bootId: string | undefined;
  return {
    now: () => Date.now(),
    elapsed: elapsedMs,
    boot: () => {
      bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      return { id: bootId, ms: Math.round(uptime() * 1000) };
    },
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const stop = () => {
          clearTimeout(timer);
          reject(signal?.reason);
        };
        const timer = setTimeout(() => {
          signal?.removeEventListener('abort', stop);
          resolve();
        }, ms);
        signal?.addEventListener('abort', stop, { once: true });
      }),
    after: (ms, action) => {
      const timer = setTimeout(action, ms);
      timer.unref();
      return () => clearTimeout(timer);
    },
  };
}

/** Milliseconds on a clock that nobody sets. `performance.now()` loads a dozen modules of Node at its first use: 5 ms of each start. */
export function elapsedMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
