/** Gives the memory of a start back when nobody waits for it any more: a collection before the first answer took a fifth of its time. */
import type { Clock, Memory } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { ProgressListener, Stage } from '../updater/state.ts';

export interface AfterStart {
  /** Hears what the updater does. */
  readonly listener: ProgressListener;
  /** The port listens. */
  begin(): void;
}

export function createAfterStart(clock: Clock, memory: Memory): AfterStart {
  let stage: Stage = 'idle';
  let changedMs = clock.elapsed();

  /** At rest means that nothing has changed all the while: a whole update may lie between two looks. */
  const shrinkAtRest = (): void => {
    const leftMs = changedMs + limits.shrinkAtRestMs - clock.elapsed();
    if (leftMs > 0) clock.after(leftMs, shrinkAtRest);
    else if (busy.has(stage)) clock.after(limits.shrinkAtRestMs, shrinkAtRest);
    else memory.shrink();
  };

  return {
    listener: (progress) => {
      stage = progress.stage;
      changedMs = clock.elapsed();
    },
    begin() {
      changedMs = clock.elapsed();
      // Before an update may begin, which is where the process is largest.
      clock.after(limits.collectAfterStartMs, memory.collect);
      clock.after(limits.shrinkAtRestMs, shrinkAtRest);
    },
  };
}

/** Whoever asks in these waits for a progress, and the machine for the end. */
const busy: ReadonlySet<Stage> = new Set(['downloading', 'verifying', 'installing', 'rebooting']);
