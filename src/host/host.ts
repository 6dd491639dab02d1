/**
 * The ports: everything the product asks of the machine, as types. One real implementation of each stands beside
 * this file; tests put a failing disk, a model disk or a hand-set clock behind the same types.
 *
 * Invariants: no port throws an UpdateError (callers know what a failure means); a system error keeps its `code`.
 */
import type { FileAttributes } from './attributes.ts';
import type { NewFile } from './new-files.ts';

export interface Host {
  readonly files: Files;
  readonly clock: Clock;
  readonly processes: Processes;
  readonly net: Net;
  readonly log: Log;
  readonly memory: Memory;
}

// ---------------------------------------------------------------------------------------------- files

export interface FileStat extends FileOwner {
  readonly kind: 'file' | 'directory' | 'symlink' | 'other';
  readonly sizeBytes: number;
  /** What it takes on its disk: room may be set aside beyond its end (fallocate(2)). */
  readonly allocatedBytes: number;
  readonly mode: number; // permission bits, 0o7777
  /** Device and inode identify a file: two names with both equal are the same file. */
  readonly device: bigint;
  readonly inode: bigint;
  /** Epoch milliseconds, with a fraction. */
  readonly modifiedMs: number;
  /** Epoch nanoseconds (ctime): of the last change of anything, set by the kernel alone. */
  readonly changedNs: bigint;
}

export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

/** Name -> value in base64 of what attributes.ts tells of. */
export type Attributes = Readonly<Record<string, string>>;

/**
 * A symlink in the last place is never followed (ELOOP). read: existing, read only. update: existing, read and write. create: must not
 * exist, mode 0600.
 * append: existing or created 0600, every write goes to the end.
 */
export type OpenHow = 'read' | 'update' | 'create' | 'append';

