/** What a start leaves for later, when nobody waits for it any more: modules that an update needs, and memory that it gives back. */
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { ProgressListener, Stage } from '../updater/state.ts';

export interface AfterStart {
  /** Hears what the updater does. */
  readonly listener: ProgressListener;
  /** The port listens. */
  begin(): void;
  /** Somebody has asked for something. */
  asked(): void;
}

/** `loads`: each in a turn of its own, as it keeps the event loop for so long as it takes. Who needs one earlier loads it. */
export function createAfterStart(
  { clock, memory, log }: Pick<Host, 'clock' | 'memory' | 'log'>,
  loads: readonly (() => Promise<unknown>)[],
): AfterStart {
  let stage: Stage = 'idle';
  let changedMs = clock.elapsed();
  let askedMs = changedMs;

  /** At rest means that nothing has changed all the while: a whole update may lie between two looks. */
  const shrinkAtRest = (): void => {
    const now = clock.elapsed();
    const leftMs = changedMs + limits.shrinkAtRestMs - now;
    const unaskedMs = now - askedMs;
    const isLate = now >= changedMs + limits.shrinkAtLastMs;
    if (leftMs > 0) clock.after(leftMs, shrinkAtRest);
    else if (busy.has(stage)) clock.after(limits.shrinkAtRestMs, shrinkAtRest);
    else if (unaskedMs < limits.shrinkUnaskedMs && !isLate)
      clock.after(limits.shrinkUnaskedMs - unaskedMs, shrinkAtRest);
    else memory.shrink();
  };

  return {
    listener: (progress) => {
      stage = progress.stage;
      changedMs = clock.elapsed();
    },
    asked() {
      askedMs = clock.elapsed();
    },
    begin() {
      changedMs = clock.elapsed();
      for (const [index, load] of loads.entries())
        clock.after((limits.collectAfterStartMs * (index + 1)) / (loads.length + 1), () => {
          load().catch((thrown: unknown) => log.error(`what an update needs: ${String(thrown)}`));
        });
      // Before an update may begin, which is where the process is largest.
      clock.after(limits.collectAfterStartMs, memory.collect);
      clock.after(limits.shrinkAtRestMs, shrinkAtRest);
    },
  };
}

/** Whoever asks in these waits for a progress, and the machine for the end. */
const busy: ReadonlySet<Stage> = new Set(['downloading', 'verifying', 'installing', 'rebooting']);
