/**
 * When the progress of a download is written to the state file.
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
  /** Somebody waits for a save right now. */
  isAwaited(): boolean;
  /** Waits for the save in flight, whatever becomes of it: no state is written after a download has ended. */
  idle(): Promise<void>;
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
  let awaiting = 0;
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
      awaiting += 1;
      try {
        await saving;
        raise();
        start(info);
        await saving;
        raise();
      } finally {
        awaiting -= 1;
      }
    },
    isAwaited: () => awaiting > 0,
    idle: async () => saving,
  };
}