export interface OpenFile {
  /** Reads up to `length` bytes at `position` into `buffer` at `offset`; 0 at the end of the file. */
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  /** Writes all of `bytes` at `position` (ignored by `append`). */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** fsync(2): content and metadata of this file are on the disk when it returns. */
  sync(): Promise<void>;
  /** fdatasync(2): content and size only. */
  syncData(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  setMode(mode: number): Promise<void>;
  setOwner(uid: number, gid: number): Promise<void>;
  /** The time of the last change of its content, epoch milliseconds. */
  setModified(epochMs: number): Promise<void>;
  stat(): Promise<FileStat>;
  /** Its capabilities, access list and `user.` attributes (attributes.ts); none where the machine cannot tell. May cost a process. */
  attributes(): Promise<FileAttributes>;
  /** `value` in base64; undefined removes it, if it is there. ENOTSUP where the filesystem or the machine has no such attributes. */
  setAttribute(name: string, value: string | undefined): Promise<void>;
  close(): Promise<void>;
}

/** A filesystem held open, to be synced as a whole. */
export interface Filesystem {
  /**
   * syncfs(2): all that was written to it before is on the disk, whoever wrote it; nothing is said of what is written meanwhile.
   * Rejects where any of it could not be written since the filesystem was opened.
   */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Paths are absolute. No call but realPath follows a symlink, in whatever place of a path: ELOOP where one is on the way to
 * a name (the port of the command line alone does follow those). Names that are no UTF-8 are written as raw-text.ts says.
 */
export interface Files {
  open(path: string, how: OpenHow): Promise<OpenFile>;
  /** Makes small files as open (create), write, setOwner, setMode and close do; quickly, those of one directory in a row. Tells what failed of each. */
  createMany(files: readonly NewFile[]): Promise<readonly (Error | undefined)[]>;
  /** Names in a directory, unsorted, without `.` and `..`. */
  list(path: string): Promise<string[]>;
  /** Of the link itself, if it is one; undefined when nothing is there (ENOENT, ENOTDIR), ELOOP as above. */
  stat(path: string): Promise<FileStat | undefined>;
  /** The same of many in little time, those of one directory in a row; the mode is the inode's, with an access list's mask in it. */
  statMany(paths: readonly string[]): Promise<readonly (FileStat | undefined)[]>;
  /** The path with every symlink resolved; rejects with ENOENT. */
  realPath(path: string): Promise<string>;
  readLink(path: string): Promise<string>;
  /** Names of the extended attributes of each of these that has any; empty where the machine cannot tell. */
  attributeNames(paths: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>>;
  /** `owner`: who runs the updater, unless given. */
  makeDirectory(path: string, mode: number, owner?: FileOwner): Promise<void>;
  removeDirectory(path: string): Promise<void>;
  /** rename(2): replaces `to` atomically. */
  rename(from: string, to: string): Promise<void>;
  /** The same of many in little time, those of one directory in a row. Resolves with what went wrong with each. */
  renameMany(
    renames: readonly (readonly [from: string, to: string])[],
  ): Promise<readonly (Error | undefined)[]>;
  /** link(2): a second name for the same file; EXDEV across filesystems. Never follows a symlink. */
  hardLink(existing: string, newPath: string): Promise<void>;
  symbolicLink(target: string, path: string, owner?: FileOwner): Promise<void>;
  /** unlink(2). */
  remove(path: string): Promise<void>;
  /** fsync(2) of a directory: its names are on the disk when it returns. */
  syncDirectory(path: string): Promise<void>;
  /** Where filesystems and bind mounts stand. */
  mountPoints(): Promise<ReadonlySet<string>>;
  /** The filesystem of a directory; undefined where sync() could not promise what it says. */
  openFilesystem(directory: string): Promise<Filesystem | undefined>;
  /** Space an unprivileged writer could still use on the filesystem that holds `path`. */
  space(
    path: string,
  ): Promise<{ readonly device: bigint; readonly freeBytes: number; readonly blockBytes: number }>;
}

// ---------------------------------------------------------------------------------------------- clock

/** A boot of the machine, and how long ago it began: counted in its sleep, too. */
export interface BootTime {
  readonly id: string;
  readonly ms: number;
}

/** Calls `changed` with the name of what was changed in `directory`, perhaps very often, until the returned function is called. */
export type WatchDirectory = (directory: string, changed: (name: string) => void) => () => void;

export interface Clock {
  /** Wall clock, epoch milliseconds. May jump. */
  now(): number;
  /** Milliseconds of a clock that never jumps. */
  elapsed(): number;
  boot(): BootTime;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Runs `action` once after `ms` unless the returned function was called; never keeps the process alive. */
  after(ms: number, action: () => void): () => void;
}

// ---------------------------------------------------------------------------------------------- processes

export interface Command {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Undefined: the updater's own. */
  readonly uid?: number;
  readonly gid?: number;
  /** Supplementary groups, kept only together with `uid` and `gid`; undefined: none. */
  readonly groups?: readonly number[];
  /** The file it ran: executed under the name argv[0], unless argv[0] leads to the same file or this one is gone. */
  readonly program?: string;
  /** Undefined: those of a program that nobody has changed. */
  readonly traits?: ProcessTraits;
  /** Files or devices that the program's own user opens for appending; where it cannot, or undefined: `log`. */
  readonly stdout?: string;
  readonly stderr?: string;
  /** A file in a directory of the updater's, opened by it; undefined: /dev/null. */
  readonly log?: string;
}

/** What a process has beside its identity and inherits to what it starts. Texts are the kernel's own (proc(5)). */
export interface ProcessTraits {
  readonly umask: number;
  readonly nice: number;
  readonly oomScoreAdj: number;
  /** As Cpus_allowed_list; undefined: those of the updater. */
  readonly cpus?: string | undefined;
  /** Soft and hard limit by prlimit(1)'s name; one that is not there stays as the updater has it. */
  readonly limits: Readonly<Record<string, readonly [soft: string, hard: string]>>;
  /** Hexadecimal masks; undefined: none ambient, the updater's bounding set. */
  readonly ambientCapabilities?: string | undefined;
  readonly boundingCapabilities?: string | undefined;
  readonly noNewPrivileges?: boolean | undefined;
}

export interface StartedProcess {
  readonly pid: number;
  /** What of its traits could not be had again, because the machine has no tool for it. */
  readonly missing: readonly string[];
  /** Resolves when it ends: exit status, or the name of the signal. Pending as long as it runs. */
  readonly ended: Promise<number | string>;
}

/** Read up to limits.procTextBytes, bytes that are no UTF-8 included (raw-text.ts). */
export type ProcessFile =
  | 'stat'
  | 'cmdline'
  | 'environ'
  | 'cgroup'
  | 'status'
  | 'limits'
  | 'oom_score_adj'
  | 'auxv';
export type ProcessLink = 'exe' | 'cwd' | 'ns/pid' | 'ns/mnt' | 'ns/user' | 'ns/net' | 'fd/1' | 'fd/2';

export interface RunOptions {
  /** Undefined: the updater's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Hears both outputs as they come, whatever is kept of them. */
  readonly onOutput?: (chunk: Uint8Array) => void;
  /** Not in the updater's mount namespace and, under systemd, its unit, where the machine has the tools for that. */
  readonly isApart?: boolean;
  /** Aborted: it is killed, with all it started, and run() rejects with the reason. */
  readonly signal?: AbortSignal;
}

export interface Processes {
  readonly ownPid: number;
  /** What the kernel calls this boot: another one after every restart of the machine. */
  bootId(): Promise<string>;
  /** All process ids, from /proc. */
  list(): Promise<number[]>;
  /** Content of /proc/<pid>/<file>; undefined when the process is gone or closed to us. */
  read(pid: number, file: ProcessFile): Promise<string | undefined>;
  /** Where /proc/<pid>/<link> points; undefined as above. */
  readLink(pid: number, link: ProcessLink): Promise<string | undefined>;
  /** False when there is no such process; throws EPERM when it is not ours to signal. */
  signal(pid: number, signal: 'SIGTERM' | 'SIGKILL'): boolean;
  /** Starts a program that outlives the updater: own session, no inherited descriptors. Rejects when exec fails. */
  start(command: Command): Promise<StartedProcess>;
  /** Runs a helper to its end; outputs cut at 64 KiB, `status` 128 + number for a signal. Rejects with ENOENT, EACCES, ETIMEDOUT (killed, with all it started). */
  run(
    argv: readonly string[],
    timeoutMs: number,
    options?: RunOptions,
  ): Promise<{ status: number; stdout: string; stderr: string }>;
}

// ---------------------------------------------------------------------------------------------- net

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly url: string;
  /** Goes to this unix socket instead of the URL's host; http only, never through a proxy. */
  readonly socketPath?: string;
  readonly localPort?: number; // the port that it goes out from: plain http only
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Whole-request bound up to the response's head, in ms. */
  readonly headTimeoutMs: number;
  readonly stallTimeoutMs: number; // longest silence within the body, in ms
  /** True: the body is large, and its chunks are only read until the next is asked for. */
  readonly isBulk?: boolean;
  readonly signal?: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  /** Lower-case names; repeated headers joined by ", ". */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The body as it arrives, read at the reader's pace. Ends early only by throwing. See isBulk. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Gives the connection up without reading the rest. */
  discard(): void;
}

export interface Net {
  /** Sends one request; no redirect is followed, no encoding undone. Rejects with a system error (`code`). */
  request(request: HttpRequest): Promise<HttpResponse>;
  /** Opens and closes a TCP connection; rejects when nobody listens. */
  connect(host: string, port: number, timeoutMs: number): Promise<void>;
}

// ---------------------------------------------------------------------------------------------- log and memory

export interface Log {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** Keeps the resident size down where the runtime lets us; every call may do nothing. */
export interface Memory {
  /** False where a second thread that runs JavaScript, some 8 MB, would go beyond the bound. */
  readonly hasRoomForThread: boolean;
  /** Tells that `bytes` of short-lived buffers were made since the last call. */
  produced(bytes: number): void;
  /** Gives clean pages of the executable and its libraries back: 0.2 ms and the faults of those that are used again, for work that lasts. */
  releasePages(): void;
  /** Collects all garbage: 8 to 13 ms in which nothing else runs. */
  collect(): void;
  /** Gives V8's spare pages back, too: 16 to 33 ms in which nothing else runs, for when nothing is done. */
  shrink(): void;
  /** Between two phases: collects garbage, too. */
  trim(): void;
}
