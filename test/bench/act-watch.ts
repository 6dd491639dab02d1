/**
 * In which act, and in which stage of it, the peak of the resident size and the slowest poll come: polls all the time, and
 * sets the kernel's peak (VmHWM) back where another act or stage begins.
 */
import { writeFileSync } from 'node:fs';
import { memoryOf } from './machine.ts';
import { startPoller } from './polls.ts';
import type { Updater } from './updater.ts';

/** Minutes long: who polls without a pause would take a fifth of the event loop. */
const pollEachMs = 20;

export interface Extremes {
  readonly act: string;
  /** As GET /progress names it. A change is seen at the next poll: what came in between counts for the stage before. */
  readonly stage: string;
  readonly peakMb: number;
  readonly slowestMs: number;
}

export interface ActWatch {
  /** What comes from now on counts for this act. */
  begin(act: string): void;
  /** All acts and stages, in the order of their beginning. */
  stop(): Promise<Extremes[]>;
}

export function watchActs({ pid, progressUrl }: Updater): ActWatch {
  const seen: Extremes[] = [];
  let [act, stage, slowestMs] = ['start', 'idle', 0];
  const note = (): void => {
    seen.push({ act, stage, peakMb: memoryOf(pid).peakKb / 1024, slowestMs });
    slowestMs = 0;
    setPeakBack(pid);
  };
  const poller = startPoller(
    progressUrl,
    (now, tookMs) => {
      slowestMs = Math.max(slowestMs, tookMs);
      if (now === stage) return;
      note();
      stage = now;
    },
    pollEachMs,
  );
  return {
    begin: (next) => {
      note();
      act = next;
    },
    stop: async () => {
      await poller.stop();
      note();
      return merged(seen);
    },
  };
}

/** proc(5), clear_refs: 5 sets the peak to what is resident now. */
function setPeakBack(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** An act may come to a stage more than once. */
function merged(seen: readonly Extremes[]): Extremes[] {
  const all = new Map<string, Extremes>();
  for (const one of seen) {
    const key = `${one.act}, ${one.stage}`;
    const before = all.get(key) ?? one;
    all.set(key, {
      ...one,
      peakMb: Math.max(before.peakMb, one.peakMb),
      slowestMs: Math.max(before.slowestMs, one.slowestMs),
    });
  }
  return [...all.values()];
}
