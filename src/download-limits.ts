/** The bounds of downloads, as limits.ts has them: sizes in bytes, times in milliseconds, counts. Each with its reason. */

const KiB = 1024;
const MiB = 1024 * KiB;

export const downloadLimits = {
  /** Spec section 6: no byte for this long is a stall. */
  downloadStallMs: 30_000,
  /** Staging in which nothing is read or written for so long is given up: twice the time of a stall. */
  stageStuckMs: 60_000,
  /** A step of an install before the switch, backups of 100 000 files on a slow card included, ends sooner. */
  stepStuckMs: 2 * 60 * 60_000,
  /** Spec section 6: the waits before each retry; so many retries without progress in a row. */
  downloadBackoffMs: [1_000, 2_000, 4_000],
  /** Where nobody answers and there is time: the waits between two questions, doubled from the first to the second figure. */
  networkWaitLeastMs: 1_000,
  networkWaitMostMs: 20_000,
  /** Spec section 13: so long a download that a start has taken up again waits for a network, unless told otherwise. */
  networkWaitMs: 600_000,
  /** A server that asks for a longer rest than this is treated as failing. */
  retryAfterMaxMs: 120_000,
  redirects: 5,
  /** Fewer bytes than this on disk are fetched again rather than saved by a second request. */
  resumeWorthBytes: 64 * KiB,
  /** A server without ranges, or whose file keeps changing, is given the whole file's time this often. */
  downloadStartOvers: 10,
  /** A refusal's body is read this far for the server's reason. */
  refusalBodyBytes: 4 * KiB,
  /** Spec section 6: state is saved every 5 % and at least this often. */
  stateSaveMs: 5_000,
  stateSavePercent: 5,

  /** Smaller packages are downloaded whole: the questions would cost what they save. */
  adaptiveLeastBytes: 256 * KiB,
  /** As much of a package's end is asked for first: the directory of some 600 entries. */
  tailBytes: 64 * KiB,
  /** A larger directory is not worth its memory: some 40 000 entries. Then the package is downloaded whole. */
  tailMostBytes: 4 * MiB,
  /** A run of bytes that are here, between two that are not, is fetched below this: a request costs half a kB and a round trip. */
  requestWorthBytes: 4 * KiB,
  /** So much of an entry shows whether the device makes what the packer made; fewer packed bytes than `probeLeastBytes` show nothing. */
  probeBytes: 64 * KiB,
  probeLeastBytes: 512,
  /** Fewer bytes than this tell nothing of how fast they come. */
  ratedBytes: 16 * KiB,
  /** Entries of one kind that a resume lets show it: the files of a few may have changed; where none fits, another packer made them. */
  probeRecalls: 4,
  /** Patches named for one file: so many older versions of it that are still about. */
  deltasOfFile: 16,
  /** Smaller files, packed, are shipped whole: a patch costs an entry and two lines. */
  deltaLeastBytes: 4 * KiB,
  /** Larger files are shipped whole: what packs needs some ten times as much memory. */
  deltaMostBytes: 256 * MiB,
  /** Of a package: more patches than this are a lot for devices that cannot use them. */
  deltaHeavyPercent: 15,
  /** A file that is patched is read in blocks of this size; so many of the last ones are kept. */
  oldFileBlockBytes: 8 * KiB,
  oldFileBlocks: 128,
  /** What is deflated in one call blocks the event loop: 16 KiB take 1 ms. */
  deflateAtOnceBytes: 16 * KiB,
} as const;
