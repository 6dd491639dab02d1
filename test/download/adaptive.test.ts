/** Adaptive downloads against a scripted store: what is fetched, what is made, and how they go on after an end. adaptive-faults.test.ts has what goes wrong. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import * as assert from 'uvu/assert';
import { limits } from '../../src/limits.ts';
import { startFaultServer } from '../network/fault-server.ts';
import { obtain, requestFor, testHost } from '../network/rig.ts';
import { deploy, type Files, packageOf } from './adaptive-store.ts';
import { a, adaptiveSuite, download, foreign, many, newStored, offer, oldStored } from './adaptive-suite.ts';

const test = adaptiveSuite('adaptive download');

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
  const small: Files = { 'web/a': { content: a.subarray(0, 100_000), compress: false } };
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

test('entries of another packer, which deflates otherwise, are fetched after one probe', async (context) => {
  const files = many(100, 0, 0);
  const here = deploy(context.directory, files);
  await offer(context, files);
  // A device whose files pack otherwise: level 3 is none of those that are tried.
  context.bytes = foreign(files, (bytes) => deflateRawSync(bytes, { level: 3 }));
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
    context.bytes = foreign(files, (bytes) => deflateRawSync(bytes, { level }));
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

test.run();
