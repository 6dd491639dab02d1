/** Whatever a download waits for may never come: each part is made to hang, is named, and the download goes on or ends. */
import { createHash, randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { hashPackage } from '../../src/download/verify.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Files, Net } from '../../src/host/host.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { realNet } from '../../src/host/net.ts';
import { limits } from '../../src/limits.ts';
import { type Call, hangingFiles } from '../fixtures/hanging-files.ts';
import { startFaultServer } from '../network/fault-server.ts';
import { obtain, requestFor, testHost } from '../network/rig.ts';
import { asked, assertRight, right, run, storeSuite } from '../network/store-suite.ts';
import { deploy, packageOf } from './adaptive-store.ts';

const test = storeSuite('stuck');
const never = new Promise<never>(() => undefined);
const options = { stallTimeoutMs: 2_000, stuckTimeoutMs: 250 };

/** The first `count` calls of `what` on an open file hang. */
function hangingFirst(what: 'write' | 'sync' | 'read', count: number): Files {
  let left = count;
  return hangingFiles((call) => call === what && left-- > 0);
}

test('a write to the disk that never returns is named, and the file is opened anew', async (context) => {
  const host = testHost({ files: hangingFirst('write', 1) });
  assertRight(await run(context, [], options, host));
  assert.match(
    host.lines.join('\n'),
    /the disk \(write \S+package\.zip\.part\) does not go on: nothing was .* 0\.25 s/,
  );
  assert.is(asked(context).length, 2);
});

test('a disk that never answers ends the download, by name', async (context) => {
  const outcome = await run(context, [], options, testHost({ files: hangingFirst('sync', 1_000) }));
  assert.match(
    outcome.error?.message ?? '',
    /^DOWNLOAD_FAILED: .*the disk \(sync \S+\.part\) does not go on/,
  );
});

test('a disk that does not give back what an earlier download left is tried again, then named', async (context) => {
  const part = join(context.directory, 'package.zip.part');
  for (const count of [1, 1_000]) {
    writeFileSync(part, right.subarray(0, 100_000));
    const resume = { bytes_downloaded: 100_000, etag: null, last_modified: null, total: null };
    const outcome = await run(
      context,
      [],
      { ...options, resume },
      testHost({ files: hangingFirst('read', count) }),
    );
    if (count === 1) assertRight(outcome);
    else
      assert.match(
        outcome.error?.message ?? '',
        /^DOWNLOAD_FAILED: \S+package\.zip\.part: the disk \(what an earlier download left\) does not go on/,
      );
    rmSync(join(context.directory, 'package.zip'), { force: true });
  }
});

const hangs: readonly (readonly [what: string, isMeant: Call, named: RegExp])[] = [
  [
    'the look for a package that is there already',
    (call, path) => call === 'stat' && path.endsWith('.zip'),
    /the disk \(package\.zip, found complete\) does not go on/,
  ],
  ['the question for room', (call) => call === 'space', /the disk \(room in \S+\) does not go on/],
  [
    'the close of the partial file',
    (call, path) => call === 'close' && path.endsWith('.part'),
    /the disk \(close \S+\.part\) does not go on/,
  ],
  [
    'the rename to the final name',
    (call) => call === 'rename',
    /the disk \(\S+\.part and its final name\) does not go on/,
  ],
  [
    'the sync of that name',
    (call) => call === 'syncDirectory',
    /the disk \(\S+\.part and its final name\) does not go on/,
  ],
];
for (const [what, isMeant, named] of hangs)
  test(`${what} never returns: the download ends, by name, and may be asked for again`, async (context) => {
    const { error } = await run(context, [], options, testHost({ files: hangingFiles(isMeant) }));
    assert.is(error?.code, 'DOWNLOAD_FAILED', error?.message);
    assert.match(error?.message ?? '', named);
    assert.is(error?.mayPass, 'outage');
    assertRight(await run(context, []));
  });

test('a package found complete that cannot be read to its end', async (context) => {
  writeFileSync(join(context.directory, 'package.zip'), right);
  const files = hangingFiles((call, path) => call === 'read' && path.endsWith('package.zip'));
  const { error } = await run(context, [], options, testHost({ files }));
  assert.match(error?.message ?? '', /the disk \(package\.zip, found complete\) does not go on/);
});

test('a state file that the disk never takes', async (context) => {
  const outcome = await run(context, [], { ...options, saveResume: () => never });
  assert.match(outcome.error?.message ?? '', /^DOWNLOAD_FAILED: .*the state file does not go on/);
});

test('a file here that never gives its bytes: all is fetched, nothing of what has come is lost', async (context) => {
  const file = { content: randomBytes(400_000), compress: false };
  const here = deploy(join(context.directory, 'device'), { 'web/a': file });
  const bytes = await packageOf(join(context.directory, 'new.zip'), {
    'web/0': { content: randomBytes(90_000), compress: false },
    'web/a': file,
  });
  await context.server.close();
  context.server = await startFaultServer({ versions: [bytes] });
  const host = testHost({
    files: hangingFiles((call, path) => call === 'read' && path.includes('/device/')),
  });
  const outcome = await obtain(host, context.directory, requestFor(context.server.url, bytes), {
    ...options,
    candidates: here,
  });
  assert.is(outcome.error, undefined, outcome.error?.message);
  assert.match(host.lines.join('\n'), /making what is here already does not go on/);
  assert.match(asked(context).join(), /^bytes=\d+-\d+ 206,bytes=0-\d+ 206,bytes=\d+- 206$/);
});

test('what was made wrong and is not cut off', async (context) => {
  const content = randomBytes(400_000);
  const here = deploy(join(context.directory, 'device'), { 'web/a': { content } });
  writeFileSync(join(context.directory, 'device/web/a'), randomBytes(400_000));
  const bytes = await packageOf(join(context.directory, 'new.zip'), {
    'web/a': { content, compress: false },
  });
  await context.server.close();
  context.server = await startFaultServer({ versions: [bytes] });
  const host = testHost({ files: hangingFiles((call) => call === 'truncate') });
  const outcome = await obtain(host, context.directory, requestFor(context.server.url, bytes), {
    ...options,
    candidates: here,
  });
  assert.match(
    outcome.error?.message ?? '',
    /^DOWNLOAD_FAILED: .*the disk \(truncate \S+\.part\) does not go on/,
  );
});

test('files here that cannot be looked at cost what they would have saved', async (context) => {
  const candidates = {
    keptPackage: undefined,
    deployed: () => ({ [Symbol.asyncIterator]: () => ({ next: () => never }) }),
  };
  const bytes = await packageOf(join(context.directory, 'new.zip'), {
    'web/a': { content: randomBytes(400_000), compress: false },
  });
  await context.server.close();
  context.server = await startFaultServer({ versions: [bytes] });
  const host = testHost();
  const outcome = await obtain(host, context.directory, requestFor(context.server.url, bytes), {
    ...options,
    candidates,
  });
  assert.is(outcome.error, undefined, outcome.error?.message);
  assert.match(host.lines.join('\n'), /looking at what is here already does not go on.*; all is fetched/);
  await context.server.close();
});

test('a body whose next chunk never comes, and whose own stall time never ends', async (context) => {
  const real = realNet({ environment: {} });
  let left = 1;
  const net: Net = {
    ...real,
    request: async (request) => {
      const response = await real.request(request);
      if (left-- <= 0) return response;
      return { ...response, body: { [Symbol.asyncIterator]: () => ({ next: () => never }) } };
    },
  };
  const host = testHost({ net });
  assertRight(await run(context, [], options, host));
  assert.match(host.lines.join('\n'), /the body does not go on/);
});

test('a request that never comes back', async (context) => {
  const real = realNet({ environment: {} });
  let left = 1;
  const net: Net = { ...real, request: (request) => (left-- > 0 ? never : real.request(request)) };
  const host = testHost({ net });
  assertRight(await run(context, [], options, host));
  assert.match(host.lines.join('\n'), /the request does not go on/);
});

const large = randomBytes(limits.digestThreadFromBytes + 5_000_000);

/** Makes the digest's thread one that never digests: its words reach it, and nothing comes back. */
async function withDeafThread(act: () => Promise<void>): Promise<void> {
  const { store } = Atomics;
  const looks = { digestLookMs: limits.digestLookMs, digestStuckMs: limits.digestStuckMs };
  Object.assign(limits, { digestLookMs: 20, digestStuckMs: 200 });
  Object.assign(Atomics, {
    store: (array: Int32Array, index: number, value: number) =>
      index === 0 ? value : store(array, index, value),
  });
  try {
    await act();
  } finally {
    Object.assign(Atomics, { store });
    Object.assign(limits, looks);
  }
}

test('a thread that does not go on is given up, and the next try goes without it', async (context) => {
  await context.server.close();
  context.server = await startFaultServer({ versions: [large] });
  await withDeafThread(async () => {
    const host = testHost();
    const outcome = await obtain(host, context.directory, requestFor(context.server.url, large), {
      stallTimeoutMs: 20_000,
    });
    assert.is(outcome.error, undefined, outcome.error?.message);
    assert.match(
      host.lines.join('\n'),
      /the thread of the md5 digest does not go on; going on without a thread/,
    );
    assert.match(asked(context).join(), /^whole 200,bytes=\d+- 206$/);
  });
  await context.server.close();
});

test('a verification whose thread does not go on reads once more without it', async (context) => {
  const path = join(context.directory, 'large');
  writeFileSync(path, large);
  await withDeafThread(async () => {
    const { md5 } = await hashPackage(testHost(), path, false, new AbortController().signal);
    assert.is(md5, createHash('md5').update(large).digest('hex'));
  });
});

test('notifications that are all lost cost time, and no more', async (context) => {
  const path = join(context.directory, 'large');
  writeFileSync(path, large.subarray(0, limits.digestThreadFromBytes));
  const { notify } = Atomics;
  const lookMs = limits.digestLookMs;
  Object.assign(limits, { digestLookMs: 5 });
  Object.assign(Atomics, { notify: () => 0 });
  try {
    const host = { files: realFiles(), memory: freeMemory };
    const { md5 } = await hashPackage(host, path, false, new AbortController().signal);
    assert.is(md5, createHash('md5').update(large.subarray(0, limits.digestThreadFromBytes)).digest('hex'));
  } finally {
    Object.assign(Atomics, { notify });
    Object.assign(limits, { digestLookMs: lookMs });
  }
});

test.run();
