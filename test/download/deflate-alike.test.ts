/**
 * What an adaptive download of deflated entries rests on: node:zlib makes the same bytes in every version and on every machine that a device or
 * a packer may have. Where a new Node fails here, devices fetch such entries (the probe sees to that), and deflated packages save nothing until
 * both sides have it: that belongs into the release notes.
 */
import { createHash } from 'node:crypto';
import zlib from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deflating } from '../../src/download/coding.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { text } from './adaptive-store.ts';

const test = suite('deflate is the same everywhere');

const random = (name: string, outputLength: number) =>
  createHash('shake256', { outputLength }).update(name).digest();

/** Text, noise, zeros, records as in a program, and what is deflated in one call. */
const contents: readonly Buffer[] = [
  text(1, 200_000),
  random('noise', 150_000),
  Buffer.alloc(300_000),
  Buffer.concat(
    Array.from({ length: 9_000 }, (_, n) =>
      Buffer.concat([random(String(n % 97), 12), Buffer.of(n & 255, n >> 8, 0, 0)]),
    ),
  ),
  text(2, 9_000),
  random('small', 3_000),
  Buffer.from('x'),
];

/** Made by Node 20.11 on armv7, Node 26 on arm64 and x64, and all between that were tried. */
const expected: Readonly<Record<number, string>> = {
  1: '0f751c3be4815e3c2c054e8c105f4296d220d096cc191b77265913ca285dcadd',
  6: '78f6e056d633839d61f2b0ea9aa371aecdc9c0ba4480b17b5e61679a94e9bd89',
  9: '63cf5b0761cbecd57ad7d5259651df7e299f66b18110f063363285d19f407a2f',
};

for (const [level, sum] of Object.entries(expected))
  test(`level ${level}`, async () => {
    const hash = createHash('sha256');
    for (const content of contents) {
      async function* parts() {
        for (let at = 0; at < content.length; at += 50_000) yield content.subarray(at, at + 50_000);
      }
      for await (const made of deflating(zlib, freeMemory, content.length, Number(level))(parts()))
        hash.update(made);
    }
    assert.is(hash.digest('hex'), sum);
  });

test.run();
