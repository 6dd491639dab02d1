/**
 * A digest computed on a thread of its own, so that the main one is free for network and disk: MD5 of a package is the longest
 * part of an update. Bytes go over in a ring of shared memory (byte-ring.ts), at whose beginning the digest stands in the end. A
 * thread that does not go on for limits.digestStuckMs is given up. It runs a function's text: an executable has no file that a
 * worker could load.
 */
import type * as Crypto from 'node:crypto';
import type * as Threads from 'node:worker_threads';
import { limits } from '../limits.ts';
import { byteRing, type SharedRing } from './byte-ring.ts';
import type { Memory } from './host.ts';
import { StuckError } from './watchdog.ts';

export type DigestName = 'md5' | 'sha256';

export interface DigestStream {
  /** Takes a copy. A promise only where it has to be waited for, and then it must be awaited before the next call. */
  update(bytes: Uint8Array): Promise<void> | undefined;
  /** Lower-case hex; ends the computation. */
  finish(): Promise<string>;
  /** Ends it without a result; harmless after finish. */
  abort(): void;
}

/** True where a thread for so many bytes is worth its start, and memory and processors are there for it. */
export async function isWorthThread(memory: Memory, expectedBytes: number): Promise<boolean> {
  if (expectedBytes < limits.digestThreadFromBytes || !memory.hasRoomForThread) return false;
  const { availableParallelism } = await import('node:os');
  return availableParallelism() > 1;
}

/** The thread starts with the first bytes. What happens to it rejects the next call, mostly as a StuckError. */
export function threadDigest(memory: Memory, algorithm: DigestName): DigestStream {
  const ring = byteRing();
  let started: Promise<Threads.Worker> | undefined;
  let failure: Error | undefined;

  return {
    update(bytes) {
      started ??= start();
      const taken = ring.fill(bytes);
      return taken === bytes.length ? undefined : fillRest(bytes.subarray(taken));
    },
    async finish() {
      const { bytes, control, at, slotCount } = ring.shared;
      if (ring.filledBytes() > 0) ring.submit();
      await freeSlots(1);
      ring.submit();
      await freeSlots(slotCount);
      return Buffer.from(bytes.subarray(0, control[at.lengths])).toString('hex');
    },
    abort() {
      end(new StuckError(`the ${algorithm} digest was given up`));
      started?.then((thread) => thread.terminate()).catch(() => undefined);
    },
  };

  async function fillRest(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0; rest = rest.subarray(ring.fill(rest))) await freeSlots(1);
  }

  /** Waits until so many slots are free. */
  async function freeSlots(count: number): Promise<void> {
    started ??= start();
    await started;
    let looks = 0;
    for (let before = -1; ; ) {
      const done = ring.done();
      if (ring.freeSlots() >= count) return;
      if (failure !== undefined) throw failure;
      looks = done === before ? looks + 1 : 0;
      before = done;
      if (looks * limits.digestLookMs >= limits.digestStuckMs)
        end(new StuckError(`the thread of the ${algorithm} digest does not go on`));
      else await ring.changed(done);
    }
  }

  async function start(): Promise<Threads.Worker> {
    // What came before the first byte, a TLS handshake perhaps, and what the start itself touches shall not add up.
    memory.trim();
    // Each of these steps takes a few ms; what waits for the event loop comes between.
    await nextTurn();
    const { Worker } = await import('node:worker_threads');
    await nextTurn();
    const workerData: Work = {
      algorithm,
      ring: ring.shared,
      slotsPerCollection: limits.digestSlotsPerCollection,
    };
    const thread = new Worker(`(${digestSlots})(require('node:worker_threads'), require('node:crypto'))`, {
      eval: true,
      workerData,
      // Nothing of the process's environment, NODE_OPTIONS least of all, is for this thread.
      env: {},
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16, stackSizeMb: 1 },
    });
    // Its start goes through much of the executable once: as it goes, that is handed back.
    const handingBack = setInterval(() => memory.releasePages(), limits.threadStartLookMs);
    thread.once('online', () => {
      clearInterval(handingBack);
      memory.trim();
    });
    thread.once('error', (error) =>
      end(new StuckError(`the thread of the ${algorithm} digest failed: ${error.message}`)),
    );
    thread.once('exit', () => {
      clearInterval(handingBack);
      end(new StuckError(`the thread of the ${algorithm} digest ended`));
      memory.trim();
    });
    return thread;
  }

  function end(why: Error): void {
    failure ??= why;
    ring.wake(); // whoever waits looks at the failure
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

interface Work {
  readonly algorithm: DigestName;
  readonly ring: SharedRing;
  readonly slotsPerCollection: number;
}

/** What the thread runs. Its text is all that gets there: it uses nothing from outside, and makes no inner function. */
function digestSlots(threads: typeof Threads, crypto: typeof Crypto): void {
  const { algorithm, ring, slotsPerCollection } = threads.workerData as Work;
  const { bytes, control, at, slotCount, slotBytes, lookMs } = ring;
  // What a thread of Node's comes with, and never uses here.
  globalThis.gc?.({ type: 'major', flavor: 'last-resort' });
  const hash = crypto.createHash(algorithm);
  for (let done = 0, length = 1; length > 0; ) {
    // In a loop: a notification may come so late that its slot is done already, and then wakes for nothing.
    while (Atomics.load(control, at.submitted) === done) Atomics.wait(control, at.submitted, done, lookMs);
    const slot = done % slotCount;
    length = control[at.lengths + slot] ?? 0;
    if (length > 0) hash.update(bytes.subarray(slot * slotBytes, slot * slotBytes + length));
    else {
      const digest = hash.digest();
      bytes.set(digest);
      control[at.lengths] = digest.length;
    }
    done += 1;
    if (done % slotsPerCollection === 0) globalThis.gc?.({ type: 'minor' });
    Atomics.store(control, at.done, done);
    Atomics.notify(control, at.done);
  }
}
