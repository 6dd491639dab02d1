/** Every bound of the product in one place: sizes in bytes, times in milliseconds, counts. Each with its reason. */

import { apiLimits } from './api-limits.ts';
import { downloadLimits } from './download-limits.ts';
import { fileLimits } from './file-limits.ts';
import { memoryLimits } from './memory-limits.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

export const limits = {
  ...apiLimits,

  /** Directories held open between two file calls, and for how long: files come directory by directory. */
  anchors: 16,
  anchorMs: 20,

  /** Size of one read from a socket or a file; what Node's own streams use. */
  chunkBytes: 64 * KiB,
  /** Two of these take what a large download reads from its socket. */
  socketBufferBytes: 256 * KiB,
  /** TLS may still give so much after it was told to stop: what it had read, and a record begun before (RFC 8446 5.1). */
  tlsBurstBytes: 96 * KiB,
  /** 1xx answers before the final one: a server sends one or two; without an end they would take the processor. */
  informationalAnswers: 20,
  /** Size of one write to flash; two such buffers alternate so that disk and network overlap. */
  writeBufferBytes: 512 * KiB,
  /** From this size on a package's digest gets a thread of its own: its start takes 30 ms, its work 1.2 ms a MiB. */
  digestThreadFromBytes: 16 * MiB,
  /** While it starts, some tens of ms long, pages that it is done with are handed back this often. */
  threadStartLookMs: 8,
  /** Packages of more entries do without: what tells what of them is here takes that room, and MD5 is a small part of their time. */
  threadlessEntries: 4096,
  /** Who waits for the other side of that thread looks again this often, should a notification be lost. */
  digestLookMs: 200,
  /** Slots of its ring from one small collection on that thread to the next: each leaves some hundred bytes of garbage. */
  digestSlotsPerCollection: 64,
  /** A thread that has digested nothing for this long, with bytes at hand, is given up. */
  digestStuckMs: 20_000,
  /** Size of one read of a package, the next one under way: each is a trip to a worker thread and back. */
  readBufferBytes: 512 * KiB,
  /** Dirty pages are pushed to disk this often, so that a 50 MB memory cgroup never fills with them. */
  dataSyncEveryBytes: 8 * MiB,
  ...fileLimits,

  /**
   * A file that was changed so shortly before it was looked at may change once more under the same time: the kernel's tick is 10 ms
   * at most; where times are whole seconds it is the filesystem's: 1 s of small inodes, 2 s of vfat.
   */
  witnessYoungMs: 100,
  witnessYoungOfWholeSecondsMs: 3_000,
  /** From this size on a seal is quicker than a SHA-256. */
  sealFromBytes: 16 * KiB,
  /** Values that are packed together (packed-list.ts), and windows of them that are unpacked at a time. */
  packedWindowValues: 128,
  packedWindowsOpen: 3,
  /** A packed list goes to a file from here on: that of some thousand files. */
  packedMemoryBytes: 128 * KiB,
  /** A loop that computes lets others have their turn after so long. */
  breathMs: 5,
  /** How often a thread that syncs is asked whether it has ended. */
  syncPollMs: 2,
  ...memoryLimits,
  ...downloadLimits,

  /** FR-036: a verified package older than this is not installed any more. */
  packageAgeMs: 24 * 60 * 60 * 1000,
  /** Spec section 4. */
  manifestBytes: 1 * MiB,
  /** The list of files where it does not fit there: about 160 bytes each. */
  filesListBytes: 32 * MiB,
  /** A minisign signature is about 300 bytes; its trusted comment may have up to 8 KiB. */
  signatureBytes: 16 * KiB,
  /** The list of files at the end of the ZIP: about 200 bytes an entry; bounds the time to open one. */
  archiveDirectoryBytes: 32 * MiB,
  modules: 256,
  /** Release notes in all languages: some screens of text, which stand in state.json and in each record. */
  notesBytes: 4 * KiB,
  /** Of `config` and of `keep` in a module: each is compared with each path of the tree. */
  modulePatterns: 64,
  /** A tree of programs has thousands of files, node_modules tens of thousands; each takes some 400 bytes while it is planned. */
  packageFiles: 100_000,
  /** These, and what a package has beside them: the manifest, the list of files, signatures, deltas, empty directories. */
  archiveEntries: 101_000,
  /** With the directories that names imply, and files that go to several places. */
  treeEntries: 120_000,
  pathBytes: 1024,
  /** Text of a symlink: what Linux takes at most (PATH_MAX without its end). */
  linkBytes: 4095,
  /** Names of one file's extended attributes: what Linux gives at most (XATTR_LIST_MAX). */
  attributeNamesBytes: 64 * KiB,
  /** Names and values, in base64, of one file's attributes that go over: ext4 keeps 4 KiB of them in one block. */
  attributeBytes: 16 * KiB,
  /** Of all files of a plan, in whose journal they stand: an access list for each of 80 000 files. */
  attributesBytes: 8 * MiB,
  /** Files that getfattr(1) is asked of at once: some 100 KB of arguments. */
  attributePaths: 500,
  /** No tree of programs is this deep; bounds the directories one name can imply. */
  pathDepth: 64,
  nameBytes: 255,
  /** Deflate cannot do better than about 1032:1; a package that claims more lies. */
  inflateRatio: 1100,
  unpackedBytes: 8 * 1024 * MiB,
  /** Of `before_start` and of `on_undo` in a module. */
  moduleCommands: 16,
  commandTimeoutMs: 60_000,
  /** What is logged of one command's output; more of it says no more. */
  commandLogBytes: 16 * KiB,
  /** Left free on every filesystem an update writes to, so that the device's own work goes on. */
  reserveBytes: 4 * MiB,

  /** FR-012: SIGTERM, this long, then SIGKILL; what that has not ended after the second time is stuck in the kernel. */
  processTermMs: 10_000,
  processKillMs: 5_000,
  processPollMs: 50,
  /** For those that have a service's name but are another user's. */
  namesakeTermMs: 1_000,
  /** A service that dies this soon after its start never ran; one that takes its name late has it after so long. */
  serviceSettleMs: 2_000,
  processNameMs: 10_000,
  /** systemctl returns when the unit is up or down, for which systemd gives 90 s, or what its file says; sync(1) when all disks are written. */
  serviceCommandMs: 300_000,
  /** Units that are stopped with one: more is a mistake in somebody's units. */
  dependentUnits: 64,
  /** Between two restart orders: a service that says neither that it is ready nor how to ask it is taken for up after this. */
  serviceReadyMs: 500,
  /** Lines of a failed program's output in the log, and what of it stands in an error. */
  outputTailBytes: 4 * KiB,
  outputErrorChars: 300,
  /** What a restarted program writes to the updater's file for it, before the file is begun anew; looked at this often, and so long after it grew. */
  outputFileBytes: 1 * MiB,
  outputCheckMs: 10_000,
  outputGrowthMs: 250,
  /** Owners that may hold updates at a time, and the longest lease: a forgotten one ends within a day. */
  holds: 16,
  holdMs: 24 * 60 * 60 * 1000,
  /** A start of a new updater, for its version: from cold flash on the slowest device. */
  selfTrialMs: 20_000,
  /** The last look at the services by a new updater, before it commits itself; launch.sh ends one that takes 180 s. */
  selfHealthMs: 90_000,
  /** A new updater's uptime after which nobody takes it back any more. */
  probationMs: 10 * 60_000,
  /** Bounds what is read of it: some 40 bytes a start. */
  probationBytes: 64 * KiB,
  /** A machine that was asked to restart and still runs us after this long will not. */
  rebootMs: 120_000,
  healthTimeoutMs: 30_000,
  healthPollMs: 250,
  /** One try of a health check; a service that hangs on its first request gets another chance. */
  healthTryMs: 5_000,
  /** Looking again for processes of a name after they were stopped; something revives what is still there then. */
  stopRounds: 3,
  /** What is kept of a helper program's output, each of stdout and stderr. */
  helperOutputBytes: 64 * KiB,
  /** After a helper's end its pipes may be held open by what it started; they are not read longer than this. */
  helperDrainMs: 200,
  /** The beginning of a program: its header, and the table that names its loader, lie within it. */
  execHeaderBytes: 4 * KiB,
  /** One read in /proc takes microseconds; one that takes this long waits for a process that hangs in the kernel. */
  procReadMs: 2_000,
  /** The same where several do not answer; how many are remembered; how long the shell that reads for the updater waits for a question. */
  procHurryMs: 300,
  silentProcesses: 1024,
  procReaderIdleMs: 1_000,
  /** Most of what /proc tells fits at once. */
  procReadBytes: 4 * KiB,
  /** Of one entry: more than any service's arguments or environment; what a process puts behind it is not looked at. */
  procTextBytes: 128 * KiB,
  /** Written to the journal of one process that is to be started again, as JSON: a device's programs have 1 to 4 KiB of each. */
  capturedArgumentsBytes: 16 * KiB,
  capturedEnvironmentBytes: 32 * KiB,
  /** Of all services together: with the other records of a transaction it fits into journalRoomBytes. */
  capturedBytes: 160 * KiB,
  /** Processes of one service that are started again; one that has more makes them itself. */
  capturedProcesses: 16,
  /** Between the start of setpriv or systemd-run and that of the program itself; systemd has to make a unit in it. */
  startVisibleMs: 3_000,
  startPollMs: 5,

  /** Spec section 3. */
  reportTimeoutMs: 500,
  reportProgressPercent: 5,
  /** Stage changes waiting for a device-api that does not answer; the oldest are dropped beyond it, the last never. */
  reportQueue: 64,
  reportRetryMs: [1_000, 2_000, 5_000, 15_000, 60_000],
  /** What is left of the queue is sent within this time when the daemon stops. */
  reportFlushMs: 1_000,
  reportBytes: 64 * KiB,

  /** Spec section 5: log rotation. */
  logFileBytes: 10 * MiB,
  logFiles: 3,
  logQueueBytes: 1 * MiB,
  /** A longer message is cut: one line must not push the others out of the file. */
  logLineChars: 8 * KiB,
  /** After a failed write the log file is left alone for this long. */
  logRetryMs: 10_000,

  /** Spec section 5: backups of this many updates are kept. */
  updatesKept: 3,
  historyEntries: 200,
  /** Of what an update put beside edited files: told by name, with its history. */
  besideNames: 20,
  historyBytes: 4 * MiB,
  /** A step takes some 450 bytes, with long paths 2 KiB; it is read and written a part at a time. */
  journalBytes: 128 * MiB,
  /** Read for what it says of services alone: a few milliseconds. */
  shortJournalBytes: 1 * MiB,
  /** Fewer steps fit into a journal however long their paths are: four of limits.pathBytes each. */
  journalSureSteps: 25_000,
  /** Taken when a journal begins: every later record must fit although the disk has become full. */
  journalRoomBytes: 256 * KiB,
  stateBytes: 64 * KiB,
  /** Kept on the disk for the journal, the state and the backups' names of a rollback on a full disk. */
  rollbackReserveBytes: 512 * KiB,
  /** Design section 2: the third start that finds the same unfinished install undoes it. */
  installStarts: 3,

  /** What an audit reads per second when nobody waits for it: a device's flash and processor have other work. */
  auditBytesPerSecond: 4 * MiB,
  /** What looking at one file costs beside its bytes, so that many small files are paced too. */
  auditFileBytes: 16 * KiB,
  /** The audit that nobody asked for waits this long after a start: a device that boots is busy. */
  auditStartMs: 10 * 60_000,
  /** More often would be reading all day; a timer of Node holds no more than 24 days. */
  auditIntervalLeastMs: 60_000,
  auditIntervalMostMs: 14 * 24 * 60 * 60 * 1000,
  /** Named one by one in the report and in the log; the rest is counted. */
  auditFindings: 200,
  auditExtraFiles: 50,
  auditReportBytes: 1 * MiB,

  /** How often a fleet's server may wish to be asked, and what counts where it does not say. */
  fleetSleepLeastMs: 10_000,
  fleetSleepMostMs: 24 * 60 * 60 * 1000,
  fleetSleepMs: 5 * 60_000,
  /** While an order is carried out its cancellation shall not wait for the usual poll. */
  fleetActiveMs: 60_000,
  /** Whoever sets a device up looks for it in the server's list. */
  fleetFirstPollMs: 5_000,
  /** After a failure, doubled up to the last one or the server's own interval. */
  fleetFailureMs: 30_000,
  fleetFailureMostMs: 15 * 60_000,
  fleetRetryAfterMs: 60 * 60_000,
  /** One request: a mobile link takes seconds to wake. */
  fleetTimeoutMs: 30_000,
  /** A poll has some 200 bytes, a set of 500 files 237 kB. */
  fleetPollBytes: 16 * KiB,
  fleetAnswerBytes: 256 * KiB,
  /** In a row, where each answer was followed by something else to answer. */
  fleetPollsInARow: 5,
  /** TLS takes memory that V8 does not see; it is collected after so many requests. */
  fleetTrimEvery: 20,
  /** hawkBit keeps 1000 rows an order, for good ones and bad ones. */
  fleetWords: 12,
  fleetWordPercent: 25,
  fleetWordMs: 60_000,
  /** hawkBit takes 50 details; one longer than 512 characters counts more than once. */
  fleetDetails: 10,
  fleetDetailChars: 500,
  fleetAttributes: 100,
  fleetAttributeChars: 128,
  /** Tries of a download that brought no byte, the waits between them, and how long they may take in all. */
  fleetTries: 50,
  fleetRetryMs: [60_000, 5 * 60_000, 15 * 60_000, 60 * 60_000],
  fleetBudgetMs: 3 * 24 * 60 * 60 * 1000,
  /** A server that keeps the package from us may have cancelled just now; not so often. */
  fleetRefusals: 3,
  /** An id that has ended and is offered again, as gooseBit does: after an hour, two, ... */
  fleetSameIdMs: 60 * 60_000,
  fleetSameIdMostMs: 24 * 60 * 60 * 1000,
  /** So many failed installs of the same package in a day are enough. */
  fleetFailures: 3,
  fleetFailuresMs: 24 * 60 * 60 * 1000,
  /** A package that waits for its window counts as verified anew this often: well before it expires, easy on the flash. */
  fleetStampMs: 60 * 60_000,
  fleetStateBytes: 64 * KiB,

  /** Spec section 2: after this long `success` becomes `idle`. */
  successMs: 60_000,
  /** FR-030: after SIGTERM the daemon is gone within this time, a switch in progress excepted. */
  shutdownMs: 5_000,
} as const;
