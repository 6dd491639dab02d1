/** The bounds of many small files, as limits.ts has them: sizes in bytes, counts. Each with its reason. */

const KiB = 1024;
const MiB = 1024 * KiB;

export const fileLimits = {
  /** From so many files on, one syncfs takes the place of their fsyncs: it also waits for what other programs have written. */
  groupFromFiles: 6,
  /** The same for many small files, each with its inode: so many bytes are on their way while the next ones are written. */
  groupSyncEveryBytes: 16 * MiB,
  /** What a small file takes besides its bytes, at least. */
  smallFileBytes: 4 * KiB,
  /** A file up to this size is unpacked at once and held whole until it is written; inflating it takes 0.3 ms. */
  wholeFileBytes: 32 * KiB,
  /** A command that does nothing else waits for a read up to this size where it is: a small file, and the byte that tells its end. */
  readAtOnceBytes: 32 * KiB + 1,
  /** Up to this size `pack` deflates at once: 0.2 ms, and a trip to a worker thread and back takes as long. */
  deflateAtOnceBytes: 8 * KiB,
  /** File operations of one kind under way at a time; each holds a descriptor, and some a whole file. With 8 they take three times as long. */
  filesInFlight: 32,
  /** What each of them reads a larger file through, to compare it: 32 whole read buffers would be 16 MiB. */
  sharedReadBufferBytes: 64 * KiB,
  /** Small files inflated and made together, and what they may hold; two such groups are under way: 10 µs a call in place of 100. */
  entriesTogether: 64,
  entriesTogetherBytes: 256 * KiB,
  entryGroups: 2,
  /** Names looked at together: each takes microseconds, and some hundred bytes. */
  statsInFlight: 128,
} as const;
