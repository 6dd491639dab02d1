/**
 * Many writes that are made durable together: all are written, then each filesystem is synced once. Where a filesystem cannot
 * be synced as a whole (host.ts, openFilesystem), each file is synced by itself, some at a time, and then each directory.
 *
 * Invariant: when sync() has returned, every file that was finished before it is durable, and so is every name in the
 * directories it was given. An error of any of it, also of what was begun earlier, rejects the next call.
 */
import { errno } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Files, Filesystem, OpenFile } from './host.ts';
import { forEachInFlight, inFlight } from './in-flight.ts';
import { makeFile, type NewFile } from './new-files.ts';

export interface WriteGroup {
  /** Makes small files; resolves when they are made. `failed`: what to reject with where the one of that index cannot be. */
  create(files: readonly NewFile[], failed: (index: number, thrown: unknown) => unknown): Promise<void>;
  /** Begins to write a small file that is at hand, beside others; waits only where too many are under way. */
  begin(write: () => Promise<void>): Promise<void>;
  /** All that begin() was given is written; not yet durable. Rejects with the first error. */
  written(): Promise<void>;
  /** Takes over a file that is complete, `sizeBytes` of it just written, and closes it, maybe later, also when it rejects. */
  finish(file: OpenFile, sizeBytes: number): Promise<void>;
  /** The names in these directories are to be durable, too. */
  sync(directories: Iterable<string>): Promise<void>;
  /** Waits for what is under way. Harmless after a failure; promises nothing. */
  close(): Promise<void>;
  /** What is under way does not go on: close() is not to wait for it, and leaves open what it may still use. */
  abandon(): void;
}

/**
 * `directories`: at least one on each filesystem that will be written to; `fileCount`: about how many files. Call it before the
 * first write.
 */
export async function openWriteGroup(
  files: Files,
  directories: Iterable<string>,
  fileCount: number,
): Promise<WriteGroup> {
  const isWorthIt = fileCount >= limits.groupFromFiles;
  const filesystems = isWorthIt ? await openFilesystems(files, directories) : undefined;
  return filesystems === undefined ? oneByOne(files) : atOnce(files, filesystems);
}

/** One for each device; undefined where any of them cannot be had. */
async function openFilesystems(
  files: Files,
  directories: Iterable<string>,
): Promise<readonly Filesystem[] | undefined> {
  const opened = new Map<bigint, Filesystem>();
  try {
    for (const directory of new Set(directories)) {
      const device = (await files.stat(directory))?.device;
      if (device === undefined || opened.has(device)) continue;
      const filesystem = await files.openFilesystem(directory);
      if (filesystem === undefined) {
        await closeAll(opened.values());
        return undefined;
      }
      opened.set(device, filesystem);
    }
    return [...opened.values()];
  } catch (thrown) {
    await closeAll(opened.values());
    throw thrown;
  }
}

async function closeAll(filesystems: Iterable<Filesystem>): Promise<void> {
  for (const filesystem of filesystems) await filesystem.close();
}

function atOnce(files: Files, filesystems: readonly Filesystem[]): WriteGroup {
  const writing = inFlight(limits.filesInFlight);
  const ahead = inFlight(1);
  let unsyncedBytes = 0;
  let isAbandoned = false;
  const syncAll = async () => {
    for (const filesystem of filesystems) await filesystem.sync();
  };
  const wrote = async (bytes: number) => {
    unsyncedBytes += bytes;
    if (unsyncedBytes < limits.groupSyncEveryBytes) return;
    unsyncedBytes = 0;
    // No promise hangs on it: dirty pages must not fill a small memory cgroup, and the disk is busy early.
    await ahead.add(syncAll);
  };
  return {
    async create(wanted, failed) {
      const failures = await files.createMany(wanted);
      for (const [index, failure] of failures.entries())
        if (failure !== undefined) throw failed(index, failure);
      await wrote(wanted.reduce((sum, { content }) => sum + takenBytes(content.length), 0));
    },
    begin: writing.add,
    written: writing.idle,
    async finish(file, sizeBytes) {
      await file.close();
      await wrote(takenBytes(sizeBytes));
    },
    async sync() {
      await writing.idle();
      await ahead.idle();
      await syncAll();
    },
    async close() {
      if (isAbandoned) return;
      await writing.idle().catch(() => undefined);
      await ahead.idle().catch(() => undefined);
      await closeAll(filesystems);
    },
    abandon() {
      isAbandoned = true;
    },
  };
}

/** On the disk. */
function takenBytes(sizeBytes: number): number {
  return Math.max(sizeBytes, limits.smallFileBytes);
}

function oneByOne(files: Files): WriteGroup {
  const writing = inFlight(limits.filesInFlight);
  const syncing = inFlight(limits.filesInFlight);
  let isAbandoned = false;
  const finish = async (file: OpenFile): Promise<void> => {
    let isTaken = false;
    try {
      await syncing.add(async () => {
        isTaken = true;
        try {
          await file.sync();
        } finally {
          await file.close();
        }
      });
    } finally {
      if (!isTaken) await file.close(); // after the failure of another
    }
  };
  return {
    create: (wanted, failed) =>
      forEachInFlight(wanted.entries(), limits.filesInFlight, async ([index, file]) => {
        try {
          await finish(await makeFile(files, file));
        } catch (thrown) {
          throw failed(index, thrown);
        }
      }),
    begin: writing.add,
    written: writing.idle,
    finish,
    async sync(directories) {
      await writing.idle();
      await syncing.idle();
      for (const directory of directories) await syncing.add(() => syncNames(files, directory));
      await syncing.idle();
    },
    async close() {
      if (isAbandoned) return;
      await writing.idle().catch(() => undefined);
      await syncing.idle().catch(() => undefined);
    },
    abandon() {
      isAbandoned = true;
    },
  };
}

async function syncNames(files: Files, directory: string): Promise<void> {
  try {
    await files.syncDirectory(directory);
  } catch (thrown) {
    if (errno(thrown) !== 'ENOENT') throw thrown; // one that is gone has no names left
  }
}
