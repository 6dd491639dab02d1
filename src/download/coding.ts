/** Deflating and inflating what comes in chunks, as it comes. */
import type * as Zlib from 'node:zlib';
import { errno } from '../errors.ts';
import { giveBackFilled } from '../give-back.ts';
import type { Memory } from '../host/host.ts';
import { limits } from '../limits.ts';
import { SourceError } from './source-error.ts';

/** What it gives is valid until the next is asked for. */
export type Coding = (chunks: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array>;

/** `sizeBytes`: how many will come. memLevel and the rest are zlib's defaults, as yazl's. */
export function deflating(zlib: typeof Zlib, memory: Memory, sizeBytes: number, level: number): Coding {
  if (sizeBytes > limits.deflateAtOnceBytes)
    return (chunks) =>
      through(zlib.createDeflateRaw({ level, chunkSize: limits.chunkBytes }), memory, chunks);
  return async function* (chunks) {
    const parts: Buffer[] = [];
    for await (const chunk of chunks) parts.push(Buffer.from(chunk));
    // Nearly always enough at once; its bytes do not depend on it.
    const chunkSize = sizeBytes + 64;
    const packed = zlib.deflateRawSync(Buffer.concat(parts), { level, chunkSize });
    memory.produced(chunkSize + 2 * sizeBytes);
    yield packed;
  };
}

/** What is no deflated data ends it with a SourceError. */
export function inflating(zlib: typeof Zlib, memory: Memory): Coding {
  return async function* (chunks) {
    try {
      yield* through(zlib.createInflateRaw({ chunkSize: limits.chunkBytes }), memory, chunks);
    } catch (thrown) {
      if (!/^Z_/.test(errno(thrown) ?? '')) throw thrown;
      throw new SourceError(`cannot be inflated: ${(thrown as Error).message}`);
    }
  };
}

async function* through(
  stream: Zlib.DeflateRaw | Zlib.InflateRaw,
  memory: Memory,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const pump = async () => {
    for await (const chunk of chunks)
      await new Promise<void>((resolve, reject) =>
        stream.write(chunk, (error) => (error ? reject(error) : resolve())),
      );
    stream.end();
  };
  pump().catch((thrown: Error) => stream.destroy(thrown));
  for await (const made of stream as AsyncIterable<Buffer>) {
    memory.produced(made.length);
    yield made;
    giveBackFilled(made);
  }
}
