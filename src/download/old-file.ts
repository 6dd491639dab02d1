/** A deployed file that patches are applied to: read in any order, behind a cache of its blocks. */
import { errno } from '../errors.ts';
import type { OpenFile } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { OldFile } from './bspatch.ts';
import { SourceError } from './source-error.ts';

/** `sizeBytes`: as it was deployed. What cannot be read is a SourceError. */
export function oldFile(file: OpenFile, sizeBytes: number): OldFile {
  const blockBytes = limits.oldFileBlockBytes;
  /** By their number, the one used longest ago first. */
  const blocks = new Map<number, Buffer>();
  let last: { readonly number: number; readonly bytes: Buffer } = { number: -1, bytes: Buffer.alloc(0) };
  return {
    sizeBytes,
    read(into, position) {
      const number = Math.floor(position / blockBytes);
      const from = position - number * blockBytes;
      if (number !== last.number || from + into.length > blockBytes) return readSlowly(into, position);
      last.bytes.copy(into, 0, from, from + into.length);
      return undefined;
    },
  };

  async function readSlowly(into: Uint8Array, position: number): Promise<void> {
    // A long piece is not soon asked for again: one call for all of it, past the cache.
    if (into.length >= blockBytes) return fill(into, position);
    for (let done = 0; done < into.length; ) {
      const number = Math.floor((position + done) / blockBytes);
      const from = position + done - number * blockBytes;
      last = { number, bytes: await block(number) };
      done += last.bytes.copy(into, done, from, Math.min(blockBytes, from + into.length - done));
    }
  }

  async function block(number: number): Promise<Buffer> {
    let bytes = blocks.get(number);
    blocks.delete(number);
    if (bytes === undefined) {
      bytes = spare() ?? Buffer.allocUnsafeSlow(blockBytes);
      await fill(
        bytes.subarray(0, Math.min(blockBytes, sizeBytes - number * blockBytes)),
        number * blockBytes,
      );
    }
    blocks.set(number, bytes);
    return bytes;
  }

  /** The buffer of the block used longest ago, where there are enough. */
  function spare(): Buffer | undefined {
    if (blocks.size < limits.oldFileBlocks) return undefined;
    for (const [number, bytes] of blocks) {
      blocks.delete(number);
      return bytes;
    }
    return undefined;
  }

  async function fill(into: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < into.length; ) {
      let got: number;
      try {
        got = await file.read(into, done, into.length - done, position + done);
      } catch (thrown) {
        if (errno(thrown) === undefined) throw thrown;
        throw new SourceError(`cannot be read: ${(thrown as Error).message}`);
      }
      if (got === 0) throw new SourceError('is shorter than it was');
      done += got;
    }
  }
}
