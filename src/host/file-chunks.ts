/** The bytes of an open file, a part at a time, through one buffer: a chunk is good until the next one is asked for. */
import { limits } from '../limits.ts';
import type { OpenFile } from './host.ts';

/** From `from` on, up to `to` or the end of the file. */
export async function* fileChunks(
  file: Pick<OpenFile, 'read'>,
  { from = 0, to = Number.MAX_SAFE_INTEGER, chunkBytes = limits.chunkBytes } = {},
): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(chunkBytes, to - from));
  for (let position = from; position < to; ) {
    const got = await file.read(buffer, 0, Math.min(buffer.length, to - position), position);
    if (got === 0) return;
    yield buffer.subarray(0, got);
    position += got;
  }
}
