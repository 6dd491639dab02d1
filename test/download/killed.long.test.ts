/**
 * An adaptive download that is killed at every border of its pieces: fetched, copied, deflated again, patched. The next start goes on
 * from there, and fetches no piece a second time but the one that was in flight.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ResumeInfo } from '../../src/download/resume.ts';
import { type FaultServer, startFaultServer } from '../network/fault-server.ts';
import { obtain, requestFor, temporaryDirectory, testHost } from '../network/rig.ts';
import { deploy } from './adaptive-store.ts';
import { bordersOf, filesBefore, packagesWithPatches, type Range } from './mixed-package.ts';

const test = suite('killed adaptive downloads');

test('killed at any border it goes on, and no piece is fetched twice but the one in flight', async () => {
  const work = temporaryDirectory();
  const { now: bytes } = await packagesWithPatches('/opt/tope/web');
  const server = await startFaultServer({ versions: [bytes] });
  try {
    const here = deploy(
      join(work.path, 'device'),
      Object.fromEntries(Object.entries(filesBefore).map(([name, content]) => [name, { content }])),
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

function rangesOf(server: FaultServer, asked: number): Range[] {
  return server.seen.slice(asked).map(({ headers }) => {
    const [, from, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
    assert.ok(last !== undefined, `${headers.range ?? 'the whole'} was asked for`);
    return [Number(from), Number(last) + 1];
  });
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

test.run();
