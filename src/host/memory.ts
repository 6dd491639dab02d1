/**
 * Keeps the resident size of the process under its bound (FR: peak below 50 MB, docs/performance.md).
 *
 * Four means, each of which may be missing without harm: young-generation collections in step with the short-lived
 * buffers that are made, full collections between two phases where the heap has become large or where much has come to a large one, and, in
 * the packed executable on Node 26 or newer, handing back what the C library keeps of freed memory, and clean pages of the executable and
 * its libraries (they come back from the page cache when they are used again).
 *
 * A full collection blocks the event loop for a millisecond or two for each megabyte that is in use. V8's own come in small steps, of some
 * milliseconds, but later than a large heap has room for. So a small heap is left to V8; a large one is collected at once.
 */
import { limits } from '../limits.ts';
import { textsUsed } from '../packed-texts.ts';
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
  const collectGradually = collect === undefined ? undefined : gradualCollection();
  let producedBytes = 0;
  let watching: NodeJS.Timeout | undefined;
  let restingLooks = 0;
  /** What was in use after the last full collection. */
  let keptBytes = usedBytes();
  /** In a later turn, as it takes some milliseconds, too: a collection has blocked for long enough. */
  const handBack = (): void => {
    if (releaseFreed === undefined && releasePages === undefined) return;
    setTimeout(() => {
      releaseFreed?.();
      releasePages?.();
    }, 1).unref();
  };
  /** Of packed lists, and for how many looks to come they count as in use. */
  let knownTexts = 0;
  let longListLooks = 0;
  /** For V8 to collect in its own time. */
  const isTooMuch = (heapUsed: number): boolean =>
    heapUsed > limits.memoryLargeHeapBytes || longListLooks > 0 || textsUsed.count !== knownTexts;
  /** What a small collection leaves: objects of Node's own that hold memory outside of V8's heap, and garbage that was held for a while. */
  const look = (): number => {
    const { heapUsed, external, rss } = process.memoryUsage();
    let used = heapUsed + external;
    const texts = textsUsed.count;
    longListLooks = texts === knownTexts ? longListLooks - 1 : limits.memoryLongListLooks;
    knownTexts = texts;
    const isLarge = isTooMuch(heapUsed);
    collectGradually?.(!isLarge);
    const mayGrowBytes =
      rss > limits.memoryTightBytes ? limits.memoryTightGrowthBytes : limits.memoryGrowthBytes;
    const hasGrown = isLarge && used > keptBytes + mayGrowBytes;
    if (hasGrown) {
      collect?.({ type: 'major' });
      used = keptBytes = usedBytes();
      handBack();
    }
    // Those that are used come back one fault after another, which takes milliseconds: only where the process has become large.
    else if (rss > limits.memoryResidentBytes) releasePages?.();
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
      handBack();
    },
    shrink() {
      collect?.({ type: 'major', flavor: 'last-resort' });
      handBack();
    },
    trim() {
      collect?.({ type: isTooMuch(process.memoryUsage().heapUsed) ? 'major' : 'minor' });
      handBack();
      watch();
    },
  };
}

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
 * Lets V8 mark in steps, or not: where it has begun that, a full collection that we ask for ends it, and then does all of it again, twice as
 * long a block.
 */
function gradualCollection(): (is: boolean) => void {
  let setFlag: ((flag: string) => void) | undefined;
  let isGradual = true;
  return (is) => {
    if (is === isGradual) return;
    isGradual = is;
    const set = () => setFlag?.(isGradual ? '--incremental-marking' : '--no-incremental-marking');
    if (setFlag !== undefined) return set();
    import('node:v8').then(
      ({ setFlagsFromString }) => {
        setFlag = setFlagsFromString;
        set();
      },
      () => undefined,
    );
  };
}

/**
 * The collector that `--expose-gc` of the executable made global. An executable whose Node takes no flags (20) gets
 * them here, with the optimizing compilers off: machine code costs memory that this work, bound by disk and network,
 * does not repay. Plain Node without the flag is left alone.
 */
async function garbageCollector(): Promise<Collect | undefined> {
  if (globalThis.gc === undefined && isPacked()) {
    // Loaded here only: they bring the streams along, 4 MB at the moment when the process is largest.
    const [{ setFlagsFromString }, { runInNewContext }] = await Promise.all([
      import('node:v8'),
      import('node:vm'),
    ]);
    const flags = ['--expose-gc', '--no-opt', '--no-sparkplug'];
    for (const flag of flags) setFlagsFromString(flag);
    return runInNewContext('gc') as Collect;
  }
  return globalThis.gc as Collect | undefined;
}
