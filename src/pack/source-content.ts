/** The content of the files that are packed: each must still be as long as it was found. */
import { UpdateError } from '../errors.ts';
import type { Files } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { SourceFile } from './sources.ts';

type Found = Pick<SourceFile, 'path' | 'sizeBytes'>;

/** Of a small file, in one read. Rejects with the system's error, or INVALID_PACKAGE for one that has changed. */
export async function wholeContent(files: Files, { path, sizeBytes }: Found): Promise<Uint8Array> {
  const file = await files.open(path, 'read');
  try {
    // One byte more than it had tells whether it has grown; a regular file gives less than was asked for at its end only.
    const content = Buffer.allocUnsafe(sizeBytes + 1);
    const length = await file.read(content, 0, content.length, 0);
    if (length !== sizeBytes) throw changes(path);
    return content.subarray(0, length);
  } finally {
    await file.close();
  }
}

/** Of a file of any size, a part at a time. `hear`: each before it is given on. Rejects as wholeContent. */
export async function* contentParts(
  files: Files,
  { path, sizeBytes }: Found,
  hear: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  const file = await files.open(path, 'read');
  try {
    for (let position = 0; ; ) {
      const chunk = new Uint8Array(Math.min(limits.chunkBytes, sizeBytes - position + 1));
      const length = await file.read(chunk, 0, chunk.length, position);
      position += length;
      if (position > sizeBytes || (length === 0 && position < sizeBytes)) throw changes(path);
      if (length === 0) return;
      const read = chunk.subarray(0, length);
      hear(read);
      yield read;
    }
  } finally {
    await file.close();
  }
}

function changes(path: string): UpdateError {
  return new UpdateError('INVALID_PACKAGE', `${path} changes while it is packed`);
}
