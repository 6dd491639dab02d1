/**
 * A sequential writer over two buffers: one fills while the other is on its way to the disk. Bytes reach the file in order; one
 * write is in flight at most, and beside it one fdatasync of bytes before, so that dirty pages never pile up beyond two times
 * limits.dataSyncEveryBytes.
 */
import { limits } from '../limits.ts';
import type { OpenFile } from './host.ts';

export interface WriteBehind {
  /** Takes a copy of `bytes`. A promise, to be awaited, only where a write has to be waited for. Throws or rejects with an earlier error. */
  write(bytes: Uint8Array): Promise<void> | undefined;
  /** Everything taken so far is written, and nothing is in flight. Not synced. */
  flush(): Promise<void>;
  /** Bytes that wait are dropped and the next one goes to `position`; waits for what is in flight. */
  restartAt(position: number): Promise<void>;
  /** Waits for what is in flight, whatever becomes of it: the file may be closed then. */
  idle(): Promise<void>;
  /** Where the next byte goes. */
  position(): number;
  /** Up to here the bytes have been handed to the filesystem. */
  writtenBytes(): number;
}

/** Writes to `file` from its beginning. No buffer is larger than `expectedBytes`, where that is known. */
export function writeBehind(
  file: Pick<OpenFile, 'write' | 'syncData'>,
  expectedBytes: number = limits.writeBufferBytes,
): WriteBehind {
  const bufferBytes = Math.max(1, Math.min(limits.writeBufferBytes, expectedBytes));
  let filling: Uint8Array = new Uint8Array(bufferBytes);
  /** Made when first needed: most files are smaller than one buffer. */
  let spare: Uint8Array | undefined;
  let filled = 0;
  /** Where the first byte of `filling` goes. */
  let start = 0;
  let writtenBytes = 0;
  let unsyncedBytes = 0;
  // Neither promise rejects: what went wrong is in `failure`.
  let writing: Promise<void> | undefined;
  let syncing: Promise<void> | undefined;
  let failure: { readonly reason: unknown } | undefined;

  return {
    write(bytes) {
      if (bytes.length >= filling.length - filled) return writeAcross(bytes);
      filling.set(bytes, filled);
      filled += bytes.length;
      return undefined;
    },
    async flush() {
      if (filled > 0) await push();
      await idle();
      raise();
    },
    async restartAt(position) {
      await idle();
      raise();
      filled = 0;
      start = position;
      writtenBytes = position;
      unsyncedBytes = 0;
    },
    idle,
    position: () => start + filled,
    writtenBytes: () => writtenBytes,
  };

  async function writeAcross(bytes: Uint8Array): Promise<void> {
    for (let taken = 0; taken < bytes.length; ) {
      const part = bytes.subarray(taken, taken + filling.length - filled);
      filling.set(part, filled);
      filled += part.length;
      taken += part.length;
      if (filled === filling.length) await push();
    }
  }

  /** Sends the filling buffer on its way once the write before it has ended. */
  async function push(): Promise<void> {
    await writing;
    raise();
    const full = filling.subarray(0, filled);
    [filling, spare] = [spare ?? new Uint8Array(bufferBytes), filling];
    writing = writeOut(full, start);
    start += filled;
    filled = 0;
  }

  async function writeOut(bytes: Uint8Array, at: number): Promise<void> {
    try {
      await file.write(bytes, at);
      writtenBytes = at + bytes.length;
      unsyncedBytes += bytes.length;
      if (unsyncedBytes < limits.dataSyncEveryBytes) return;
      // The next bytes are written while these go to the disk; only the sync after this one has to wait.
      await syncing;
      unsyncedBytes = 0;
      syncing = file.syncData().catch(fail);
    } catch (reason) {
      fail(reason);
    }
  }

  function fail(reason: unknown): void {
    failure ??= { reason };
  }

  function raise(): void {
    if (failure !== undefined) throw failure.reason;
  }

  async function idle(): Promise<void> {
    await writing;
    await syncing;
  }
}
