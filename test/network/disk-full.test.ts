/**
 * A full disk at every point: on a tiny tmpfs (needs root), and by failing the n-th file call, n rising until the
 * download completes. Always: DISK_FULL, no partial file, and the next download works.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { realFiles } from '../../src/host/files.ts';
import type { Files, OpenFile } from '../../src/host/host.ts';
import { limits } from '../../src/limits.ts';
import { type Step, startFaultServer } from './fault-server.ts';
import { obtain, requestFor, skipped, someBytes, temporaryDirectory, testHost } from './rig.ts';

const MiB = 1024 * 1024;

/** The real disk, whose `failing`-th changing call ends with `code`. Counts the calls. */
function failingFiles(failing: number, code: string): { files: Files; calls: () => number } {
  let count = 0;
  const real = realFiles();
  const counted = async <T>(act: () => Promise<T>): Promise<T> => {
    if (++count === failing) throw Object.assign(new Error(`${code}: injected`), { code });
    return act();
  };
  const wrapped = (file: OpenFile): OpenFile => ({
    ...file,
    write: (bytes, position) => counted(() => file.write(bytes, position)),
    sync: () => counted(() => file.sync()),
    syncData: () => counted(() => file.syncData()),
    truncate: (sizeBytes) => counted(() => file.truncate(sizeBytes)),
  });
  const files: Files = {
    ...real,
    open: async (path, how) => wrapped(await counted(() => real.open(path, how))),
    syncDirectory: (path) => counted(() => real.syncDirectory(path)),
    rename: (from, to) => counted(() => real.rename(from, to)),
  };
  return { files, calls: () => count };
}

for (const code of ['ENOSPC', 'EDQUOT', 'EIO']) {
  test(`${code} at the n-th file call, for every n`, async () => {
    const right = someBytes(1_300_000);
    const steps: Step[] = [
      { kind: 'cut', afterBytes: 600_000 },
      { kind: 'status', status: 416 },
    ];
    const server = await startFaultServer({ versions: [right] });
    const request = requestFor(server.url, right);
    try {
      for (let failing = 1; ; failing++) {
        const work = temporaryDirectory();
        try {
          server.script(steps);
          const { files, calls } = failingFiles(failing, code);
          const first = await obtain(testHost({ files }), work.path, request);
          if (calls() < failing) {
            assert.is(first.error, undefined);
            assert.ok(failing > 10, `only ${failing} calls were seen`);
            break;
          }
          const expected = code === 'EIO' ? 'DOWNLOAD_FAILED' : 'DISK_FULL';
          assert.is(first.error?.code, expected, `call ${failing}: ${first.error?.message}`);
          const left = readdirSync(work.path);
          // The digest had already matched where the very last step, the final name, fails.
          if (code !== 'EIO' && !first.events.includes('verifying'))
            assert.equal(left, [], `call ${failing}`);
          server.heal();
          const second = await obtain(testHost(), work.path, request, { resume: first.saved.at(-1) });
          assert.is(second.error, undefined, `call ${failing}, then: ${second.error?.message}`);
          assert.ok(Buffer.from(right).equals(second.file ?? new Uint8Array()));
        } finally {
          work.remove();
        }
      }
    } finally {
      await server.close();
    }
  });
}

test('dirty pages are pushed to the disk on the way, and a disk that refuses them then is full', async () => {
  const right = someBytes(2 * limits.dataSyncEveryBytes + MiB);
  const server = await startFaultServer({ versions: [right] });
  const request = requestFor(server.url, right);
  const work = temporaryDirectory();
  let syncs = 0;
  const withSync = (syncData: (file: OpenFile) => Promise<void>): Files => ({
    ...realFiles(),
    open: async (path, how) => {
      const file = await realFiles().open(path, how);
      return { ...file, syncData: () => syncData(file) };
    },
  });
  try {
    const refusing = withSync(async () => {
      throw Object.assign(new Error('ENOSPC: injected'), { code: 'ENOSPC' });
    });
    const full = await obtain(testHost({ files: refusing }), work.path, request);
    assert.match(full.error?.message ?? '', /^DISK_FULL: sync .*package\.zip\.part: ENOSPC/);
    assert.equal(readdirSync(work.path), []);
    const counting = withSync((file) => {
      syncs++;
      return file.syncData();
    });
    const next = await obtain(testHost({ files: counting }), work.path, request);
    assert.is(next.error, undefined, next.error?.message);
    assert.is(syncs, 2);
  } finally {
    await server.close();
    work.remove();
  }
});

const isRoot = process.getuid?.() === 0;
if (!isRoot) skipped('a full tmpfs', 'not root');
(isRoot ? test : test.skip)('a tmpfs that fills up on the way', async () => {
  const work = temporaryDirectory();
  const disk = join(work.path, 'disk');
  mkdirSync(disk);
  const right = someBytes(3 * MiB);
  const server = await startFaultServer({ versions: [right] });
  const request = requestFor(server.url, right);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk]);
    // What another program writes meanwhile: there was enough space at the first byte.
    const onProgress = (bytes: number) => {
      const ballast = join(disk, 'ballast');
      if (bytes > MiB && !existsSync(ballast)) writeFileSync(ballast, new Uint8Array(6.5 * MiB));
    };
    const full = await obtain(testHost(), disk, request, { onProgress });
    assert.match(full.error?.message ?? '', /^DISK_FULL: write .*package\.zip\.part: ENOSPC/);
    assert.equal(readdirSync(disk), ['ballast']);

    const told = await obtain(testHost(), disk, request);
    assert.match(told.error?.message ?? '', /^DISK_FULL: .* bytes free, the download needs 7340032 /);
    assert.is(limits.reserveBytes + right.length, 7_340_032);
    assert.is(server.seen.length, 1);

    rmSync(join(disk, 'ballast'));
    const next = await obtain(testHost(), disk, request, { resume: full.saved.at(-1) });
    assert.is(next.error, undefined, next.error?.message);
    assert.equal(readdirSync(disk), ['package.zip']);
  } finally {
    execFileSync('umount', ['-l', disk]);
    await server.close();
    work.remove();
  }
});

test.run();
