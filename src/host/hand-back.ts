/**
 * What the process can do without, handed back to the kernel through node:ffi: clean pages of the executable and its libraries, and
 * what the C library keeps of freed memory.
 *
 * Invariant: only mappings of files of code that are read-only and without one private page are handed back; dropping
 * anything else would lose data.
 */
import { readFileSync } from 'node:fs';
import { limits } from '../limits.ts';
import { foreign } from './foreign.ts';

const MADV_DONTNEED = 4;

interface Functions {
  readonly madvise: (address: bigint, length: bigint, advice: number) => number;
}

/**
 * A function that hands the clean pages of the executable and its libraries back, or undefined where Node cannot. To be called
 * before anything else is loaded: the mappings are looked up once, and those that a process begins with stay as they are as long as
 * it lives. A library that is loaded later may go again, and something else may take its place.
 */
export function pageReleaser(): (() => void) | undefined {
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
    return undefined; // a sandbox without it: the product works the same, some 15 MB larger
  }
}

const M_MMAP_THRESHOLD = -3;

interface Allocator {
  readonly mallopt: (option: number, value: number) => number;
  readonly malloc_trim: (keptBytes: bigint) => number;
}

/**
 * A function that hands freed memory of the C library back, or undefined where it has none (musl). The memory of a package of thousands
 * of files, buffers and zlib's states, lies among what lives on: without it, some 25 MB stay. A buffer that is mapped by itself goes
 * when it is freed; unless it is told, the library takes ever larger ones from its heap.
 */
export function freedReleaser(): (() => void) | undefined {
  const libc = foreign<Allocator>({
    mallopt: { arguments: ['int32', 'int32'], return: 'int32' },
    malloc_trim: { arguments: ['uint64'], return: 'int32' },
  });
  if (libc === undefined) return undefined;
  const { mallopt, malloc_trim } = libc.functions;
  mallopt(M_MMAP_THRESHOLD, limits.mappedBufferBytes);
  return () => void malloc_trim(0n);
}

interface Mapping {
  readonly address: bigint;
  readonly length: bigint;
}

/** From the text of /proc/self/smaps: the private read-only mappings of the file `path` and of libraries that hold no page of their own. */
export function cleanFileMappings(smaps: string, path: string): Mapping[] {
  const clean: Mapping[] = [];
  let candidate: Mapping | undefined;
  for (const line of smaps.split('\n')) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+ *(.*)$/.exec(line);
    if (head !== null) {
      const [, start = '', end = '', permissions = '', file = ''] = head;
      const isCode = /^r-[x-]p$/.test(permissions) && (file === path || isLibrary.test(file));
      const address = BigInt(`0x${start}`);
      candidate = isCode ? { address, length: BigInt(`0x${end}`) - address } : undefined;
    } else if (candidate !== undefined && /^Anonymous:\s+0 kB$/.test(line)) {
      clean.push(candidate);
      candidate = undefined;
    }
  }
  return clean;
}

/** `/lib/x86_64-linux-gnu/libm.so.6`; one that was replaced meanwhile is `... (deleted)`, and left alone. */
const isLibrary = /^\/.*\.so(?:\.\d+)*$/;
