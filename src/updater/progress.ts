/** What GET /progress answers, kept in memory, and told to the listeners on every change. */
import type { UpdateError } from '../errors.ts';
import type { Progress, ProgressListener, Stage } from './state.ts';

export interface ProgressKeeper {
  current(): Progress;
  /** A new stage (or a new error in it). Resolves when every listener that keeps it durably has done so. */
  enter(stage: Stage, error: UpdateError | null, kind?: 'update' | 'rollback'): Promise<void>;
  /** Within a stage; never goes down. `percent` is cut to whole numbers. */
  advance(percent: number, message?: string): void;
  /** A download that starts over: the one case where the figure goes back. */
  restart(): void;
}

const messages: Record<Stage, string> = {
  idle: 'nothing to do',
  downloading: 'downloading the package',
  verifying: 'verifying the package',
  toInstall: 'the package is verified and waits to be installed',
  installing: 'installing',
  rebooting: 'rebooting',
  success: 'the update was installed',
  failed: 'the update failed',
};

const rollbackMessages: Partial<Record<Stage, string>> = {
  installing: 'rolling back',
  success: 'the rollback was done',
  failed: 'the rollback failed',
};

/** 100 where the stage says that something is complete. */
const initialPercent: Partial<Record<Stage, number>> = { toInstall: 100, success: 100 };

export function createProgress(listeners: readonly ProgressListener[]): ProgressKeeper {
  let progress: Progress = { stage: 'idle', progress: 0, message: messages.idle, error: null };

  const tell = async (urgent: boolean, error: UpdateError | null) => {
    await Promise.all(listeners.map((listener) => listener(progress, urgent, error)));
  };

  return {
    current: () => progress,
    enter: (stage, error, kind) => {
      const percent = stage === 'failed' ? progress.progress : (initialPercent[stage] ?? 0);
      const message = (kind === 'rollback' ? rollbackMessages[stage] : undefined) ?? messages[stage];
      progress = { stage, progress: percent, message, error: error?.message ?? null };
      return tell(true, error);
    },
    advance: (percent, message) => {
      const whole = Math.max(progress.progress, Math.min(100, Math.floor(percent)));
      const words = message ?? progress.message;
      if (whole === progress.progress && words === progress.message) return;
      progress = { ...progress, progress: whole, message: words };
      void tell(false, null);
    },
    restart: () => {
      progress = { ...progress, progress: 0 };
    },
  };
}
