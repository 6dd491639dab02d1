/**
 * File content in 4 KiB blocks, shared between states: a change copies the list and one block, never the file.
 *
 * Invariants: values are immutable; a block that is not there reads as zeros; nothing lies behind the size.
 */
import { createHash } from 'node:crypto';

export const blockBytes = 4096;

export interface FileContent {
  readonly sizeBytes: number;
  /** Whole blocks, except that the last may be short. */
  readonly blocks: readonly (Buffer | undefined)[];
}

export const emptyContent: FileContent = { sizeBytes: 0, blocks: [] };

/** Grows by a hole, or cuts. */
export function resize(content: FileContent, sizeBytes: number): FileContent {
  if (sizeBytes >= content.sizeBytes) return { sizeBytes, blocks: content.blocks };
  const blocks = content.blocks.slice(0, Math.ceil(sizeBytes / blockBytes));
  const inLast = sizeBytes % blockBytes;
  const last = blocks.at(-1);
  if (inLast !== 0 && last !== undefined && blocks.length === Math.ceil(sizeBytes / blockBytes))
    blocks[blocks.length - 1] = last.subarray(0, inLast);
  return { sizeBytes, blocks };
}

/** Replaces bytes within one block; what would lie behind the size is not written. */
export function writeInBlock(content: FileContent, offset: number, bytes: Buffer): FileContent {
  if (offset >= content.sizeBytes) return content;
  const index = Math.floor(offset / blockBytes);
  const start = offset % blockBytes;
  if (start + bytes.length > blockBytes) throw new Error('a write across two blocks');
  const visible = bytes.subarray(0, content.sizeBytes - offset);
  const old = content.blocks[index];
  const block = start === 0 && visible.length >= (old?.length ?? 0) ? visible : patched(old, start, visible);
  const blocks = [...content.blocks];
  // Zeros and a hole are the same to a reader, and so the same state.
  blocks[index] = block.equals(zeroBlock.subarray(0, block.length)) ? undefined : block;
  return { ...content, blocks };
}

/** Copies what is there of `length` bytes at `position` to `target`; returns how many. */
export function readContent(
  content: FileContent,
  target: Uint8Array,
  targetOffset: number,
  position: number,
  length: number,
): number {
  const available = Math.max(0, Math.min(length, content.sizeBytes - position, target.length - targetOffset));
  target.fill(0, targetOffset, targetOffset + available);
  for (let done = 0; done < available; ) {
    const at = position + done;
    const inBlock = at % blockBytes;
    const part = Math.min(available - done, blockBytes - inBlock);
    content.blocks[Math.floor(at / blockBytes)]?.copy(target, targetOffset + done, inBlock, inBlock + part);
    done += part;
  }
  return available;
}

export function wholeContent(content: FileContent): Buffer {
  const whole = Buffer.alloc(content.sizeBytes);
  readContent(content, whole, 0, 0, whole.length);
  return whole;
}

/** The same for the same bytes. Blocks are shared by thousands of states, so each is hashed once. */
export function contentDigest(content: FileContent): string {
  const count = Math.ceil(content.sizeBytes / blockBytes);
  const blocks = Array.from({ length: count }, (_, index) => blockDigest(content.blocks[index]));
  return `${content.sizeBytes} ${blocks.join(' ')}`;
}

const digests = new WeakMap<Buffer, string>();
const zeroBlock = Buffer.alloc(blockBytes);

function blockDigest(block: Buffer | undefined): string {
  if (block === undefined) return '0';
  const known = digests.get(block);
  if (known !== undefined) return known;
  const padded = block.length === blockBytes ? block : Buffer.concat([block], blockBytes);
  const digest = digestOf(padded);
  digests.set(block, digest);
  return digest;
}

function digestOf(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('base64').slice(0, 16);
}

function patched(old: Buffer | undefined, start: number, bytes: Buffer): Buffer {
  const block = Buffer.alloc(Math.max(old?.length ?? 0, start + bytes.length));
  old?.copy(block);
  bytes.copy(block, start);
  return block;
}
