/**
 * The memory that a start has taken is given back when nobody waits for the start any more: a collection in the way of the first
 * answer was a fifth of its time.
 */
import type { Clock, Memory } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { Stage } from '../updater/state.ts';

/** `stage`: what the updater is at. */
export function collectAfterStart(clock: Clock, memory: Memory, stage: () => Stage): void {
  // Before an update may begin, which is where the process is largest.
  clock.after(limits.collectAfterStartMs, memory.collect);
  const whenAtRest = (wasAtRest: boolean) => {
    clock.after(limits.shrinkAtRestMs, () => {
      const isAtRest = !busy.has(stage());
      if (isAtRest && wasAtRest) memory.shrink();
      else whenAtRest(isAtRest);
    });
  };
  whenAtRest(!busy.has(stage()));
}

/** Whoever asks in these waits for a progress, and the machine for the end. */
const busy: ReadonlySet<Stage> = new Set(['downloading', 'verifying', 'installing', 'rebooting']);
