/** The bounds of what keeps the process small (host/memory.ts), as limits.ts has them: bytes, milliseconds, counts. Each with its reason. */

const KiB = 1024;
const MiB = 1024 * KiB;

export const memoryLimits = {
  /** Small buffers share a piece of memory of this size, which lives as long as one of them does: Node 26 takes 64 KiB. */
  bufferPoolBytes: 8 * KiB,
  /** From this size on the C library maps a buffer by itself, which costs some microseconds: its own first bound. */
  mappedBufferBytes: 128 * KiB,
  /** What one file call and one read from a socket leave to the collector, roughly; and how often, and from how much growth on, everything is collected. */
  fileCallGarbageBytes: 1 * KiB,
  readGarbageBytes: 1 * KiB,
  memoryLookMs: 50,
  memoryGrowthBytes: 2560 * KiB,
  /** From this resident size on half as much growth is enough: of 20 000 files the peak came to 51 MB now and then. */
  memoryTightBytes: 47 * MiB,
  memoryTightGrowthBytes: 1280 * KiB,
  /** Up to here V8 collects in its own time: where 9 are in use, at 12 MB, where 11 are, at 14. */
  memoryLargeHeapBytes: 14 * MiB,
  /** Nor where packed lists were in use within so many looks, a minute: what they hold lies outside of the heap, and V8 takes little notice. */
  memoryLongListLooks: 1200,
  /**
   * From this resident size on, each look hands the executable's pages back. Between two of them come 1 to 2 MiB, more where others have
   * the processor. With 40, above which a large download stays, half as much processor time again went into pages that came back at once.
   */
  memoryResidentBytes: 42 * MiB,
  /** From this one on they go with the next small collection, too, which comes with the work and not by the clock: of 20 000 files it came to 50. */
  memoryLargeBytes: 44 * MiB,
  /** Nobody has told of anything for so many looks: the process rests, and shall not wake for nothing. */
  memoryRestingLooks: 100,
  /** Short-lived buffers made between two young-generation collections: keeps the heap from growing. */
  garbageBytes: 256 * KiB,
  /** Of a package made of what is here, before a request, until a full collection: making leaves buffers that only that finds. */
  madeGarbageBytes: 64 * MiB,
  /** After the port listens: whoever waits for the start has had the first answer, and no update has begun yet. */
  collectAfterStartMs: 300,
  /** Nothing was done for so long: then a collection may take 33 ms, on a slow machine 46. */
  shrinkAtRestMs: 5_000,
  /** And nobody has asked for so long: who asks each second does not meet it. */
  shrinkUnaskedMs: 400,
  /** Who asks without pause puts it off, but not for ever. */
  shrinkAtLastMs: 60_000,
} as const;
