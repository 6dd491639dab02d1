/**
 * A machine on which everything comes late, or in another order than ever before: files, network, timers, threads and the notifications
 * between them, of which some are lost. Nothing of it is in the product: its ports are wrapped, and what the runtime gives it is replaced.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module';
import type * as Threads from 'node:worker_threads';
import { realFiles } from '../../src/host/files.ts';
import type { Clock, Files, HttpResponse, Net, OpenFile, Processes } from '../../src/host/host.ts';
import { realNet } from '../../src/host/net.ts';
import { limits } from '../../src/limits.ts';
import { type Chance, chance } from '../fixtures/mutate.ts';
import { quickClock } from './rig.ts';

export interface LateMachine {
  readonly files: Files;
  readonly net: Net;
  readonly clock: Clock;
  /** The same programs, whose facts, starts and ends come late. */
  processes(of: Processes): Processes;
  restore(): void;
}

export function lateMachine(seed: number): LateMachine {
  const dice = chance(seed);
  const late = lateness(dice);
  const restores = [lateNotifications(dice), lateThreads(dice), smallThreads()];
  return {
    files: lateFiles(late),
    net: lateNet(late),
    clock: lateClock(dice),
    processes: (of) => ({ ...wrap(of, late), signal: of.signal }),
    restore: () => {
      for (const restore of restores) restore();
    },
  };
}

type Late = <T>(act: () => Promise<T>) => Promise<T>;

/** Before and after: at once, after some microtasks, in another turn of the event loop, or some ms later. */
function lateness({ below }: Chance): Late {
  const pause = async () => {
    const kind = below(8);
    if (kind < 3) return;
    if (kind < 5) for (let turns = below(5); turns > 0; turns--) await undefined;
    else if (kind < 7) await new Promise((resolve) => setImmediate(resolve));
    else await new Promise((resolve) => setTimeout(resolve, below(4)));
  };
  return async (act) => {
    await pause();
    try {
      return await act();
    } finally {
      await pause();
    }
  };
}

function lateFiles(late: Late): Files {
  const wrapped = wrap(realFiles(), late);
  return {
    ...wrapped,
    open: async (path, how) => wrap<OpenFile>(await wrapped.open(path, how), late),
  };
}

/** Every function of an object comes late. */
function wrap<T extends object>(of: T, late: Late): T {
  const entries = Object.entries(of).map(([name, value]) => [
    name,
    typeof value === 'function' ? (...args: unknown[]) => late(() => value(...args)) : value,
  ]);
  return Object.fromEntries(entries) as T;
}

function lateNet(late: Late): Net {
  const real = realNet({ environment: {} });
  return {
    ...real,
    request: async (request) => {
      const response: HttpResponse = await late(() => real.request(request));
      async function* body() {
        const chunks = response.body[Symbol.asyncIterator]();
        try {
          for (;;) {
            const { value, done } = await late(() => chunks.next());
            if (done === true) return;
            yield value;
          }
        } finally {
          await chunks.return?.();
        }
      }
      return { ...response, body: body() };
    },
  };
}

function lateClock({ below }: Chance): Clock {
  const clock = quickClock();
  return { ...clock, after: (ms, action) => clock.after(ms + below(5), action) };
}

/** Of the notifications one in five never arrives, one in three late; of the waits one in five never hears of its. */
function lateNotifications({ below }: Chance): () => void {
  const { notify, waitAsync } = Atomics;
  const lateNotify = (array: Int32Array, index: number, count?: number) => {
    const kind = below(15);
    if (kind < 3) return 0;
    if (kind >= 8) return notify(array, index, count);
    setTimeout(() => notify(array, index, count), below(6));
    return 0;
  };
  const lateWait = (...asked: Parameters<typeof waitAsync>) => {
    const waiting = waitAsync(...asked);
    return waiting.async && below(5) === 0 ? { async: true, value: new Promise(() => undefined) } : waiting;
  };
  Object.assign(Atomics, { notify: lateNotify, waitAsync: lateWait });
  return () => void Object.assign(Atomics, { notify, waitAsync });
}

/** Threads that start late, and whose own notifications are lost at times. */
function lateThreads({ below }: Chance): () => void {
  const threads = createRequire(import.meta.url)('node:worker_threads') as { Worker: typeof Threads.Worker };
  const { Worker } = threads;
  class LateWorker extends Worker {
    constructor(source: string, options: Threads.WorkerOptions) {
      const prelude =
        `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${below(4) === 0 ? below(40) : 0});` +
        'const notify = Atomics.notify; Atomics.notify = (...to) => (Math.random() < 0.2 ? 0 : notify(...to));';
      super(prelude + source, options);
    }
  }
  threads.Worker = LateWorker;
  syncBuiltinESMExports();
  return () => {
    threads.Worker = Worker;
    syncBuiltinESMExports();
  };
}

/** So that short downloads have a thread, too, and a lost wake-up costs little. */
function smallThreads(): () => void {
  const { digestThreadFromBytes, digestLookMs } = limits;
  Object.assign(limits, { digestThreadFromBytes: 200_000, digestLookMs: 5 });
  return () => void Object.assign(limits, { digestThreadFromBytes, digestLookMs });
}
