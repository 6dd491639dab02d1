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

/** What lies in a file. */
interface Stored {
  readonly file: ScratchFile;
  readonly position: number;
  readonly bytes: number;
}

/** Memory up to a bound, a file beyond it; and memory again where there is no file, or no room in it. */
function byteStore(): ByteStore {
  const held: (Uint8Array | Stored)[] = [];
  let addedBytes = 0;
  let file: ScratchFile | undefined;
  let isLong = false;

  const stored = (bytes: Uint8Array): Stored | undefined => {
    const position = file?.append(bytes);
    return file === undefined || position === undefined ? undefined : { file, position, bytes: bytes.length };
  };

  return {
    add(bytes) {
      // A copy of its own: a slice of Node's pool would keep the whole pool.
      held.push(stored(bytes) ?? new Uint8Array(bytes));
      addedBytes += bytes.length;
      if (isLong || addedBytes <= limits.packedMemoryBytes) return;
      isLong = true;
      file = scratchFile();
      for (const [index, one] of held.entries())
        if (one instanceof Uint8Array) held[index] = stored(one) ?? one;
    },
    at(index) {
      const one = held[index];
      if (one === undefined) throw new Error(`no text ${index}`);
      return one instanceof Uint8Array ? one : one.file.read(one.position, one.bytes);
    },
  };
}
