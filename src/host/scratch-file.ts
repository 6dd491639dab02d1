/**
 * A file that has no name: what is too much for memory, and of no use to the next start. Its bytes lie in the page cache, which is no part
 * of the process and goes where others need the room; its blocks go with the process, or with who uses it.
 */
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';

export interface ScratchFile {
  /** Where the bytes begin in it; undefined where there is no room for them. */
  append(bytes: Uint8Array): number | undefined;
  /** Throws where the disk does not give them any more. */
  read(position: number, length: number): Buffer;
}

const place: { directory: string | undefined } = { directory: undefined };

/** Where such files may be; until this is called there are none. */
export function keepScratchIn(directory: string): void {
  place.directory = directory;
}

/** Undefined where none can be made: memory has to do. */
export function scratchFile(): ScratchFile | undefined {
  if (place.directory === undefined) return undefined;
  const path = `${place.directory}/.scratch-${process.pid}`;
  let descriptor: number;
  try {
    descriptor = openSync(path, 'wx+', 0o600);
  } catch {
    return undefined;
  }
  unlinkSync(path);
  const file = fileOf(descriptor);
  closing.register(file, descriptor);
  return file;
}

const closing = new FinalizationRegistry<number>(closeSync);

function fileOf(descriptor: number): ScratchFile {
  let endBytes = 0;
  return {
    append(bytes) {
      try {
        for (let done = 0; done < bytes.length; )
          done += writeSync(descriptor, bytes, done, bytes.length - done, endBytes + done);
      } catch {
        return undefined;
      }
      endBytes += bytes.length;
      return endBytes - bytes.length;
    },
    read(position, length) {
      const bytes = Buffer.allocUnsafeSlow(length);
      for (let done = 0; done < length; ) {
        const got = readSync(descriptor, bytes, done, length - done, position + done);
        if (got === 0) throw new Error('a file of the work directory is shorter than it was written');
        done += got;
      }
      return bytes;
    },
  };
}
