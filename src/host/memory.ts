/**
 * Keeps the resident size of the process under its bound (FR: peak below 50 MB, docs/performance.md).
 *
 * Four means, each of which may be missing without harm: young-generation collections in step with the short-lived
 * buffers that are made, full collections between two phases where the heap has become large or where much has come to it, and, in the packed
 * executable on Node 26 or newer, handing back what the C library keeps of freed memory, and clean pages of the executable and its
 * libraries (they come back from the page cache when they are used again).
 */
import { limits } from '../limits.ts';
import { freedReleaser, pageReleaser } from './hand-back.ts';
import type { Memory } from './host.ts';

/**
 * The memory port of this process. Call it first of all: it hands back the pages that starting Node has touched, which
 * is where the process is largest, and it bounds the number of worker threads, which libuv reads at their first use.
 */
export async function realMemory(): Promise<Memory> {
  process.env.UV_THREADPOOL_SIZE ??= workerThreads;
  Buffer.poolSize = limits.bufferPoolBytes;
  const releasePages = isPacked() ? pageReleaser() : undefined;
  releasePages?.();
  const releaseFreed = isPacked() ? freedReleaser() : undefined;
  const collect = await garbageCollector();
  let producedBytes = 0;
  let watching: NodeJS.Timeout | undefined;
  let restingLooks = 0;
  /** What was in use after the last full collection. */
  let keptBytes = usedBytes();
  /** What a small collection leaves: objects of Node's own that hold memory outside of V8's heap, and garbage that was held for a while. */
  const look = (): number => {
    const { heapUsed, external, rss } = process.memoryUsage();
    let used = heapUsed + external;
    const hasGrown = used > keptBytes + limits.memoryGrowthBytes;
    if (hasGrown) {
      collect?.({ type: 'major' });
      releaseFreed?.();
      used = keptBytes = usedBytes();
    }
    // Those that are used come back one fault after another, which takes milliseconds: only where the process has become large.
    if (hasGrown || rss > limits.memoryResidentBytes) releasePages?.();
    return used;
  };
  /** Looks now and then, as long as something is made: what only computes leaves garbage, too, and tells of none. */
  const watch = (): void => {
    restingLooks = 0;
    if (collect === undefined || watching !== undefined) return;
    let before = usedBytes();
    watching = setInterval(() => {
      const used = look();
      // Long work that asks nobody for anything tells of nothing, and makes garbage all the same.
      restingLooks = Math.abs(used - before) < limits.garbageBytes ? restingLooks + 1 : 0;
      before = used;
      if (restingLooks < limits.memoryRestingLooks) return;
      clearInterval(watching);
      watching = undefined;
    }, limits.memoryLookMs).unref();
  };
  return {
    // What a thread takes, pages handed back make up for; plain Node has no bound to keep.
    hasRoomForThread: !isPacked() || releasePages !== undefined,
    produced(bytes) {
      producedBytes += bytes;
      if (producedBytes < limits.garbageBytes) return;
      producedBytes = 0;
      collect?.({ type: 'minor' });
      // Where much is made at once, the next look is too late; and where others have the processor, it comes late.
      if (releasePages !== undefined && process.memoryUsage.rss() > limits.memoryLargeBytes) releasePages();
      watch();
    },
    releasePages() {
      releasePages?.();
      watch();
    },
    collect() {
      collect?.({ type: 'major' });
      releaseFreed?.();
      releasePages?.();
    },
    shrink() {
      collect?.({ type: 'major', flavor: 'last-resort' });
      releaseFreed?.();
      releasePages?.();
    },
    trim() {
      const isLarge = process.memoryUsage().heapTotal > largeHeapBytes;
      collect?.({ type: isLarge ? 'major' : 'minor' });
      releaseFreed?.();
      releasePages?.();
      watch();
    },
  };
}

/**
 * A full collection blocks the event loop: 8 to 13 ms for the 10 MB that a usual update takes, of which it frees one. It
 * pays after a package of thousands of files.
 */
const largeHeapBytes = 14 * 1024 * 1024;

/** Of a process that lives for one command: it has no bound to keep. */
export const freeMemory: Memory = {
  hasRoomForThread: true,
  produced: () => undefined,
  releasePages: () => undefined,
  collect: () => undefined,
  shrink: () => undefined,
  trim: () => undefined,
};

/**
 * For a command that nobody waits beside, before it begins: a full collection is done at once. In steps between which the program runs on,
 * and has to say what it changes, it takes a fifth of the processor time of packing thousands of files.
 */
export async function collectAtOnce(): Promise<void> {
  const { setFlagsFromString } = await import('node:v8');
  setFlagsFromString('--no-incremental-marking');
}

/** One for the file operation in flight, one so that a name lookup or a state save never waits for a slow fsync. */
const workerThreads = '2';

/** A single executable puts its own name, as typed, where plain Node has the path of the script. */
function isPacked(): boolean {
  return process.argv[1] === process.argv0;
}

function usedBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

type Collect = (options: { type: 'minor' | 'major'; flavor?: 'last-resort' }) => unknown;

/**
 * The collector that `--expose-gc` of the executable made global. An executable whose Node takes no flags (20) gets
 * them here, with the optimizing compilers off: machine code costs memory that this work, bound by disk and network,
 * does not repay. Incremental marking: see build/pack.ts. Plain Node without the flag is left alone.
 */
async function garbageCollector(): Promise<Collect | undefined> {
  if (globalThis.gc === undefined && isPacked()) {
    // Loaded here only: they bring the streams along, 4 MB at the moment when the process is largest.
    const [{ setFlagsFromString }, { runInNewContext }] = await Promise.all([
      import('node:v8'),
      import('node:vm'),
    ]);
    const flags = ['--expose-gc', '--no-opt', '--no-sparkplug', '--no-incremental-marking'];
    for (const flag of flags) setFlagsFromString(flag);
    return runInNewContext('gc') as Collect;
  }
  return globalThis.gc as Collect | undefined;
}
