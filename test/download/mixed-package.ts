/**
 * An update whose download has pieces of each kind: fetched, copied, deflated again, patched, in any order; packed by `pack`. Deflated, so what
 * cannot be compressed is as good as stored.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { limits } from '../../src/limits.ts';
import { readTail } from '../fixtures/read-tail.ts';
import { withSource } from '../pack/source-folder.ts';
import { text } from './adaptive-store.ts';

const random = (name: string, bytes: number) =>
  createHash('shake256', { outputLength: bytes }).update(name).digest();
const program = Buffer.concat([random('program', 60_000), text(3, 60_000)]);
export const filesBefore = {
  'web/a-picture': random('a', 150_000),
  'web/b-page': text(5, 40_000),
  'web/c-program': program,
  'web/d-page': text(6, 40_000),
  'web/e-picture': random('e', 90_000),
  'web/f-picture': random('f', 120_000),
  'web/g-page': text(7, 60_000),
};
const filesAfter = {
  ...filesBefore,
  'web/b-page': text(8, 40_000),
  'web/c-program': edited(program),
  'web/e-picture': random('new e', 90_000),
};

export type Range = readonly [from: number, to: number];

/** Both packages put the tree `web` to `target`. */
export async function packagesWithPatches(
  target: string,
): Promise<{ readonly before: Buffer; readonly now: Buffer }> {
  const manifest = (version: string) =>
    JSON.stringify({ version, modules: [{ name: 'web', src: 'web', dst: target }] });
  const rules = { allowedRoots: [dirname(target)], workDirectory: '/var/lib/tope' };
  let made = { before: Buffer.alloc(0), now: Buffer.alloc(0) };
  await withSource(manifest('1.0.0'), async (source) => {
    const [oldPath, outputPath] = ['old.zip', 'new.zip'].map((name) => join(source.folder, name)) as [
      string,
      string,
    ];
    const write = (files: Readonly<Record<string, Buffer>>) => {
      for (const [name, content] of Object.entries(files)) source.write(name, content);
    };
    write(filesBefore);
    await source.pack({ outputPath: oldPath, rules });
    source.write('manifest.json', manifest('2.0.0'));
    write(filesAfter);
    await source.pack({ outputPath, rules, deltaFrom: [oldPath] });
    made = { before: readFileSync(oldPath), now: readFileSync(outputPath) };
  });
  return made;
}

/** Where a piece may end: each entry, and each question to the store. */
export function bordersOf(bytes: Buffer, ranges: readonly Range[]): number[] {
  const tail = readTail(bytes, bytes.length, limits.archiveEntries);
  if (tail.kind !== 'entries') throw new Error('no directory');
  const all = [...tail.entries.flatMap(({ start, end }) => [start, end]), ...ranges.flat()];
  return [...new Set(all)].sort((a, b) => a - b);
}

function edited(bytes: Buffer): Buffer {
  const changed = Buffer.concat([bytes.subarray(0, 30_000), Buffer.from('and more'), bytes.subarray(30_000)]);
  for (let at = 1_000; at < changed.length; at += 9_999) changed[at] = (changed[at] ?? 0) + 3;
  return changed;
}
