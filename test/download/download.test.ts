/** A download that comes to its end: what is asked, what is resumed, when it starts over, how it is cancelled. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { realClock } from '../../src/host/clock.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Files } from '../../src/host/host.ts';
import { limits } from '../../src/limits.ts';
import { type Step, startFaultServer } from '../network/fault-server.ts';
import { obtain, quickClock, requestFor, type Sleeps, someBytes, testHost } from '../network/rig.ts';
import { type Profile, plainProfile } from '../network/store-profile.ts';
import {
  asked,
  assertRight,
  other,
  resumeInfo,
  right,
  run,
  size,
  storeSuite,
} from '../network/store-suite.ts';

const test = storeSuite('download');
const etagOnly: Profile = { ...plainProfile, lastModified: false };

test('a healthy download asks once, for identity, and leaves only the final name', async (context) => {
  const outcome = await run(context, []);
  assertRight(outcome);
  assert.equal(asked(context), ['whole 200']);
  const headers = context.server.seen[0]?.headers;
  assert.is(headers?.['accept-encoding'], 'identity');
  assert.is(headers?.connection, 'close');
  assert.not(existsSync(context.part));
  assert.equal(outcome.events, ['verifying']);
  assert.is(outcome.progress.at(-1), size);
});

test('the state is saved when validators are known, about every 5 %, and at the end', async (context) => {
  const large = someBytes(8 * limits.writeBufferBytes);
  const server = await startFaultServer({ versions: [large] });
  try {
    const { saved } = await obtain(testHost(), context.directory, requestFor(server.url, large));
    assert.equal(saved[0], { ...resumeInfo, total: large.length, bytes_downloaded: 0 });
    assert.is(saved.at(-1)?.bytes_downloaded, large.length);
    assert.ok(saved.length > 3 && saved.length < 30, `${saved.length} saves`);
  } finally {
    await server.close();
  }
});

test('a broken connection goes on from the exact byte, with If-Range', async (context) => {
  const outcome = await run(context, [{ kind: 'cut', afterBytes: 300_001 }]);
  assertRight(outcome);
  assert.equal(asked(context), ['whole 200', 'bytes=300001- 206']);
  assert.is(context.server.seen[1]?.headers['if-range'], '"v0"');
});

test('many breaks are survived as long as bytes arrive', async (context) => {
  const cuts = Array.from({ length: 8 }, (): Step => ({ kind: 'cut', afterBytes: 100_000 }));
  const sleeps: Sleeps = [];
  assertRight(await run(context, cuts, {}, testHost({ clock: quickClock(sleeps) })));
  assert.equal(new Set(sleeps.slice(0, 8)), new Set([1000]));
});

test('the next download re-hashes what is on disk and fetches only the rest', async (context) => {
  writeFileSync(context.part, right.subarray(0, 400_000));
  assertRight(await run(context, [], { resume: resumeInfo }));
  assert.equal(asked(context), ['bytes=400000- 206']);
});

test('a partial file that is already whole is not asked for again', async (context) => {
  writeFileSync(context.part, right);
  assertRight(await run(context, [], { resume: resumeInfo }));
  assert.equal(asked(context), []);
});

test('a partial file without anything remembered of it is not resumed', async (context) => {
  writeFileSync(context.part, right.subarray(0, 400_000));
  assertRight(await run(context, []));
  assert.equal(asked(context), ['whole 200']);
});

test('a partial file larger than the package, or a symlink in its place, is not resumed', async (context) => {
  writeFileSync(context.part, new Uint8Array(size + 1));
  assertRight(await run(context, [], { resume: resumeInfo }));
  const victim = join(context.directory, 'victim');
  writeFileSync(victim, 'untouched');
  symlinkSync(victim, context.part);
  writeFileSync(join(context.directory, 'package.zip'), 'older');
  assertRight(await run(context, [], { resume: resumeInfo }));
  assert.is(readFileSync(victim, 'utf8'), 'untouched');
  assert.equal(asked(context), ['whole 200', 'whole 200']);
});

test('a changed file starts over within the same answer', async (context) => {
  writeFileSync(context.part, other.subarray(0, 400_000));
  const outcome = await run(context, [], { resume: { ...resumeInfo, etag: '"old"' } });
  assertRight(outcome);
  assert.equal(asked(context), ['bytes=400000- 200']);
  const names = outcome.saved.map(({ etag }) => etag);
  assert.ok(names.indexOf(null) < names.indexOf('"v0"'), 'no name while files change places');
  assert.ok(names.lastIndexOf('"old"') < names.indexOf(null));
  assert.not(
    outcome.progress.some((bytes, n) => bytes < (outcome.progress[n - 1] ?? 0)),
    'it never goes back',
  );
});

test('a damaged partial file costs one more download from byte 0', async (context) => {
  writeFileSync(context.part, new Uint8Array(400_000));
  const outcome = await run(context, [], { resume: resumeInfo });
  assertRight(outcome);
  assert.equal(asked(context), ['bytes=400000- 206', 'whole 200']);
  assert.equal(outcome.events, ['verifying', 'again', 'verifying']);
});

test('a splice within one download costs one more download from byte 0', async (context) => {
  const lie = { kind: 'wrongOffset', shiftBytes: -1_000, lying: true } as const;
  const outcome = await run(context, [{ kind: 'cut', afterBytes: 300_000 }, lie]);
  assertRight(outcome);
  assert.equal(outcome.events, ['verifying', 'again', 'verifying']);
  assert.equal(asked(context), ['whole 200', 'bytes=300000- 206', 'whole 200']);
});

test('a whole body that breaks off before it is longer costs nothing of what is at hand', async (context) => {
  writeFileSync(context.part, other.subarray(0, 600_000));
  const steps = [
    { kind: 'cut', afterBytes: 200_000 },
    { kind: 'status', status: 403 },
  ] as const;
  const old = { ...resumeInfo, etag: '"old"' };
  const outcome = await run(context, steps, { resume: old });
  assert.is(outcome.error?.code, 'DOWNLOAD_FAILED');
  assert.ok(Buffer.from(other.subarray(0, 600_000)).equals(readFileSync(context.part)));
  assert.equal(outcome.saved.at(-1), { ...old, bytes_downloaded: 600_000 });
  assert.equal(readdirSync(context.directory), ['package.zip.part'], 'the second file does not stay');
});

test('one that breaks off after it is longer takes the place of what was at hand', async (context) => {
  writeFileSync(context.part, other.subarray(0, 600_000));
  const steps = [
    { kind: 'cut', afterBytes: 700_000 },
    { kind: 'status', status: 403 },
  ] as const;
  const outcome = await run(context, steps, { resume: { ...resumeInfo, etag: '"old"' } });
  assert.is(outcome.error?.code, 'DOWNLOAD_FAILED');
  assert.ok(Buffer.from(right.subarray(0, 700_000)).equals(readFileSync(context.part)));
  assert.equal(outcome.saved.at(-1), { ...resumeInfo, bytes_downloaded: 700_000 });
});

test('edges of a CDN that name one file differently, on a line that breaks: the digest decides', async (context) => {
  const { server } = context;
  await server.close();
  let edge = 0;
  context.server = await startFaultServer({
    versions: [right],
    etagOf: () => `"edge ${edge++}"`,
    profile: etagOnly,
  });
  const cuts = Array.from({ length: 10 }, (): Step => ({ kind: 'cut', afterBytes: 100_000 }));
  const outcome = await run(context, cuts);
  assertRight(outcome);
  assert.equal(asked(context).slice(0, 5), [
    'whole 200',
    'bytes=100000- 200', // breaks off at 100 000, as long as what there is
    'bytes=100000- 206',
    'bytes=200000- 206',
    'bytes=300000- 206',
  ]);
  assert.equal(outcome.events, ['verifying']);
  await context.server.close();
});

test('without room for a second file, a whole body starts over at once', async (context) => {
  writeFileSync(context.part, other.subarray(0, 600_000));
  const files: Files = {
    ...realFiles(),
    space: async () => ({ device: 1n, freeBytes: 4_700_000, blockBytes: 4096 }),
  };
  const steps = [
    { kind: 'cut', afterBytes: 200_000 },
    { kind: 'status', status: 403 },
  ] as const;
  const outcome = await run(
    context,
    steps,
    { resume: { ...resumeInfo, etag: '"old"' } },
    testHost({ files }),
  );
  assert.ok(Buffer.from(right.subarray(0, 200_000)).equals(readFileSync(context.part)));
  assert.equal(outcome.saved.at(-1), { ...resumeInfo, bytes_downloaded: 200_000 });
});

test('before a wait, what arrived is on disk', async (context) => {
  const sizes: number[] = [];
  const quick = quickClock();
  const clock = {
    ...quick,
    sleep: (ms: number, signal?: AbortSignal) => {
      sizes.push(statSync(context.part).size);
      return quick.sleep(ms, signal);
    },
  };
  assertRight(await run(context, [{ kind: 'cut', afterBytes: 300_001 }], {}, testHost({ clock })));
  assert.equal(sizes, [300_001]);
});

test('a wrong digest of a download in one go is final, with both values', async (context) => {
  const outcome = await run(context, [{ kind: 'swap', version: 1 }]);
  const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex');
  assert.is(outcome.error?.message, `MD5_MISMATCH: package.zip: expected ${md5(right)}, got ${md5(other)}`);
  assert.equal(asked(context), ['whole 200']);
  assert.not(existsSync(context.part));
});

test('a 416 is followed by a question for the whole, and no byte goes before it has come', async (context) => {
  writeFileSync(context.part, right.subarray(0, 400_000));
  assertRight(await run(context, [{ kind: 'status', status: 416 }], { resume: resumeInfo }));
  assert.equal(asked(context), ['bytes=400000- 416', 'whole 200']);
});

test('redirects are followed with Range kept, five at most, credentials only to the same place', async (context) => {
  writeFileSync(context.part, right.subarray(0, 400_000));
  const { port } = context.server;
  const away: Step = { kind: 'redirect', status: 302, location: `http://localhost:${port}/elsewhere?sig=1` };
  context.server.script([{ kind: 'redirect', status: 307, location: '/moved' }, away]);
  const url = `http://user:pw@127.0.0.1:${port}/package.zip`;
  const outcome = await obtain(testHost(), context.directory, requestFor(url, right), { resume: resumeInfo });
  assertRight(outcome);
  const { seen } = context.server;
  assert.equal(
    seen.map((one) => one.url),
    ['/package.zip', '/moved', '/elsewhere?sig=1'],
  );
  assert.equal(new Set(seen.map((one) => one.headers.range)), new Set(['bytes=400000-']));
  assert.equal(
    seen.map((one) => one.headers.authorization !== undefined),
    [true, true, false],
  );
});

test('a URL without credentials is asked with those of its host, which stay there', async (context) => {
  const { port } = context.server;
  const away: Step = { kind: 'redirect', status: 302, location: `http://localhost:${port}/elsewhere` };
  context.server.script([
    { kind: 'cut', afterBytes: 300_000 },
    { kind: 'redirect', status: 307, location: '/moved' },
    away,
  ]);
  let asked = 0;
  const authorizationFor = async (url: URL) =>
    url.host === `127.0.0.1:${port}` ? `TargetToken t${++asked}` : undefined;
  const request = requestFor(`http://127.0.0.1:${port}/package.zip`, right);
  assertRight(await obtain(testHost(), context.directory, request, { authorizationFor }));
  assert.equal(
    context.server.seen.map((one) => one.headers.authorization),
    ['TargetToken t1', 'TargetToken t2', 'TargetToken t2', undefined],
  );
});

test('a chunked body of the right size is taken, and a chunked rest too', async (context) => {
  assertRight(await run(context, [{ kind: 'chunked', extraBytes: 0 }]));
  writeFileSync(context.part, right.subarray(0, 400_000));
  writeFileSync(join(context.directory, 'package.zip'), 'older');
  assertRight(await run(context, [{ kind: 'chunked', extraBytes: 0 }], { resume: resumeInfo }));
});

test('cancelling keeps what arrived, on disk and remembered', async (context) => {
  const stop = new AbortController();
  const onProgress = (bytes: number) => {
    if (bytes > 300_000) stop.abort();
  };
  const outcome = await run(context, [], { signal: stop.signal, onProgress });
  assert.match(outcome.error?.message ?? '', /^CANCELLED: /);
  const kept = statSync(context.part).size;
  assert.ok(kept > 300_000);
  assert.is(outcome.saved.at(-1)?.bytes_downloaded, kept);
  assert.ok(Buffer.from(right.subarray(0, kept)).equals(readFileSync(context.part)));
  assertRight(await run(context, [], { resume: outcome.saved.at(-1) }));
  assert.is(asked(context).at(-1), `bytes=${kept}- 206`);
});

test('cancelling ends a wait, a silent server, and a download not yet begun, at once', async (context) => {
  const started = Date.now();
  const aborted = AbortSignal.abort();
  assert.is((await run(context, [], { signal: aborted })).error?.code, 'CANCELLED');
  const silent = AbortSignal.timeout(50);
  assert.is((await run(context, [{ kind: 'mute' }], { signal: silent })).error?.code, 'CANCELLED');
  const host = testHost({ clock: realClock() });
  const waiting = await run(context, [{ kind: 'hangUp' }], { signal: AbortSignal.timeout(50) }, host);
  assert.is(waiting.error?.code, 'CANCELLED');
  assert.ok(Date.now() - started < 900);
});

test('SHA-256 is compared where it was asked for', async (context) => {
  const sha256 = createHash('sha256').update(right).digest('hex');
  const good = requestFor(context.server.url, right, { package_sha256: sha256 });
  context.server.script([{ kind: 'cut', afterBytes: 100_000 }]);
  assertRight(await obtain(testHost(), context.directory, good));
  const bad = requestFor(context.server.url, right, { package_sha256: '0'.repeat(64) });
  const outcome = await obtain(testHost(), context.directory, bad);
  assert.is(
    outcome.error?.message,
    `SHA256_MISMATCH: package.zip: expected ${'0'.repeat(64)}, got ${sha256}`,
  );
});

test.run();
