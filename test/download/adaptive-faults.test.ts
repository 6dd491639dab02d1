/** What goes wrong with an adaptive download, in the store, on the way and on the device: the right bytes or a clear error, at a bounded cost. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import * as assert from 'uvu/assert';
import { saveTail } from '../../src/download/tail-file.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Files as FilesPort } from '../../src/host/host.ts';
import { limits } from '../../src/limits.ts';
import { rawZip } from '../fixtures/raw-zip.ts';
import type { Step } from '../network/fault-server.ts';
import { obtain, quickClock, requestFor, type Sleeps, testHost } from '../network/rig.ts';
import { plainProfile } from '../network/store-profile.ts';
import { deploy } from './adaptive-store.ts';
import {
  a,
  adaptiveSuite,
  b,
  type Context,
  download,
  foreign,
  many,
  newStored,
  offer,
  offerBytes,
  oldStored,
} from './adaptive-suite.ts';

const test = adaptiveSuite('faults of adaptive downloads');

// --------------------------------------------------------------------------------- servers and what they do wrong

test('a server without ranges: its first answer is the download', async (context) => {
  const here = deploy(context.directory, oldStored);
  await offer(context, newStored, { ...plainProfile, ranges: false });
  const run = await download(context, here);
  assert.is(run.asked.length, 1);
  assert.match(run.asked[0] ?? '', /^bytes=\d+-\d+ 200$/);
});

for (const status of [416, 404, 503])
  (status === 416 ? test : test.long)(`HTTP ${status} to the first question`, async (context) => {
    const here = deploy(context.directory, oldStored);
    await offer(context, newStored, plainProfile, [{ kind: 'status', status }]);
    assert.is((await download(context, here)).error, undefined);
  });

test('a URL that is good for one request only: the error names the setting', async (context) => {
  const here = deploy(context.directory, oldStored);
  await offer(context, newStored, plainProfile, [{ kind: 'serve' }, { kind: 'status', status: 403 }]);
  assert.match(
    (await download(context, here)).error ?? '',
    /HTTP 403.*one request only, turn adaptive_download off/,
  );
});

test('a package that is replaced after the tail: the other is told by its digest, never mixed', async (context) => {
  const here = deploy(context.directory, oldStored);
  await offer(context, newStored, plainProfile, [{ kind: 'serve' }, { kind: 'swap', version: 1 }]);
  assert.match((await download(context, here)).error ?? '', /^MD5_MISMATCH/);
});

test('a hole that is cut, reset or answered 503 is asked for again', async (context) => {
  const here = deploy(context.directory, oldStored);
  await offer(context, newStored, plainProfile, [
    { kind: 'serve' },
    { kind: 'cut', afterBytes: 0 },
    { kind: 'serve' },
    { kind: 'cut', afterBytes: 100_000 },
    { kind: 'status', status: 503 },
  ]);
  const { fetched, error } = await download(context, here);
  assert.is(error, undefined);
  assert.ok(fetched < 0.42 * context.bytes.length);
});

test('a server that lies within a hole: once more from byte 0, adaptive off', async (context) => {
  const here = deploy(context.directory, oldStored);
  await offer(context, newStored, plainProfile, [
    { kind: 'serve' },
    { kind: 'serve' },
    { kind: 'wrongOffset', shiftBytes: -1_000, lying: true },
  ]);
  const { asked, error } = await download(context, here);
  assert.is(error, undefined);
  assert.is(asked.at(-1), 'whole 200');
});

test('HTTP 403 to the first question: the error names the setting, nothing else is asked', async (context) => {
  const here = deploy(context.directory, oldStored);
  await offer(context, newStored, plainProfile, [{ kind: 'status', status: 403 }]);
  const { error, requests } = await download(context, here);
  assert.match(error ?? '', /HTTP 403.*one request only, turn adaptive_download off/);
  assert.is(requests, 1);
});

for (const more of [1, -1, 70_000])
  (more === 1 ? test : test.long)(
    `a package of ${more} bytes more than the store has is a SIZE_MISMATCH`,
    async (context) => {
      const here = deploy(context.directory, oldStored);
      await offer(context, newStored);
      const request = requestFor(context.server.url, context.bytes);
      const { error } = await obtain(
        testHost(),
        context.directory,
        { ...request, package_size: request.package_size + more },
        { candidates: here },
      );
      assert.is(error?.code, 'SIZE_MISMATCH', error?.message);
      assert.not(existsSync(join(context.directory, 'package.zip.tail')));
    },
  );

const strange: readonly (readonly [string, () => Buffer, RegExp])[] = [
  ['no ZIP', () => randomBytes(900_000), /all is fetched/],
  [
    'a ZIP whose directory is no directory',
    () => rawZip({ entries: [{ name: 'web/a', content: a }], end: { directoryStart: 77 } }),
    /all is fetched/,
  ],
  [
    'a ZIP whose directory begins beyond its end',
    () => rawZip({ entries: [{ name: 'web/a', content: a }], end: { directoryStart: 900_000_000 } }),
    /all is fetched/,
  ],
  [
    'a ZIP whose directory is most of it',
    () => {
      const name = (n: number) => `web/${'long-name-'.repeat(20)}${n}`;
      return rawZip({ entries: Array.from({ length: 2_000 }, (_, n) => ({ name: name(n), content: 'y' })) });
    },
    /all is fetched: a directory of too many bytes/,
  ],
];
for (const [what, make, said] of strange)
  (what === 'no ZIP' ? test : test.long)(
    `${what}: fetched as a whole, no error by itself`,
    async (context) => {
      const here = deploy(context.directory, oldStored);
      await offerBytes(context, make());
      const { error, lines, fetched } = await download(context, here);
      assert.is(error, undefined);
      assert.match(lines.join('\n'), said);
      assert.ok(fetched <= 1.5 * context.bytes.length + limits.tailBytes, `${fetched}`);
    },
  );

test('a package with zip64 records: what stands in it is used', async (context) => {
  const here = deploy(context.directory, oldStored);
  const entries = Object.entries(newStored).map(([name, { content }]) => ({
    name,
    content: Buffer.from(content as Uint8Array),
  }));
  await offerBytes(context, rawZip({ entries, zip64: {} }));
  const { error, fetched } = await download(context, here);
  assert.is(error, undefined);
  assert.ok(fetched < 0.4 * context.bytes.length, `${fetched}`);
});

test('a package that is replaced after the tail, by a store that ignores If-Range: never mixed', async (context) => {
  const here = deploy(context.directory, oldStored);
  await offer(context, newStored, { ...plainProfile, ifRange: 'ignored' }, [
    { kind: 'serve' },
    { kind: 'swap', version: 1 },
  ]);
  const { error, asked } = await download(context, here);
  assert.match(error ?? '', /^MD5_MISMATCH/);
  assert.is(asked[2], 'whole 200');
  assert.not(existsSync(join(context.directory, 'package.zip.tail')));
});

test('a header that is another than was foretold: once more from byte 0', async (context) => {
  const here = deploy(context.directory, oldStored);
  const entries = Object.entries(newStored).map(([name, { content }], index) => ({
    name,
    content: Buffer.from(content as Uint8Array),
    // The first shows what its kind is like; the second lies in its local header alone.
    ...(index === 1 ? { local: { sizeBytes: 599_999 } } : {}),
  }));
  await offerBytes(context, rawZip({ entries }));
  const { error, asked, outcome } = await download(context, here);
  assert.is(error, undefined);
  assert.equal(outcome.events, ['verifying', 'again', 'verifying']);
  assert.is(asked.at(-1), 'whole 200');
});

test('Retry-After in a hole is kept to, and what is there stays', async (context) => {
  const here = deploy(context.directory, oldStored);
  const step: Step = { kind: 'status', status: 503, headers: { 'retry-after': '7' } };
  await offer(context, newStored, plainProfile, [{ kind: 'serve' }, { kind: 'serve' }, step]);
  const sleeps: Sleeps = [];
  const { error, fetched } = await download(context, here, {}, testHost({ clock: quickClock(sleeps) }));
  assert.is(error, undefined);
  assert.ok(
    sleeps.some((ms) => ms === 7_000),
    'seven seconds of rest',
  );
  assert.ok(fetched < 0.42 * context.bytes.length);
});

for (const what of ['cancelled', 'past its deadline', 'silent'] as const)
  (what === 'cancelled' ? test : test.long)(
    `${what} in a hole: what is there stays, with the tail, and goes on`,
    async (context) => {
      const here = deploy(context.directory, oldStored);
      const stall: Step = { kind: 'stall', afterBytes: 200_000 };
      const mute: Step = { kind: 'stall', afterBytes: 0 };
      await offer(context, newStored, plainProfile, [
        { kind: 'serve' },
        { kind: 'serve' },
        stall,
        mute,
        mute,
        mute,
        mute,
      ]);
      const stop = new AbortController();
      const isIn = (bytes: number) => bytes > 1_300_000;
      const first = await download(context, here, {
        ...(what === 'past its deadline' ? { deadlineMs: 700 } : {}),
        stallTimeoutMs: what === 'silent' ? 60 : 20_000,
        signal: stop.signal,
        onProgress: (bytes) => what === 'cancelled' && isIn(bytes) && stop.abort(),
      });
      const expected = {
        cancelled: /^CANCELLED/,
        'past its deadline': /^DOWNLOAD_FAILED: .*its deadline/,
        silent: /^DOWNLOAD_FAILED/,
      };
      assert.match(first.error ?? '', expected[what]);
      for (const name of ['package.zip.part', 'package.zip.tail'])
        assert.ok(existsSync(join(context.directory, name)), name);
      context.server.heal();
      const second = await download(context, here, { resume: first.outcome.saved.at(-1) });
      assert.is(second.error, undefined);
      assert.ok(second.fetched < 500_000, `${second.fetched}`);
    },
  );

const tails: readonly (readonly [string, (path: string, context: Context, tail: Buffer) => Promise<void>])[] =
  [
    ['torn', async (path) => truncateSync(path, readFileSync(path).length - 10)],
    ['of other bytes', async (path) => writeFileSync(path, readFileSync(path).fill(7, 2_000))],
    [
      'of another package',
      (path, { bytes }, tail) =>
        saveTail(realFiles(), path, { ...requestFor('http://x/', bytes), package_md5: '0'.repeat(32) }, tail),
    ],
  ];
for (const [what, spoil] of tails)
  (what === 'torn' ? test : test.long)(`a tail that is ${what} is asked for again`, async (context) => {
    const here = deploy(context.directory, oldStored);
    await offer(context, newStored);
    const path = join(context.directory, 'package.zip.tail');
    const tail = context.bytes.subarray(context.bytes.length - limits.tailBytes);
    await saveTail(realFiles(), path, requestFor(context.server.url, context.bytes), tail);
    await spoil(path, context, tail);
    const { asked, error } = await download(context, here);
    assert.is(error, undefined);
    const from = context.bytes.length - limits.tailBytes;
    assert.is(asked[0], `bytes=${from}-${context.bytes.length - 1} 206`);
    assert.not(asked.includes('whole 200'));
  });

// --------------------------------------------------------------------------------- the device's own files

const spoils: readonly (readonly [string, (path: string) => void])[] = [
  ['edited', (path) => writeFileSync(path, randomBytes(600_000))],
  [
    'edited in its last byte',
    (path) => writeFileSync(path, Buffer.concat([a.subarray(0, 599_999), Buffer.of(7)])),
  ],
  ['gone', (path) => rmSync(path)],
  ['shorter', (path) => truncateSync(path, 599_999)],
  [
    'a symlink now',
    (path) => {
      rmSync(path);
      symlinkSync('/etc/passwd', path);
    },
  ],
];
for (const [what, spoil] of spoils)
  (/^(edited|a symlink)/.test(what) ? test : test.long)(
    `a deployed file that is ${what} is fetched, the others are used`,
    async (context) => {
      const here = deploy(context.directory, oldStored);
      spoil(join(context.directory, 'web/a'));
      await offer(context, newStored);
      const { error, fetched, asked } = await download(context, here);
      assert.is(error, undefined);
      assert.ok(fetched < 0.75 * context.bytes.length, `${fetched}`);
      assert.not(asked.includes('whole 200'));
    },
  );

test('a file that changes while it is copied: cut back, and its entry alone is fetched', async (context) => {
  const here = deploy(context.directory, oldStored);
  await offer(context, newStored);
  let isChanged = false;
  const { error, fetched, lines, asked } = await download(context, here, {
    onProgress: (bytes) => {
      if (isChanged || bytes < 100_000) return;
      isChanged = true;
      writeFileSync(
        join(context.directory, 'web/a'),
        Buffer.concat([a.subarray(0, 599_000), randomBytes(1_000)]),
      );
    },
  });
  assert.is(error, undefined);
  assert.ok(isChanged);
  assert.match(lines.join('\n'), /web\/a is not what was deployed: it is fetched/);
  assert.ok(fetched < 0.72 * context.bytes.length, `${fetched}`);
  assert.not(asked.includes('whole 200'));
});

for (const compress of [false, true])
  test(`a disk that gets full while a file is ${compress ? 'deflated' : 'copied'} ends it as DISK_FULL`, async (context) => {
    const files = { 'web/a': { content: Buffer.from(a.toString('hex')), compress } };
    const here = deploy(context.directory, files);
    await offer(context, { ...files, 'web/b': { content: b, compress: false } });
    const real = realFiles();
    const full: FilesPort = {
      ...real,
      open: async (path, how) => {
        const file = await real.open(path, how);
        const write: typeof file.write = async (chunk, position) => {
          if (path.endsWith('.part') && position + chunk.length > 300_000)
            throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
          return file.write(chunk, position);
        };
        return { ...file, write };
      },
    };
    const { error, reused } = await download(context, here, {}, testHost({ files: full }));
    assert.match(error ?? '', /^DISK_FULL/);
    assert.ok(reused > 0, 'while it was made');
    assert.not(existsSync(join(context.directory, 'package.zip.part')));
  });

test('entries that the device cannot deflate alike come out of the package that it kept', async (context) => {
  const level3 = (bytes: Buffer) => deflateRawSync(bytes, { level: 3 });
  const here = deploy(context.directory, many(150, 0, 0));
  const keptPackage = join(context.directory, 'kept.zip');
  writeFileSync(keptPackage, foreign(many(150, 0, 0), level3));
  await offerBytes(context, foreign(many(150, 2, 100_000), level3));
  const { error, fetched } = await download(context, { ...here, keptPackage });
  assert.is(error, undefined);
  assert.ok(fetched < 0.25 * context.bytes.length, `${fetched} of ${context.bytes.length}`);
});

test.run();
