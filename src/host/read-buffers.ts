/** What was read from a socket and is not taken yet, in two buffers used again and again: a chunk is good until the next is taken. */
import { limits } from '../limits.ts';

export interface ReadBuffers {
  /** Where the next read goes; asked for after each one, and so before the reader may take what came before it. */
  room(): Uint8Array;
  /** Takes what was read, wherever it stands. */
  keep(bytes: Uint8Array): void;
  /** All that is kept; undefined: nothing is. */
  take(): Uint8Array | undefined;
  /** Somebody else has the bytes that were read: their buffer is not read into any more. */
  giveAway(): void;
  filledBytes(): number;
  leftBytes(): number;
}

export function readBuffers(): ReadBuffers {
  let filling = new Uint8Array(limits.socketBufferBytes);
  let filled = 0;
  let other = new Uint8Array(limits.socketBufferBytes);
  /** For reads while there is little room in `filling`. */
  let side = new Uint8Array(0);

  return {
    room() {
      const rest = filling.subarray(filled);
      if (rest.length >= limits.chunkBytes) return rest;
      if (side.length === 0) side = new Uint8Array(limits.chunkBytes);
      return side;
    },
    keep(bytes) {
      // Most stand where they belong already: those that were read before the reader took what was before them do not.
      const isThere = bytes.buffer === filling.buffer && bytes.byteOffset === filling.byteOffset + filled;
      if (!isThere) {
        if (filling.length - filled < bytes.length) {
          const larger = new Uint8Array(filled + bytes.length + limits.socketBufferBytes);
          larger.set(filling.subarray(0, filled));
          filling = larger;
        }
        filling.set(bytes, filled);
      }
      filled += bytes.length;
    },
    take() {
      if (filled === 0) return undefined;
      const chunk = filling.subarray(0, filled);
      [filling, other] = [other, filling];
      filled = 0;
      return chunk;
    },
    giveAway() {
      filling = new Uint8Array(limits.socketBufferBytes);
    },
    filledBytes: () => filled,
    leftBytes: () => filling.length - filled,
  };
}
