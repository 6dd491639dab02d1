/** One download at a time against the scripted store: each rule of the spec's "Download", seen from outside. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realClock } from '../../src/host/clock.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Files, Net } from '../../src/host/host.ts';
import { type FaultServer, type Step, startFaultServer } from '../network/fault-server.ts';
import {
  type Outcome,
  obtain,
  quickClock,
  type RunOptions,
  requestFor,
  type Sleeps,
  someBytes,
  temporaryDirectory,
  testHost,
} from '../network/rig.ts';
import type { Profile } from '../network/store-profile.ts';
import { plainProfile } from '../network/store-profile.ts';

const size = 900_000;
const right = someBytes(size);
const other = someBytes(size);
const resumeInfo = {
  bytes_downloaded: 1,
  etag: '"v0"',
  last_modified: new Date(Date.UTC(2020, 0, 1)).toUTCString(),
  total: size,
};

interface Context {
  server: FaultServer;
  directory: string;
  part: string;
  cleanUp: () => Promise<void>;
}

const test = suite<Context>('download');
test.before.each(async (context) => {
  const work = temporaryDirectory();
  const server = await startFaultServer({ versions: [right, other] });
  Object.assign(context, { server, directory: work.path, part: join(work.path, 'package.zip.part') });
  context.cleanUp = async () => {
    await server.close();
    work.remove();
  };
});
test.after.each((context) => context.cleanUp());

/** Downloads `right` from the context's server, which plays `steps` first. */
function run(context: Context, steps: readonly Step[], options: RunOptions = {}, host = testHost()) {
  context.server.script(steps);
  return obtain(host, context.directory, requestFor(context.server.url, right), options);
}

function assertRight(outcome: Outcome): void {
  assert.is(outcome.error, undefined, outcome.error?.message);
  assert.ok(Buffer.from(right).equals(outcome.file ?? new Uint8Array()), 'the right file');
}

function asked(context: Context): string[] {
  return context.server.seen.map(({ headers, status }) => `${headers.range ?? 'whole'} ${status}`);
}

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
  const { saved } = await run(context, []);
  assert.equal(saved[0], { ...resumeInfo, bytes_downloaded: 0 });
  assert.is(saved.at(-1)?.bytes_downloaded, size);
  assert.ok(saved.length > 3 && saved.length < 30, `${saved.length} saves`);
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

test('three tries in a row without progress are the end; the partial file is kept', async (context) => {
  const sleeps: Sleeps = [];
  const unavailable: Step = { kind: 'status', status: 503 };
  const outcome = await run(
    context,
    [{ kind: 'cut', afterBytes: 5_000 }, unavailable, unavailable, unavailable],
    {},
    testHost({ clock: quickClock(sleeps) }),
  );
  assert.match(
    outcome.error?.message ?? '',
    /^DOWNLOAD_FAILED: http:.*HTTP 503; 3 tries in a row.*5000 of 900000 bytes/,
  );
  assert.equal(sleeps, [1000, 2000, 4000]);
  assert.is(statSync(context.part).size, 5_000);
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
  assert.equal(outcome.saved[0], { ...resumeInfo, bytes_downloaded: 0 });
});

test('a damaged partial file costs one more download from byte 0', async (context) => {
  writeFileSync(context.part, new Uint8Array(400_000));
  const outcome = await run(context, [], { resume: resumeInfo });
  assertRight(outcome);
  assert.equal(asked(context), ['bytes=400000- 206', 'whole 200']);
  assert.equal(outcome.events, ['verifying', 'again', 'verifying']);
});

test('a wrong digest of a download in one go is final, with both values', async (context) => {
  const outcome = await run(context, [{ kind: 'swap', version: 1 }]);
  const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex');
  assert.is(outcome.error?.message, `MD5_MISMATCH: package.zip: expected ${md5(right)}, got ${md5(other)}`);
  assert.equal(asked(context), ['whole 200']);
  assert.not(existsSync(context.part));
});

test('a 416 deletes the partial file and starts over', async (context) => {
  writeFileSync(context.part, right.subarray(0, 400_000));
  assertRight(await run(context, [{ kind: 'status', status: 416 }], { resume: resumeInfo }));
  assert.equal(asked(context), ['bytes=400000- 416', 'whole 200']);
});

