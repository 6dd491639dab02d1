/**
 * A sequential writer over two buffers: one fills while the other is on its way to the disk, so that whoever makes
 * the bytes (network, decompressor, digest) does not wait for the disk, and no buffer is made per write.
 *
 * Invariant: bytes reach the file in order and none is lost; at most one write is in flight.
 */
import { limits } from '../limits.ts';
import type { OpenFile } from './host.ts';

export interface WriteBehind {
  /** Takes a copy of `bytes`; waits only where both buffers are full. Rejects with the error of an earlier write. */
  write(bytes: Uint8Array): Promise<void>;
  /** Everything taken so far is written (not synced). */
  flush(): Promise<void>;
  /** Where the next byte goes. */
  position(): number;
}

export function writeBehind(file: OpenFile, startPosition = 0): WriteBehind {
  let filling = Buffer.allocUnsafeSlow(limits.writeBufferBytes);
  let spare = Buffer.allocUnsafeSlow(limits.writeBufferBytes);
  let filled = 0;
  let position = startPosition;
  let unsynced = 0;
  let inFlight: Promise<void> = Promise.resolve();

  const push = async () => {
    await inFlight;
    const full = filling.subarray(0, filled);
    const at = position - filled;
    [filling, spare] = [spare, filling];
    filled = 0;
    inFlight = writeOut(full, at);
    inFlight.catch(() => undefined); // reported by the next push or flush, which awaits it
  };

  const writeOut = async (bytes: Uint8Array, at: number) => {
    await file.write(bytes, at);
    unsynced += bytes.length;
    if (unsynced >= limits.dataSyncEveryBytes) {
      unsynced = 0;
      await file.syncData();
    }
  };

  return {
    write: async (bytes) => {
      for (let taken = 0; taken < bytes.length; ) {
        const part = bytes.subarray(taken, taken + filling.length - filled);
        filling.set(part, filled);
        filled += part.length;
        position += part.length;
        taken += part.length;
        if (filled === filling.length) await push();
      }
    },
    flush: async () => {
      if (filled > 0) await push();
      await inFlight;
    },
    position: () => position,
  };
}
