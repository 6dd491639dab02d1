/** Adaptive downloads against a scripted store: what is fetched, what is made, and the right bytes whatever goes wrong. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Candidates } from '../../src/download/candidates.ts';
import { limits } from '../../src/limits.ts';
import { type FaultServer, type Step, startFaultServer } from '../network/fault-server.ts';
import { obtain, type RunOptions, requestFor, temporaryDirectory, testHost } from '../network/rig.ts';
import { type Profile, plainProfile } from '../network/store-profile.ts';
import { suite } from '../runner/suites.ts';
import { deploy, type Files, packageOf, text } from './adaptive-store.ts';

interface Context {
  directory: string;
  server: FaultServer;
  bytes: Buffer;
  cleanUp: () => void;
}
const test = suite<Context>('adaptive download', {} as Context);
test.before.each((context) => {
  const work = temporaryDirectory();
  Object.assign(context, { directory: work.path, cleanUp: work.remove });
});
test.after.each(async ({ server, cleanUp }) => {
  await server?.close();
  cleanUp();
});

const stored = (content: Buffer) => ({ content, compress: false });
const [a, b, c, c2] = [1, 2, 3, 4].map(() => randomBytes(600_000)) as [Buffer, Buffer, Buffer, Buffer];
const oldStored: Files = { 'web/a': stored(a), 'web/b': stored(b), 'web/c': stored(c) };
const newStored: Files = { 'web/a': stored(a), 'web/b': stored(b), 'web/c': stored(c2) };

function many(count: number, changed: number, seed: number): Files {
  const names = Array.from({ length: count }, (_, n) => `web/${String(n).padStart(4, '0')}.js`);
  const every = Math.max(1, Math.floor(count / Math.max(changed, 1)));
  return Object.fromEntries(
    names.map((name, n) => [name, { content: text(n + (changed > 0 && n % every === 0 ? seed : 0), 9_000) }]),
  );
}

interface Run {
  readonly fetched: number;
  readonly reused: number;
  readonly requests: number;
  readonly asked: string[];
  readonly lines: readonly string[];
  readonly error: string | undefined;
}

async function offer(
  context: Context,
  files: Files,
  profile: Profile = plainProfile,
  steps: readonly Step[] = [],
) {
  context.bytes = await packageOf(join(context.directory, 'new.zip'), files);
  context.server = await startFaultServer({
    versions: [context.bytes, randomBytes(context.bytes.length)],
    profile,
    steps,
  });
}

async function download(
  context: Context,
  candidates: Candidates | undefined,
  options: RunOptions = {},
): Promise<Run> {
  const host = testHost();
  const counted = { fetched: 0, reused: 0, requests: 0 };
  const seenBefore = context.server.seen.length;
  const outcome = await obtain(host, context.directory, requestFor(context.server.url, context.bytes), {
    // So slow that deflating is worth it on any machine; the clock's sleeps take no time.
    bytesPerSecond: 1_000,
    ...options,
    candidates,
    onReceived: (bytes) => {
      counted.fetched += bytes;
    },
    onReused: (bytes) => {
      counted.reused += bytes;
    },
    onRequest: () => {
      counted.requests += 1;
    },
  });
  if (outcome.error === undefined)
    assert.ok(context.bytes.equals(Buffer.from(outcome.file ?? [])), 'the right bytes');
  assert.not(existsSync(join(context.directory, 'package.zip.tail')) && outcome.error === undefined);
  const asked = context.server.seen
    .slice(seenBefore)
    .map(({ headers, status }) => `${headers.range ?? 'whole'} ${status}`);
  return { ...counted, asked, lines: host.lines, error: outcome.error?.message };
}

test('stored, one of three changed: a third is fetched', async (context) => {
  const here = deploy(context.directory, oldStored);
  await offer(context, newStored);
  const { fetched, reused, requests } = await download(context, here);
  assert.ok(
    fetched <= 0.335 * context.bytes.length + limits.tailBytes,
    `${fetched} of ${context.bytes.length}`,
  );
  assert.ok(reused > 1_100_000);
  assert.ok(requests <= 4, `${requests} requests`);
});

test.long('deflated, 20 of 2000 changed: at most 7.5 %', async (context) => {
  const here = deploy(context.directory, many(2000, 0, 0));
  await offer(context, many(2000, 20, 100_000));
  const { fetched, requests } = await download(context, here);
  assert.ok(fetched <= 0.075 * context.bytes.length, `${fetched} of ${context.bytes.length}`);
  assert.ok(requests <= 40, `${requests} requests`);
});

test('all changed: at most 1 kB and two requests more', async (context) => {
  const here = deploy(context.directory, many(300, 0, 0));
  await offer(context, many(300, 300, 100_000));
  const { fetched, requests } = await download(context, here);
  assert.ok(fetched <= context.bytes.length + 1_000, `${fetched} of ${context.bytes.length}`);
  assert.ok(requests <= 3, `${requests} requests`);
});

test('without candidates, and for a small package, the very request of before', async (context) => {
  await offer(context, newStored);
  assert.equal((await download(context, undefined)).asked, ['whole 200']);
  await context.server.close();
  rmSync(join(context.directory, 'package.zip'));
  const small: Files = { 'web/a': stored(a.subarray(0, 100_000)) };
  await offer(context, small);
  assert.equal((await download(context, deploy(context.directory, small))).asked, ['whole 200']);
});

test.long('the kept package gives deflated entries as they are', async (context) => {
  const old = many(400, 0, 0);
  const keptPackage = join(context.directory, 'kept.zip');
  await packageOf(keptPackage, old, '1.0.0');
  await offer(context, many(400, 4, 100_000));
  const { fetched } = await download(context, { ...deploy(context.directory, {}), keptPackage });
  assert.ok(fetched <= 0.2 * context.bytes.length, `${fetched} of ${context.bytes.length}`);
});

test('a link faster than deflating fetches what would have to be deflated, and copies what is stored', async (context) => {
  const here = deploy(context.directory, { ...many(300, 0, 0), ...oldStored });
  await offer(context, { ...many(300, 3, 100_000), ...newStored });
  const { fetched, reused } = await download(context, here, { bytesPerSecond: undefined });
  assert.ok(reused > 1_100_000 && fetched > 0, `${reused} reused`);
});

// --------------------------------------------------------------------------------- servers and what they do wrong

test('a server without ranges: its first answer is the download', async (context) => {
  const here = deploy(context.directory, oldStored);
  await offer(context, newStored, { ...plainProfile, ranges: false });
  const run = await download(context, here);
  assert.is(run.asked.length, 1);
  assert.match(run.asked[0] ?? '', /^bytes=\d+-\d+ 200$/);
});

for (const status of [416, 404, 503])
  test(`HTTP ${status} to the first question`, async (context) => {
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
  test(`a deployed file that is ${what} is fetched, the others are used`, async (context) => {
    const here = deploy(context.directory, oldStored);
    spoil(join(context.directory, 'web/a'));
    await offer(context, newStored);
    const { error, fetched, asked } = await download(context, here);
    assert.is(error, undefined);
    assert.ok(fetched < 0.75 * context.bytes.length, `${fetched}`);
    assert.not(asked.includes('whole 200'));
  });

test('entries of another packer, which deflates otherwise, are fetched after one probe', async (context) => {
  const files = many(100, 0, 0);
  const here = deploy(context.directory, files);
  await offer(context, files);
  // A device whose files pack otherwise: level 3 is none of those that are tried.
  const { deflateRawSync } = await import('node:zlib');
  context.bytes = await foreign(files, (bytes) => deflateRawSync(bytes, { level: 3 }));
  await context.server.close();
  context.server = await startFaultServer({ versions: [context.bytes] });
  const { error, reused, lines, asked } = await download(context, here);
  assert.is(error, undefined);
  assert.match(lines.join('\n'), /does not make what the packer made/);
  assert.ok(reused <= limits.tailBytes + 1_000, `${reused}`);
  assert.not(asked.includes('whole 200'));
});

for (const level of [1, 9])
  test(`a package deflated at level ${level} is made again`, async (context) => {
    const files = many(200, 0, 0);
    const { deflateRawSync } = await import('node:zlib');
    context.bytes = await foreign(files, (bytes) => deflateRawSync(bytes, { level }));
    context.server = await startFaultServer({ versions: [context.bytes] });
    const { fetched } = await download(context, deploy(context.directory, files));
    assert.ok(fetched < 0.3 * context.bytes.length, `${fetched} of ${context.bytes.length}`);
  });

// --------------------------------------------------------------------------------- cuts and resumes

test.long('a download that is cancelled anywhere goes on, with the tail that it kept', async (context) => {
  const here = deploy(context.directory, { ...oldStored, ...many(60, 0, 0) });
  await offer(context, { ...newStored, ...many(60, 6, 100_000) });
  const total = context.bytes.length;
  const bound = (await download(context, here)).fetched;
  for (let part = 0; part < 50; part += 1) {
    for (const name of ['package.zip', 'package.zip.part', 'package.zip.tail'])
      rmSync(join(context.directory, name), { force: true });
    const stop = new AbortController();
    const first = await obtain(testHost(), context.directory, requestFor(context.server.url, context.bytes), {
      bytesPerSecond: 1_000,
      candidates: here,
      signal: stop.signal,
      onProgress: (bytes) => {
        if (bytes >= (part / 50) * total) stop.abort();
      },
    });
    // Where all that is left is here already, there is nothing to cancel.
    if (first.error === undefined && part >= 45) continue;
    assert.is(first.error?.code, 'CANCELLED', `cut at ${part}/50`);
    if (part % 3 === 0) rmSync(join(context.directory, 'package.zip.tail'), { force: true });
    const resume = first.saved.at(-1);
    const { fetched, error } = await download(context, here, { resume });
    assert.is(error, undefined, `cut at ${part}/50`);
    assert.ok(fetched <= bound + 3 * limits.tailBytes, `cut at ${part}/50: ${fetched} of ${bound}`);
  }
});

test('a start that finds the end of the package alone goes on with it, whether or not it knows what it is called', async (context) => {
  const here = deploy(context.directory, oldStored);
  await offer(context, newStored);
  const stop = new AbortController();
  const first = await obtain(testHost(), context.directory, requestFor(context.server.url, context.bytes), {
    candidates: here,
    signal: stop.signal,
    onProgress: (bytes) => bytes > 0 && stop.abort(),
  });
  const tail = readFileSync(join(context.directory, 'package.zip.tail'));
  for (const resume of [first.saved.at(-1), undefined]) {
    // What waited in memory went with the process.
    rmSync(join(context.directory, 'package.zip'), { force: true });
    rmSync(join(context.directory, 'package.zip.part'), { force: true });
    writeFileSync(join(context.directory, 'package.zip.tail'), tail);
    const { asked } = await download(context, here, { resume });
    assert.ok(
      asked.length > 0 && asked.every((range) => /^bytes=\d+-\d+ 206$/.test(range)),
      asked.join(', '),
    );
  }
});

test('a torn tail beside the partial file is asked for again', async (context) => {
  const here = deploy(context.directory, oldStored);
  await offer(context, newStored);
  writeFileSync(join(context.directory, 'package.zip.tail'), '{"md5":"x"}\ntorn');
  const { asked } = await download(context, here);
  assert.match(asked[0] ?? '', /^bytes=\d+-\d+ 206$/);
});

test.run();

/** The same entries, deflated by `pack`. */
async function foreign(files: Files, pack: (bytes: Buffer) => Buffer): Promise<Buffer> {
  const { crc32 } = await import('node:zlib').then(async (zlib) => ({
    crc32: (await import('../../src/zip/crc32.ts')).fastestCrc32(zlib),
  }));
  const [locals, centrals]: [Buffer[], Buffer[]] = [[], []];
  let at = 0;
  for (const [name, { content }] of Object.entries(files)) {
    const bytes = Buffer.from(content as Uint8Array);
    const packed = pack(bytes);
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(8, 4);
    shared.writeUInt16LE(0x21, 8);
    shared.writeUInt32LE(crc32(bytes, 0), 10);
    shared.writeUInt32LE(packed.length, 14);
    shared.writeUInt32LE(bytes.length, 18);
    shared.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), shared, Buffer.from(name), packed]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(at, 10);
    centrals.push(
      Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), shared, place, Buffer.from(name)]),
    );
    locals.push(local);
    at += local.length;
  }
  const directory = Buffer.concat(centrals);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(locals.length, 8);
  end.writeUInt16LE(locals.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...locals, directory, end]);
}
