/**
 * When the progress of a download is written to the state file, and how fast it may go.
 *
 * Invariant: saving never holds up the bytes: one save is in flight at a time, and a failed one is raised at the next
 * occasion.
 */
import { asUpdateError } from '../errors.ts';
import type { Clock } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { ResumeInfo } from './resume.ts';

export interface Checkpoints {
  /** Starts a save when one is due: every limits.stateSavePercent of the package and at least every stateSaveMs. */
  pass(info: ResumeInfo): void;
  /** Saves now, and waits for it. */
  save(info: ResumeInfo): Promise<void>;
}

export function checkpoints(
  clock: Clock,
  packageBytes: number,
  saveResume: (info: ResumeInfo) => Promise<void>,
): Checkpoints {
  const stepBytes = Math.max(1, Math.floor((packageBytes * limits.stateSavePercent) / 100));
  let savedBytes = 0;
  let savedAtMs = clock.elapsed();
  let saving: Promise<void> | undefined;
  let failure: { readonly reason: unknown } | undefined;

  const start = (info: ResumeInfo) => {
    savedBytes = info.bytes_downloaded;
    savedAtMs = clock.elapsed();
    saving = saveResume(info)
      .catch((reason: unknown) => {
        failure = { reason: asUpdateError(reason, 'DOWNLOAD_FAILED', 'save the state of the download') };
      })
      .finally(() => {
        saving = undefined;
      });
  };
  const raise = () => {
    if (failure !== undefined) throw failure.reason;
  };
  return {
    pass: (info) => {
      raise();
      if (saving !== undefined) return;
      const far = info.bytes_downloaded - savedBytes >= stepBytes;
      if (far || clock.elapsed() - savedAtMs >= limits.stateSaveMs) start(info);
    },
    save: async (info) => {
      await saving;
      raise();
      start(info);
      await saving;
      raise();
    },
  };
}

/**
 * A bandwidth limit: call the result with each number of bytes received and wait for its promise, if there is one.
 * `bytesPerSecond` undefined: no limit. Short waits are saved up to one of pauseMs, as timers are not finer.
 */
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
