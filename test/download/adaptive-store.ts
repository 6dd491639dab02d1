/** A device with version 1 deployed and version 2 in a store: what an adaptive download is tried on. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import zlib from 'node:zlib';
import type { Candidates, DeployedCandidate } from '../../src/download/candidates.ts';
import { fastestCrc32 } from '../../src/zip/crc32.ts';
import { buildPackage, type FileSpec } from '../fixtures/package-builder.ts';

export type Files = Readonly<Record<string, FileSpec>>;

/** Puts files below `root`, and tells what an update's record would. */
export function deploy(root: string, files: Files): Candidates {
  const deployed = Object.entries(files).map(([name, { content }]): DeployedCandidate => {
    const bytes = Buffer.from(content as Uint8Array);
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    return {
      path,
      sizeBytes: bytes.length,
      crc32: fastestCrc32(zlib)(bytes, 0),
      sha256: createHash('sha256').update(bytes).digest('hex'),
    };
  });
  return {
    keptPackage: undefined,
    async *deployed() {
      yield* deployed;
    },
  };
}

export async function packageOf(path: string, files: Files, version = '2.0.0'): Promise<Buffer> {
  const modules = [{ name: 'web', src: 'web', dst: '/opt/tope/web' }];
  await buildPackage({ version, modules, files, withDigests: true }, path);
  return readFileSync(path);
}

/** Text that deflates to about a third, different for each seed. */
export function text(seed: number, bytes: number): Buffer {
  const words = [
    'alpha',
    'beta',
    'gamma',
    'delta',
    'nozzle',
    'printer',
    'update',
    'function',
    'return',
    'const',
  ];
  let state = seed * 7919 + 1;
  let made = '';
  while (made.length < bytes) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    made += `${words[(state >>> 16) % words.length]}${(state >>> 8) & 0xff} `;
  }
  return Buffer.from(made.slice(0, bytes));
}
