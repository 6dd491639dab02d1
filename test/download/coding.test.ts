/** Deflating and inflating in chunks: the right bytes, and buffers that do not outlive their use. */
import { createHash } from 'node:crypto';
import * as zlib from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Coding, deflating, inflating } from '../../src/download/coding.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { limits } from '../../src/limits.ts';
import { text } from './adaptive-store.ts';

const canTransfer = 'transfer' in ArrayBuffer.prototype;
Buffer.poolSize = limits.bufferPoolBytes; // as the daemon has it: what is not larger than the pool may be the pool
const noise = createHash('shake256', { outputLength: 400_000 }).update('noise').digest();
const contents = { noise, text: text(3, 400_000), zeros: Buffer.alloc(3_000_000) };

async function* chunksOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 50_000) yield bytes.subarray(at, at + 50_000);
}

/** Copies of what came, and the chunks themselves, which are not valid any more. */
async function coded(coding: Coding, bytes: Buffer) {
  const [copies, chunks]: [Buffer[], Uint8Array[]] = [[], []];
  for await (const chunk of coding(chunksOf(bytes))) {
    copies.push(Buffer.from(chunk));
    chunks.push(chunk);
  }
  return { bytes: Buffer.concat(copies), chunks };
}

for (const [name, content] of Object.entries(contents))
  test(`${name}, deflated and inflated: the same bytes, and full buffers are freed`, async () => {
    const packed = await coded(deflating(zlib, freeMemory, content.length, 6), content);
    assert.ok(packed.bytes.equals(zlib.deflateRawSync(content)));
    const unpacked = await coded(inflating(zlib, freeMemory), packed.bytes);
    assert.ok(unpacked.bytes.equals(content));
    if (!canTransfer) return;
    // All but the last, which zlib might have gone on to fill.
    const held = unpacked.chunks.reduce((sum, { length }) => sum + length, 0);
    assert.ok(held < 65_536, `${held} bytes of ${content.length} are still held`);
  });

test.run();
