/**
 * A digest computed on a thread of its own: beside it, the thread that runs JavaScript is free for the network, the disk
 * and other digests. MD5 of a package is otherwise the longest part of an update (docs/performance.md).
 *
 * Bytes are copied into a ring of slots that both threads share. Invariant: a slot is the thread's from the moment in
 * which `submitted` counts it until `done` does; the thread digests them in this order. A slot without bytes is the end:
 * the digest then stands at the beginning of the ring.
 *
 * Neither side hangs on a single notification: whoever waits looks again every limits.digestLookMs, so that a wake-up that is
 * lost costs that long. A thread that digests nothing for limits.digestStuckMs is given up: the next call rejects.
 */
import type * as Crypto from 'node:crypto';
import type * as Threads from 'node:worker_threads';
import { limits } from '../limits.ts';
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
  const ring = new Uint8Array(new SharedArrayBuffer(slotCount * slotBytes));
  const control = new Int32Array(
    new SharedArrayBuffer((at.lengths + slotCount) * Int32Array.BYTES_PER_ELEMENT),
  );
  let started: Promise<Threads.Worker> | undefined;
  let failure: Error | undefined;
  /** Slots handed over so far, and the bytes in the one to come. */
  let submitted = 0;
  let filled = 0;

  return {
    update(bytes) {
      started ??= start();
      const taken = fill(bytes);
      return taken === bytes.length ? undefined : fillRest(bytes.subarray(taken));
    },
    async finish() {
      if (filled > 0) submit();
      await freeSlots(1);
      submit();
      await freeSlots(slotCount);
      return Buffer.from(ring.subarray(0, control[at.lengths])).toString('hex');
    },
    abort() {
      end(new StuckError(`the ${algorithm} digest was given up`));
      started?.then((thread) => thread.terminate()).catch(() => undefined);
    },
  };

  /** Copies as much as there is room for; returns how much. */
  function fill(bytes: Uint8Array): number {
    let taken = 0;
    while (taken < bytes.length && submitted - Atomics.load(control, at.done) < slotCount) {
      const part = bytes.subarray(taken, taken + slotBytes - filled);
      ring.set(part, (submitted % slotCount) * slotBytes + filled);
      taken += part.length;
      filled += part.length;
      if (filled === slotBytes) submit();
    }
    return taken;
  }

  async function fillRest(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0; rest = rest.subarray(fill(rest))) await freeSlots(1);
  }

  function submit(): void {
    control[at.lengths + (submitted % slotCount)] = filled;
    submitted += 1;
    filled = 0;
    Atomics.store(control, at.submitted, submitted);
    Atomics.notify(control, at.submitted);
  }

  /** Waits until so many slots are free. */
  async function freeSlots(count: number): Promise<void> {
    started ??= start();
    await started;
    let looks = 0;
    for (let before = -1; ; ) {
      const done = Atomics.load(control, at.done);
      if (slotCount - (submitted - done) >= count) return;
      if (failure !== undefined) throw failure;
      looks = done === before ? looks + 1 : 0;
      before = done;
      if (looks * limits.digestLookMs >= limits.digestStuckMs)
        end(new StuckError(`the thread of the ${algorithm} digest does not go on`));
      else await changeOf(done);
    }
  }

  /** Resolves when `done` has changed, or soon. */
  async function changeOf(done: number): Promise<void> {
    const change = Atomics.waitAsync(control, at.done, done);
    if (!change.async) return;
    let timer: NodeJS.Timeout | undefined;
    const soon = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limits.digestLookMs);
    });
    await Promise.race([change.value, soon]);
    clearTimeout(timer);
  }

  async function start(): Promise<Threads.Worker> {
    // What came before the first byte, a TLS handshake perhaps, and what the start itself touches shall not add up.
    memory.trim();
    // Each of these steps takes a few ms; what waits for the event loop comes between.
    await nextTurn();
    const { Worker } = await import('node:worker_threads');
    await nextTurn();
    const lookMs = limits.digestLookMs;
    const workerData: Shared = { algorithm, ring, control, at, slotCount, slotBytes, lookMs };
    const thread = new Worker(`(${digestSlots})(require('node:worker_threads'), require('node:crypto'))`, {
      eval: true,
      workerData,
      // Nothing of the process's environment, NODE_OPTIONS least of all, is for this thread.
      env: {},
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16, stackSizeMb: 1 },
    });
    thread.once('online', () => memory.releasePages());
    thread.once('error', (error) =>
      end(new StuckError(`the thread of the ${algorithm} digest failed: ${error.message}`)),
    );
    thread.once('exit', () => {
      end(new StuckError(`the thread of the ${algorithm} digest ended`));
      memory.trim();
    });
    return thread;
  }

  function end(why: Error): void {
    failure ??= why;
    Atomics.notify(control, at.done); // whoever waits looks at the failure
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** More than two, so that the thread goes on with the next while we are told of the one before. */
const slotCount = 4;
const slotBytes = 128 * 1024;

/** Where in `control` is what: two counts of slots, then the number of bytes in each slot. */
const at = { submitted: 0, done: 1, lengths: 2 } as const;

interface Shared {
  readonly algorithm: DigestName;
  readonly ring: Uint8Array;
  readonly control: Int32Array;
  readonly at: typeof at;
  readonly slotCount: number;
  readonly slotBytes: number;
  readonly lookMs: number;
}

/** What the thread runs. Its text is all that gets there: it uses nothing from outside, and makes no inner function. */
function digestSlots(threads: typeof Threads, crypto: typeof Crypto): void {
  const { algorithm, ring, control, at, slotCount, slotBytes, lookMs } = threads.workerData as Shared;
  const hash = crypto.createHash(algorithm);
  for (let done = 0, length = 1; length > 0; ) {
    // In a loop: a notification may come so late that its slot is done already, and then wakes for nothing.
    while (Atomics.load(control, at.submitted) === done) Atomics.wait(control, at.submitted, done, lookMs);
    const slot = done % slotCount;
    length = control[at.lengths + slot] ?? 0;
    if (length > 0) hash.update(ring.subarray(slot * slotBytes, slot * slotBytes + length));
    else {
      const digest = hash.digest();
      ring.set(digest);
      control[at.lengths] = digest.length;
    }
    done += 1;
    Atomics.store(control, at.done, done);
    Atomics.notify(control, at.done);
  }
}
