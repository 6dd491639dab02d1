/** How a download fails, and what it leaves behind: tries, refusals, sizes, bounds, the disk. */
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { realClock } from '../../src/host/clock.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Files, Net } from '../../src/host/host.ts';
import { realNet } from '../../src/host/net.ts';
import { type Step, startFaultServer } from '../network/fault-server.ts';
import { obtain, quickClock, requestFor, type Sleeps, testHost } from '../network/rig.ts';
import { type Profile, plainProfile } from '../network/store-profile.ts';
import { asked, assertRight, resumeInfo, right, run, storeSuite } from '../network/store-suite.ts';

const test = storeSuite('download ends');

test('three retries in a row without progress are the end; the partial file is kept', async (context) => {
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
    /^DOWNLOAD_FAILED: http:.*HTTP 503; 3 retries in a row.*5000 of 900000 bytes/,
  );
  assert.equal(sleeps, [1000, 2000, 4000]);
  assert.is(statSync(context.part).size, 5_000);
});

test('a fresh download where nobody answers: three retries, the fourth request is the last', async (context) => {
  const sleeps: Sleeps = [];
  const hangUps = Array.from({ length: 9 }, (): Step => ({ kind: 'hangUp' }));
  const outcome = await run(context, hangUps, {}, testHost({ clock: quickClock(sleeps) }));
  assert.is(outcome.error?.code, 'DOWNLOAD_FAILED');
  assert.is(context.server.seen.length, 4);
  assert.equal(sleeps, [1000, 2000, 4000]);
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

test('an error says whether the same may succeed later', async (context) => {
  const status = (code: number): Step => ({ kind: 'status', status: code });
  const mayPass = async (...steps: Step[]) => (await run(context, steps)).error?.mayPass;
  assert.is(await mayPass(status(503), status(503), status(503), status(503)), 'outage');
  const hangUp: Step = { kind: 'hangUp' };
  assert.is(await mayPass(hangUp, hangUp, hangUp, hangUp), 'outage');
  assert.is(await mayPass(status(404), status(404), status(404), status(404)), 'refusal');
  assert.is(await mayPass(status(401)), 'refusal');
  assert.is(await mayPass(status(403)), 'refusal');
  assert.is(await mayPass(status(410)), undefined);
});

test('no secret of the URL is logged or reported', async (context) => {
  const host = testHost();
  context.server.script(Array.from({ length: 4 }, (): Step => ({ kind: 'hangUp' })));
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
  assert.match(stuck.error?.message ?? '', /3 retries in a row without progress/);
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

test('a compressed answer is refused', async (context) => {
  const outcome = await run(context, [{ kind: 'encoded', coding: 'gzip' }]);
  assert.match(
    outcome.error?.message ?? '',
    /^DOWNLOAD_FAILED: .*Content-Encoding gzip although identity was asked/,
  );
});

test('every answer whose body is not wanted is dropped, not left hanging', async (context) => {
  let dropped = 0;
  const real = realNet({ environment: {} });
  const net: Net = {
    ...real,
    request: async (request) => {
      const response = await real.request(request);
      const discard = () => {
        dropped++;
        response.discard();
      };
      return { ...response, discard };
    },
  };
  const unwanted: Step[] = [
    { kind: 'redirect', status: 302, location: '/other' },
    { kind: 'status', status: 503, body: 'x' },
    { kind: 'encoded', coding: 'gzip' },
  ];
  await run(context, unwanted, {}, testHost({ net }));
  assert.is(dropped, 3);
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
  const { download } = await import('../../src/download/download.ts');
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

test('a connection that breaks in the moment of a cancel: the download was cancelled', async (context) => {
  const stop = new AbortController();
  const real = realNet({ environment: {} });
  const net: Net = {
    ...real,
    request: async (request) => {
      const response = await real.request(request);
      async function* body() {
        yield new Uint8Array(1_000);
        stop.abort();
        response.discard();
        throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' });
      }
      return { ...response, body: body() };
    },
  };
  const outcome = await run(context, [], { signal: stop.signal }, testHost({ net }));
  assert.is(outcome.error?.code, 'CANCELLED', outcome.error?.message);
});

test.run();