for (const status of [401, 403, 410]) {
  test(`HTTP ${status} is final with the server's reason, the partial file is kept and a fresh URL resumes it`, async (context) => {
    const body = '<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>';
    const refusal: Step = { kind: 'status', status, headers: { 'content-type': 'application/xml' }, body };
    context.server.script([{ kind: 'cut', afterBytes: 300_000 }, refusal]);
    const expired = requestFor(`${context.server.url}?X-Amz-Signature=SECRET`, right);
    const first = await obtain(testHost(), context.directory, expired);
    assert.match(
      first.error?.message ?? '',
      new RegExp(`^DOWNLOAD_FAILED: .*\\?\\.\\.\\.: HTTP ${status}: AccessDenied: Request has expired$`),
    );
    assert.is(statSync(context.part).size, 300_000);
    const resume = first.saved.at(-1);
    const fresh = requestFor(`${context.server.url}?X-Amz-Signature=NEW`, right);
    assertRight(await obtain(testHost(), context.directory, fresh, { resume }));
    assert.equal(asked(context).at(-1), 'bytes=300000- 206');
  });
}

test('no secret of the URL is logged or reported', async (context) => {
  const host = testHost();
  context.server.script([{ kind: 'hangUp' }, { kind: 'hangUp' }, { kind: 'hangUp' }]);
  const url = `${context.server.url.replace('http://', 'http://user:PASSWORD@')}?token=SECRET`;
  const outcome = await obtain(host, context.directory, requestFor(url, right));
  assert.is(outcome.error?.code, 'DOWNLOAD_FAILED');
  assert.is(context.server.seen.length + host.lines.length > 0, true);
  for (const text of [outcome.error?.message ?? '', ...host.lines]) assert.not.match(text, /SECRET|PASSWORD/);
});

test('Retry-After is honoured, and too long a rest ends the download', async (context) => {
  const sleeps: Sleeps = [];
  const later = (seconds: string): Step => ({
    kind: 'status',
    status: 429,
    headers: { 'retry-after': seconds },
  });
  assertRight(await run(context, [later('9')], {}, testHost({ clock: quickClock(sleeps) })));
  assert.equal(sleeps, [9000]);
  writeFileSync(join(context.directory, 'package.zip'), 'older');
  const outcome = await run(context, [later('3600')]);
  assert.match(outcome.error?.message ?? '', /asks to come back in 3600 s/);
});

