import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DownloadedPackage } from '../../src/download/download.ts';
import { hashPackage, verifyPackage, verifyStored } from '../../src/download/verify.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Files } from '../../src/host/host.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { sealOf } from '../fixtures/seal-of.ts';
import { requestFor, someBytes, temporaryDirectory } from '../network/rig.ts';

const bytes = someBytes(700_001);
const digest = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex');
const request = requestFor('https://store.example.com/p', bytes);
const withSha256 = { ...request, package_sha256: digest('sha256') };
const host = { files: realFiles(), memory: freeMemory };
const never = new AbortController().signal;

interface Context {
  directory: string;
  downloaded: DownloadedPackage;
  remove: () => void;
}

const test = suite<Context>('verify');
test.before.each((context) => {
  const work = temporaryDirectory();
  const path = join(work.path, 'package.zip.part');
  writeFileSync(path, bytes);
  context.directory = work.path;
  context.remove = work.remove;
  const digests = { md5: digest('md5'), sha256: digest('sha256'), seal: sealOf(bytes, '0'.repeat(64)) };
  context.downloaded = { kind: 'downloaded', path, sizeBytes: bytes.length, ...digests, resumed: false };
});
test.after.each((context) => context.remove());

test('a match gets its final name, durably', async ({ directory, downloaded }) => {
  const calls: string[] = [];
  const files: Files = {
    ...host.files,
    rename: async (from, to) => {
      await host.files.rename(from, to);
      calls.push('rename');
    },
    syncDirectory: async (path) => {
      calls.push(`sync ${path}`);
    },
  };
  const verified = await verifyPackage({ files }, downloaded, withSha256);
  assert.is(verified.path, join(directory, 'package.zip'));
  assert.equal(readdirSync(directory), ['package.zip']);
  assert.equal(calls, ['rename', `sync ${directory}`]);
});

test('upper-case digests in a request match', async ({ downloaded }) => {
  await verifyPackage(host, downloaded, { ...request, package_md5: request.package_md5.toUpperCase() });
});

const mismatches: readonly (readonly [string, object, object, RegExp])[] = [
  ['size', { sizeBytes: 5 }, {}, /^SIZE_MISMATCH: package\.zip: expected 700001 bytes, got 5$/],
  ['MD5', { md5: 'a'.repeat(32) }, {}, /^MD5_MISMATCH: package\.zip: expected [0-9a-f]{32}, got a{32}$/],
  [
    'SHA-256',
    {},
    { package_sha256: 'b'.repeat(64) },
    /^SHA256_MISMATCH: package\.zip: expected b{64}, got [0-9a-f]{64}$/,
  ],
];
for (const [what, found, asked, text] of mismatches) {
  test(`a wrong ${what} deletes the file and tells both values`, async ({ directory, downloaded }) => {
    const act = verifyPackage(host, { ...downloaded, ...found }, { ...withSha256, ...asked });
    assert.match(await failureOf(act), text);
    assert.equal(readdirSync(directory), []);
  });
}

test('a rename that fails is told', async ({ downloaded, directory }) => {
  mkdirSync(join(directory, 'package.zip'));
  assert.match(
    await failureOf(verifyPackage(host, downloaded, request)),
    /^DOWNLOAD_FAILED: rename .*E(ISDIR|NOTEMPTY)/,
  );
});

test('a stored package is verified again by reading it', async ({ directory }) => {
  assert.is(await verifyStored(host, directory, request, never), undefined);
  writeFileSync(join(directory, 'package.zip'), bytes);
  const verified = await verifyStored(host, directory, withSha256, never);
  assert.equal(verified, {
    kind: 'verified',
    path: join(directory, 'package.zip'),
    sizeBytes: bytes.length,
    md5: digest('md5'),
    sha256: digest('sha256'),
    seal: sealOf(bytes, verified?.seal.key ?? ''),
  });
});

test('a stored package that rotted is deleted', async ({ directory }) => {
  const path = join(directory, 'package.zip');
  const rotten = Uint8Array.from(bytes);
  rotten.fill(0, 400_000, 400_001 + 4096);
  for (const [content, text] of [
    [rotten, /^MD5_MISMATCH/],
    [bytes.subarray(1), /^SIZE_MISMATCH/],
  ] as const) {
    writeFileSync(path, content);
    assert.match(await failureOf(verifyStored(host, directory, request, never)), text);
    assert.not(existsSync(path));
  }
});

test('a symlink under the final name is not followed', async ({ directory, downloaded }) => {
  symlinkSync(downloaded.path, join(directory, 'package.zip'));
  assert.match(await failureOf(verifyStored(host, directory, request, never)), /package\.zip is a symlink/);
});

test('hashing leaves the event loop free, stops on a signal and tells an unreadable file', async ({
  downloaded,
}) => {
  let turns = 0;
  const ticking = setInterval(() => turns++, 0);
  const digests = await hashPackage(host, downloaded.path, true, never);
  clearInterval(ticking);
  const seal = sealOf(bytes, digests.seal.key);
  assert.equal(digests, { sizeBytes: bytes.length, md5: digest('md5'), sha256: digest('sha256'), seal });
  const reason = new Error('enough');
  const stopped = await hashPackage(host, downloaded.path, false, AbortSignal.abort(reason)).catch(
    (e: unknown) => e,
  );
  assert.is(stopped, reason);
  assert.match(
    await failureOf(hashPackage(host, '/no/such', false, never)),
    /^DOWNLOAD_FAILED: read \/no\/such: ENOENT/,
  );
  assert.equal(readFileSync(downloaded.path), Buffer.from(bytes));
});

test.run();

async function failureOf(act: Promise<unknown>): Promise<string> {
  return act.then(
    () => 'nothing was thrown',
    (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown)),
  );
}
