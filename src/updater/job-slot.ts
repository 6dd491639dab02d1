/**
 * The place of the one job that may run. It ends by one event, or by none where the daemon stops; a detached one's event counts
 * no more. No promise here rejects.
 */
import { asUpdateError, UpdateError } from '../errors.ts';
import type { Event } from './event.ts';

export type Work = (cancel: AbortSignal) => Promise<Event | undefined>;

export interface JobSlot {
  /** Begins a job; its last event goes to `onEnd`. */
  start(work: Work): void;
  /** Aborts the job, which then ends by an event of its own. */
  abort(why: string): void;
  /** Aborts the job, detaches it and waits for its work; what it was about to say is not heard. */
  stop(why: string): Promise<void>;
  /** Resolves when the work of the job has ended; its last event may still wait for its turn. */
  workDone(): Promise<void>;
  /** Resolves when no job is left, last events included. */
  allDone(): Promise<void>;
}

interface Job {
  readonly cancel: AbortController;
  work: Promise<unknown>;
  done: Promise<void>;
  isDetached: boolean;
}

/** `onEnd` must not reject; `isHeard` tells, when the event's turn has come, whether it still counts. */
export function createJobSlot(onEnd: (event: Event, isHeard: () => boolean) => Promise<void>): JobSlot {
  let job: Job | undefined;
  return {
    start: (work) => {
      const mine: Job = {
        cancel: new AbortController(),
        work: Promise.resolve(),
        done: Promise.resolve(),
        isDetached: false,
      };
      job = mine;
      const end = work(mine.cancel.signal).catch(failure);
      mine.work = end;
      mine.done = end
        .then((event) => (event === undefined ? undefined : onEnd(event, () => !mine.isDetached)))
        .finally(() => {
          if (job === mine) job = undefined;
        });
    },
    abort: (why) => job?.cancel.abort(new UpdateError('CANCELLED', why)),
    stop: async (why) => {
      if (job === undefined) return;
      const running = job;
      running.isDetached = true;
      running.cancel.abort(new UpdateError('CANCELLED', why));
      await running.work;
    },
    workDone: async () => {
      await job?.work;
    },
    allDone: async () => {
      while (job !== undefined) await job.done;
    },
  };
}

function failure(thrown: unknown): Event {
  return { kind: 'failed', error: asUpdateError(thrown, 'INTERNAL_ERROR', 'the job') };
}