test('a stalled server is given up after the silence allowed, and asked again', async (context) => {
  const options = { stallTimeoutMs: 150 };
  assertRight(await run(context, [{ kind: 'stall', afterBytes: 200_000 }, { kind: 'mute' }], options));
  assert.equal(asked(context), ['whole 200', 'bytes=200000- 200', 'bytes=200000- 206']);
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

test('a sixth redirect, and one to a forbidden place, are final', async (context) => {
  const around: Step = { kind: 'redirect', status: 301, location: '/again' };
  const loop = await run(
    context,
    Array.from({ length: 9 }, () => around),
  );
  assert.match(loop.error?.message ?? '', /^DOWNLOAD_FAILED: .*more than 5 redirects/);
  assert.is(context.server.seen.length, 6);
  const away = await run(context, [
    { kind: 'redirect', status: 302, location: 'http://example.com/?k=SECRET' },
  ]);
  assert.match(
    away.error?.message ?? '',
    /redirects to http:\/\/example\.com\/\?\.\.\.: http is allowed only/,
  );
});

test('a server without ranges is started over, and given up when it never gets further', async (context) => {
  const { server } = context;
  await server.close();
  const profile: Profile = { ...plainProfile, ranges: false };
  context.server = await startFaultServer({ versions: [right], profile });
  const cut = (afterBytes: number): Step => ({ kind: 'cut', afterBytes });
  assertRight(await run(context, [cut(100_000), cut(200_000), cut(300_000)]));
  writeFileSync(join(context.directory, 'package.zip'), 'older');
  const stuck = await run(
    context,
    Array.from({ length: 50 }, () => cut(100_000)),
  );
  assert.match(stuck.error?.message ?? '', /3 tries in a row without progress/);
  await context.server.close();
});

test('a file that keeps changing is given up', async (context) => {
  const steps = Array.from({ length: 40 }, (_, n): Step[] => [
    { kind: 'cut', afterBytes: 50_000 + n * 3_000 },
    { kind: 'status', status: 416 },
  ]).flat();
  const outcome = await run(context, steps);
  assert.match(outcome.error?.message ?? '', /^DOWNLOAD_FAILED: .*started over 10 times already/);
});

const wrongSizes: readonly (readonly [string, Step, RegExp])[] = [
  [
    'announced too long',
    { kind: 'wrongLength', extraBytes: 7 },
    /file has 900007 bytes, package_size is 900000/,
  ],
  ['announced too short', { kind: 'wrongLength', extraBytes: -7 }, /file has 899993 bytes/],
  ['chunked and too long', { kind: 'chunked', extraBytes: 7 }, /body has more than the 900000 bytes/],
  ['chunked and too short', { kind: 'chunked', extraBytes: -7 }, /body has only 899993 of the 900000 bytes/],
];
for (const [name, step, text] of wrongSizes) {
  test(`a body ${name} is a SIZE_MISMATCH at once`, async (context) => {
    const outcome = await run(context, [step]);
    assert.is(outcome.error?.code, 'SIZE_MISMATCH');
    assert.match(outcome.error?.message ?? '', text);
    assert.is(context.server.seen.length <= 1, true);
    assert.not(existsSync(context.part));
  });
}

test('a chunked body of the right size is taken, and a chunked rest too', async (context) => {
  assertRight(await run(context, [{ kind: 'chunked', extraBytes: 0 }]));
  writeFileSync(context.part, right.subarray(0, 400_000));
  writeFileSync(join(context.directory, 'package.zip'), 'older');
  assertRight(await run(context, [{ kind: 'chunked', extraBytes: 0 }], { resume: resumeInfo }));
});

test('a compressed answer is refused', async (context) => {
  const outcome = await run(context, [{ kind: 'encoded', coding: 'gzip' }]);
  assert.match(
    outcome.error?.message ?? '',
    /^DOWNLOAD_FAILED: .*Content-Encoding gzip although identity was asked/,
  );
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

test('a deadline bounds the whole download', async (context) => {
  const outcome = await run(context, [{ kind: 'stall', afterBytes: 100_000 }], { deadlineMs: 80 });
  assert.match(outcome.error?.message ?? '', /^DOWNLOAD_FAILED: .*not complete after 80 ms, its deadline/);
  assert.is(statSync(context.part).size, 100_000);
});

test('a bandwidth limit is kept', async (context) => {
  const started = Date.now();
  assertRight(await run(context, [], { bytesPerSecond: 2_000_000 }, testHost({ clock: realClock() })));
  const ms = Date.now() - started;
  assert.ok(ms > 300, `450 ms of wire time took ${ms} ms`);
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

test('too little space is told before the first byte, and the partial file does not stay', async (context) => {
  const files: Files = {
    ...realFiles(),
    space: async () => ({ device: 1n, freeBytes: 1_000_000, blockBytes: 4096 }),
  };
  writeFileSync(context.part, right.subarray(0, 400_000));
  const outcome = await run(context, [], { resume: resumeInfo }, testHost({ files }));
  assert.match(
    outcome.error?.message ?? '',
    /^DISK_FULL: .* has 1000000 bytes free, the download needs 4694304 /,
  );
  assert.equal(asked(context), []);
  assert.not(existsSync(context.part));
});

test('a state that cannot be saved ends the download, the bytes stay', async (context) => {
  const host = testHost();
  const failing = async () => {
    throw Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO' });
  };
  const { download } = await import('../../src/package/download.ts');
  const options = {
    directory: context.directory,
    resume: undefined,
    onProgress: () => undefined,
    saveResume: failing,
    signal: new AbortController().signal,
    allowHttp: false,
  };
  const request = requestFor(context.server.url, right);
  const error = await download(host, request, options).catch((thrown: unknown) => thrown);
  assert.match(String(error), /DOWNLOAD_FAILED: save the state of the download: EIO/);
});

test('a bug in a port surfaces as one and is not retried', async (context) => {
  let calls = 0;
  const net: Net = {
    connect: async () => undefined,
    request: async () => {
      calls++;
      throw new TypeError('x is not a function');
    },
  };
  const outcome = await run(context, [], {}, testHost({ net }));
  assert.match(outcome.error?.message ?? '', /^INTERNAL_ERROR: .*x is not a function/);
  assert.is(calls, 1);
});

test('a work directory that is gone, or a directory in the way, is told with its path', async (context) => {
  const request = requestFor(context.server.url, right);
  const gone = await obtain(testHost(), join(context.directory, 'gone'), request);
  assert.match(gone.error?.message ?? '', /^DOWNLOAD_FAILED: open .*\/gone\/package\.zip\.part: ENOENT/);
  mkdirSync(context.part);
  const inTheWay = await run(context, []);
  assert.match(inTheWay.error?.message ?? '', /^DOWNLOAD_FAILED: open .*package\.zip\.part: E(ISDIR|PERM)/);
});

test.run();
