/**
 * Keeps the resident size of the process under its bound (FR: peak below 50 MB, docs/performance.md).
 *
 * Three means, each of which may be missing without harm: young-generation collections in step with the short-lived
 * buffers that are made, full collections between two phases where the heap has become large or where much has come to it, and, in the packed
 * executable on Node 26 or newer, handing back clean pages of the executable itself (they come back from the page cache
 * when they are used again).
 *
 * Invariant: only mappings of the executable that are read-only and without one private page are handed back; dropping
 * anything else would lose data.
 */
import { readFileSync } from 'node:fs';
import { limits } from '../limits.ts';
import { elapsedMs } from './clock.ts';
import { foreign } from './foreign.ts';
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
  const collect = await garbageCollector();
  let producedBytes = 0;
  let lookedMs = elapsedMs();
  /** What was in use after the last full collection. */
  let keptBytes = usedBytes();
  /** What a small collection leaves: objects of Node's own that hold memory outside of V8's heap, and garbage that was held for a while. */
  const look = (): void => {
    const nowMs = elapsedMs();
    if (collect === undefined || nowMs - lookedMs < limits.memoryLookMs) return;
    lookedMs = nowMs;
    if (usedBytes() > keptBytes + limits.memoryGrowthBytes) {
      collect({ type: 'major' });
      keptBytes = usedBytes();
    }
    releasePages?.();
  };
  return {
    // What a thread takes, pages handed back make up for; plain Node has no bound to keep.
    hasRoomForThread: !isPacked() || releasePages !== undefined,
    produced(bytes) {
      producedBytes += bytes;
      if (producedBytes < limits.garbageBytes) return;
      producedBytes = 0;
      collect?.({ type: 'minor' });
      look();
    },
    releasePages() {
      releasePages?.();
    },
    collect() {
      collect?.({ type: 'major' });
      releasePages?.();
    },
    shrink() {
      collect?.({ type: 'major', flavor: 'last-resort' });
      releasePages?.();
    },
    trim() {
      const isLarge = process.memoryUsage().heapTotal > largeHeapBytes;
      collect?.({ type: isLarge ? 'major' : 'minor' });
      releasePages?.();
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
 * does not repay. Plain Node without the flag is left alone.
 */
async function garbageCollector(): Promise<Collect | undefined> {
  if (globalThis.gc === undefined && isPacked()) {
    // Loaded here only: they bring the streams along, 4 MB at the moment when the process is largest.
    const [{ setFlagsFromString }, { runInNewContext }] = await Promise.all([
      import('node:v8'),
      import('node:vm'),
    ]);
    for (const flag of ['--expose-gc', '--no-opt', '--no-sparkplug']) setFlagsFromString(flag);
    return runInNewContext('gc') as Collect;
  }
  return globalThis.gc as Collect | undefined;
}

const MADV_DONTNEED = 4;

interface Functions {
  readonly madvise: (address: bigint, length: bigint, advice: number) => number;
}

/**
 * A function that hands the clean pages of the executable back, or undefined where Node cannot. The mappings are looked
 * up once: those of the executable stay as they are as long as the process lives, and nothing writes to them.
 */
function pageReleaser(): (() => void) | undefined {
  const libc = foreign<Functions>({
    madvise: { arguments: ['uint64', 'uint64', 'int32'], return: 'int32' },
  });
  if (libc === undefined) return undefined;
  const { madvise } = libc.functions;
  try {
    const clean = cleanFileMappings(readFileSync('/proc/self/smaps', 'latin1'), process.execPath);
    return () => {
      for (const { address, length } of clean) madvise(address, length, MADV_DONTNEED);
    };
  } catch {
    return undefined; // a sandbox without it: the product works the same, some 12 MB larger
  }
}

interface Mapping {
  readonly address: bigint;
  readonly length: bigint;
}

/** From the text of /proc/self/smaps: the private read-only mappings of the file `path` that hold no page of their own. */
export function cleanFileMappings(smaps: string, path: string): Mapping[] {
  const clean: Mapping[] = [];
  let candidate: Mapping | undefined;
  for (const line of smaps.split('\n')) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+ *(.*)$/.exec(line);
    if (head !== null) {
      const [, start = '', end = '', permissions = '', file = ''] = head;
      const isCode = /^r-[x-]p$/.test(permissions) && file === path;
      const address = BigInt(`0x${start}`);
      candidate = isCode ? { address, length: BigInt(`0x${end}`) - address } : undefined;
    } else if (candidate !== undefined && /^Anonymous:\s+0 kB$/.test(line)) {
      clean.push(candidate);
      candidate = undefined;
    }
  }
  return clean;
}
