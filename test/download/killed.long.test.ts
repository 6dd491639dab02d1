/**
 * An adaptive download that is killed at every border of its pieces: fetched, copied, deflated again, patched. The next start goes on
 * from there, and fetches no piece a second time but the one that was in flight.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ResumeInfo } from '../../src/download/resume.ts';
import { limits } from '../../src/limits.ts';
import { readTail } from '../../src/zip/tail.ts';
import { type FaultServer, startFaultServer } from '../network/fault-server.ts';
import { obtain, requestFor, temporaryDirectory, testHost } from '../network/rig.ts';
import { withSource } from '../pack/source-folder.ts';
import { deploy, text } from './adaptive-store.ts';

const test = suite('killed adaptive downloads');

const random = (name: string, bytes: number) =>
  createHash('shake256', { outputLength: bytes }).update(name).digest();
const program = Buffer.concat([random('program', 60_000), text(3, 60_000)]);
const old = {
  'web/a-picture': random('a', 150_000),
  'web/b-page': text(5, 40_000),
  'web/c-program': program,
  'web/d-page': text(6, 40_000),
  'web/e-picture': random('e', 90_000),
  'web/f-picture': random('f', 120_000),
  'web/g-page': text(7, 60_000),
};
const now = {
  ...old,
  'web/b-page': text(8, 40_000),
  'web/c-program': edited(program),
  'web/e-picture': random('new e', 90_000),
};

test('killed at any border it goes on, and no piece is fetched twice but the one in flight', async () => {
  const work = temporaryDirectory();
  const bytes = await packageWithPatches();
  const server = await startFaultServer({ versions: [bytes] });
  try {
    const here = deploy(
      join(work.path, 'device'),
      Object.fromEntries(Object.entries(old).map(([name, content]) => [name, { content }])),
    );
    const deployed = [];
    for await (const each of here.deployed()) deployed.push(each);
    writeFileSync(join(work.path, 'deployed.json'), JSON.stringify(deployed));
    const request = requestFor(server.url, bytes);
    const goOn = async (resume: ResumeInfo | undefined) => {
      const asked = server.seen.length;
      const outcome = await obtain(testHost(), work.path, request, {
        resume,
        candidates: here,
        bytesPerSecond: 1_000,
      });
      assert.is(outcome.error, undefined, outcome.error?.message);
      assert.ok(bytes.equals(Buffer.from(outcome.file ?? [])), 'the right bytes');
      assert.equal(outcome.events, ['verifying'], 'no second download');
      return rangesOf(server, asked);
    };
    const whole = await goOn(undefined);
    const borders = bordersOf(bytes, whole);
    const fetched = sumOf(whole);
    console.log(
      `measured: ${borders.length} borders, ${whole.length} requests for ${fetched} of ${bytes.length} bytes`,
    );
    assert.ok(borders.length > 10 && fetched < bytes.length / 2);
    for (const border of borders) {
      for (const name of ['package.zip', 'package.zip.part', 'package.zip.tail', 'resume.json'])
        rmSync(join(work.path, name), { force: true });
      const asked = server.seen.length;
      const end = await killedAt(border, [server.url, work.path, String(bytes.length), request.package_md5]);
      assert.is(end, 'SIGKILL', `at ${border}`);
      const before = rangesOf(server, asked);
      const saved = join(work.path, 'resume.json');
      const after = await goOn(existsSync(saved) ? JSON.parse(readFileSync(saved, 'utf8')) : undefined);
      const told = `killed at ${border} after ${JSON.stringify(before)}, then ${JSON.stringify(after)}`;
      assert.is(overlapOf(after, before.slice(0, -1)), 0, told);
      const inFlight = before.slice(-1);
      assert.ok(sumOf(after) <= fetched - sumOf(before) + sumOf(inFlight), told);
    }
  } finally {
    await server.close();
    work.remove();
  }
});

type Range = readonly [from: number, to: number];

function rangesOf(server: FaultServer, asked: number): Range[] {
  return server.seen.slice(asked).map(({ headers }) => {
    const [, from, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
    assert.ok(last !== undefined, `${headers.range ?? 'the whole'} was asked for`);
    return [Number(from), Number(last) + 1];
  });
}

/** Where a piece may end: each entry, and each question to the store. */
function bordersOf(bytes: Buffer, ranges: readonly Range[]): number[] {
  const tail = readTail(bytes, bytes.length, limits.archiveEntries);
  if (tail.kind !== 'entries') throw new Error('no directory');
  const all = [...tail.entries.flatMap(({ start, end }) => [start, end]), ...ranges.flat()];
  return [...new Set(all)].sort((a, b) => a - b);
}

function killedAt(border: number, args: readonly string[]): Promise<string | number> {
  const program = join(import.meta.dirname, '../fixtures/killed-download.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', program, ...args, String(border)], {
    stdio: 'inherit',
  });
  return new Promise((resolve) => child.once('exit', (status, signal) => resolve(signal ?? status ?? -1)));
}

function sumOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, [from, to]) => sum + to - from, 0);
}

/** Bytes of `ranges` that are in `others` as well. */
function overlapOf(ranges: readonly Range[], others: readonly Range[]): number {
  return sumOf(
    ranges.flatMap(([from, to]) =>
      others.map(
        ([start, end]): Range => [Math.max(from, start), Math.max(Math.min(to, end), Math.max(from, start))],
      ),
    ),
  );
}

async function packageWithPatches(): Promise<Buffer> {
  const manifest = (version: string) =>
    JSON.stringify({ version, modules: [{ name: 'web', src: 'web', dst: '/opt/tope/web' }] });
  let made = Buffer.alloc(0);
  await withSource(manifest('1.0.0'), async (source) => {
    const oldPath = join(source.folder, 'old.zip');
    const write = (files: Readonly<Record<string, Buffer>>) => {
      for (const [name, content] of Object.entries(files)) source.write(name, content);
    };
    write(old);
    await source.pack({ outputPath: oldPath });
    source.write('manifest.json', manifest('2.0.0'));
    write(now);
    const outputPath = join(source.folder, 'new.zip');
    await source.pack({ outputPath, compress: true, deltaFrom: [oldPath] });
    made = readFileSync(outputPath);
  });
  return made;
}

function edited(bytes: Buffer): Buffer {
  const changed = Buffer.concat([bytes.subarray(0, 30_000), Buffer.from('and more'), bytes.subarray(30_000)]);
  for (let at = 1_000; at < changed.length; at += 9_999) changed[at] = (changed[at] ?? 0) + 3;
  return changed;
}

test.run();
