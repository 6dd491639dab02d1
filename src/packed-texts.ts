/** Texts, each deflated by itself: in memory while these are few, in a file beyond that. What is as long as a package has files is held so. */
import type * as Zlib from 'node:zlib';
import { giveBack } from './give-back.ts';
import { type ScratchFile, scratchFile } from './host/scratch-file.ts';
import { limits } from './limits.ts';

export interface PackedTexts {
  readonly count: number;
  /** Takes the text: it is not the caller's any more. */
  add(text: Buffer): void;
  /** The caller's; undefined beyond the end. Throws where the file does not give it any more. */
  at(index: number): Buffer | undefined;
}

export type Deflate = Pick<typeof Zlib, 'deflateRawSync' | 'inflateRawSync'>;

/** Of the whole process, as its memory is: how many texts were packed or unpacked so far. While that changes, long lists are in use. */
export const textsUsed = { count: 0 };

/**
 * Quick, and for texts as like as these nearly as small as the best. What zlib leaves behind goes with a full collection only: a buffer of
 * `chunkSize` and more for each text.
 */
const deflating = { level: 1, windowBits: 13, memLevel: 5, chunkSize: 2048 };

export function packedTexts({ deflateRawSync, inflateRawSync }: Deflate): PackedTexts {
  const store = byteStore();
  const sizes: number[] = [];
  return {
    get count() {
      return sizes.length;
    },
    add(text) {
      textsUsed.count += 1;
      store.add(deflateRawSync(text, deflating));
      sizes.push(text.length);
      giveBack(text);
    },
    at(index) {
      const bytes = sizes[index];
      if (bytes === undefined) return undefined;
      textsUsed.count += 1;
      // One byte more than there are: zlib would ask for another piece of memory at the last one.
      const chunkSize = Math.max(64, bytes + 1);
      return inflateRawSync(store.at(index), { chunkSize, windowBits: deflating.windowBits });
    },
  };
}

interface ByteStore {
  add(bytes: Uint8Array): void;
  at(index: number): Uint8Array;
}

/** Memory up to a bound, a file beyond it; and memory again where the disk is full. */
function byteStore(): ByteStore {
  const kept = new Map<number, Uint8Array>();
  let keptBytes = 0;
  let file: ScratchFile | undefined;
  let isFull = false;
  const positions: number[] = [];
  const lengths: number[] = [];

  /** False where it stays in memory. */
  const isMoved = (index: number, bytes: Uint8Array): boolean => {
    const position = isFull ? undefined : file?.append(bytes);
    isFull ||= position === undefined;
    if (position !== undefined) positions[index] = position;
    return position !== undefined;
  };
  const moveAll = (): void => {
    file = scratchFile();
    for (const [index, bytes] of kept) if (isMoved(index, bytes)) kept.delete(index);
  };

  return {
    add(bytes) {
      const index = lengths.push(bytes.length) - 1;
      positions.push(0);
      if (file !== undefined && isMoved(index, bytes)) return;
      // A copy of its own: a slice of Node's pool would keep the whole pool.
      kept.set(index, new Uint8Array(bytes));
      keptBytes += bytes.length;
      if (!isFull && keptBytes > limits.packedMemoryBytes) moveAll();
    },
    at: (index) => kept.get(index) ?? (file as ScratchFile).read(positions[index] ?? 0, lengths[index] ?? 0),
  };
}
