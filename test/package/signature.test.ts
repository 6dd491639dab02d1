/** minisign signatures: ours against the real tool in both directions, and every way to spoil one. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFiles } from '../../src/host/files.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { openArchive } from '../../src/package/archive.ts';
import { readRelease } from '../../src/package/read-release.ts';
import { parseTrustedKey, type TrustedKey, verifyManifestSignature } from '../../src/package/signature.ts';
import { newSigner } from '../fixtures/minisign-signer.ts';
import { buildPackage, type PackageSpec } from '../fixtures/package-builder.ts';
import { cheapKeyFile } from '../fixtures/secret-key-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'signature-'));
const manifest = Buffer.from('{"version":"1.2.3"}\n');

async function refusal(
  minisig: Uint8Array | undefined,
  keys: readonly TrustedKey[],
  file: Uint8Array = manifest,
): Promise<string> {
  return verifyManifestSignature(file, minisig, keys).then(
    () => 'accepted',
    (thrown: Error) => thrown.message,
  );
}

const signing = suite('minisign signatures');

for (const legacy of [true, false]) {
  const kind = legacy ? 'legacy' : 'prehashed';

  signing(`a good ${kind} signature tells its key and trusted comment`, async () => {
    const signer = newSigner();
    const minisig = signer.sign(manifest, { legacy, trustedComment: 'timestamp:1 grüße\u001b[2J' });
    const key = parseTrustedKey(signer.publicKey);
    assert.equal(await verifyManifestSignature(manifest, minisig, [key]), {
      keyId: key.id,
      trustedComment: 'timestamp:1 grüße\\u{1b}[2J',
    });
  });

  signing(`any changed bit of a ${kind} signature or its manifest is noticed`, async () => {
    const signer = newSigner();
    const keys = [parseTrustedKey(signer.publicKey)];
    const minisig = signer.sign(manifest, { legacy });
    const untrusted = minisig.indexOf('\n');
    for (let at = 0; at < minisig.length; at++) {
      // The untrusted comment and the line break at the end are what the format leaves open.
      if ((at >= 'untrusted comment: '.length && at < untrusted) || at === minisig.length - 1) continue;
      const changed = Buffer.from(minisig);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.match(await refusal(changed, keys), /^SIGNATURE_INVALID: /, `byte ${at}`);
    }
    for (let at = 0; at < manifest.length; at++) {
      const changed = Buffer.from(manifest);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.match(await refusal(minisig, keys, changed), /^SIGNATURE_INVALID: the signature of key/);
    }
  });
}

signing('a signature is refused for each reason in its own words', async () => {
  const [signer, other] = [newSigner(), newSigner()];
  const keys = [parseTrustedKey(signer.publicKey)];
  const good = signer.sign(manifest).toString();
  const [first = '', second = '', third = '', fourth = ''] = good.split('\n');
  const text = (...lines: string[]) => Buffer.from(`${lines.join('\n')}\n`);
  const cases: [RegExp, Buffer | undefined][] = [
    [/is not signed/, undefined],
    [/not a minisign signature/, Buffer.alloc(0)],
    [/not a minisign signature/, text(second, third, fourth)],
    [/not a minisign signature/, text(first, second, third, fourth, 'more')],
    [/second line/, text(first, '', third, fourth)],
    [/second line/, text(first, `${second.slice(0, -4)}`, third, fourth)],
    [/second line/, text(first, `${second} `, third, fourth)],
    [/second line/, text(first, Buffer.alloc(74).toString('base64'), third, fourth)],
    [/third line/, text(first, second, 'comment: x', fourth)],
    [/fourth line/, text(first, second, third)],
    [/trusted comment was changed/, text(first, second, `${third}!`, fourth)],
    [/trusted comment was changed/, text(first, second, third, Buffer.alloc(64).toString('base64'))],
    [/which is not trusted \(trusted: [0-9A-F]+\)/, other.sign(manifest)],
  ];
  for (const [says, minisig] of cases) {
    const message = await refusal(minisig, keys);
    assert.match(message, /^SIGNATURE_INVALID: /);
    assert.match(message, says);
  }
  assert.is(await refusal(Buffer.from(good.replaceAll('\n', '\r\n')), keys), 'accepted');
});

signing('with two trusted keys either may sign', async () => {
  const signers = [newSigner(), newSigner()];
  const keys = signers.map(({ publicKey }) => parseTrustedKey(publicKey));
  for (const signer of signers) assert.is(await refusal(signer.sign(manifest), keys), 'accepted');
  // The same id does not make it the same key.
  const [a, b] = keys;
  assert.ok(a !== undefined && b !== undefined);
  const swapped = [{ id: a.id, publicKey: b.publicKey }];
  assert.match(await refusal(signers[0]?.sign(manifest), swapped), /does not fit/);
});

signing('a trusted key is read from its line or its file, and nothing else is', () => {
  const { publicKey } = newSigner();
  const key = parseTrustedKey(publicKey);
  assert.equal(parseTrustedKey(`untrusted comment: minisign public key ${key.id}\n${publicKey}\n`), key);
  assert.equal(parseTrustedKey(`untrusted comment: x\r\n${publicKey}\r\n`), key);
  // As a number, the id may start with zeros.
  const small = Buffer.concat([
    Buffer.from('Ed'),
    Buffer.from([0x2a, 1, 0, 0, 0, 0, 0, 0]),
    Buffer.alloc(32),
  ]);
  assert.is(parseTrustedKey(small.toString('base64')).id, '12A');
  for (const bad of [
    '',
    'x',
    publicKey.slice(4),
    `${publicKey}\n${publicKey}`,
    Buffer.alloc(42).toString('base64'),
  ])
    assert.throws(() => parseTrustedKey(bad), /^VALIDATION_ERROR: it is not a minisign public key$/);
});

signing('a secret key given as the public one is called so, and nothing of it is told', () => {
  for (const text of [cheapKeyFile(), cheapKeyFile('password')]) {
    const line = text.split('\n')[1] ?? '';
    for (const given of [text, line]) {
      const { message } = thrownBy(() => parseTrustedKey(given));
      assert.match(message, /a minisign SECRET key: give the public one \(\.pub\)/);
      for (let at = 0; at + 12 <= line.length; at++) assert.not.ok(message.includes(line.slice(at, at + 12)));
    }
  }
});

signing.run();

function thrownBy(act: () => unknown): Error {
  try {
    act();
  } catch (thrown) {
    if (thrown instanceof Error) return thrown;
  }
  throw new Error('nothing was thrown');
}

const packages = suite('signed packages');
const rules = { expectedVersion: '1.2.3', allowedRoots: ['/opt/tope'], workDirectory: '/opt/tope/updater' };
const spec: PackageSpec = {
  version: '1.2.3',
  modules: [
    { name: 'app', src: 'app', dst: '/opt/tope/app' },
    { name: 'web', src: 'web', dst: '/opt/tope/web' },
  ],
  files: { app: 'program', 'web/index.html': '<p>', 'web/empty/': '' },
};

async function read(changes: Partial<PackageSpec>, keys: readonly TrustedKey[]) {
  const { path } = await buildPackage({ ...spec, ...changes }, join(directory, 'package.zip'));
  const archive = await openArchive(
    {
      files: realFiles(),
      memory: freeMemory,
    },
    path,
  );
  try {
    return await readRelease(archive, rules, keys);
  } finally {
    await archive.close();
  }
}

async function readError(changes: Partial<PackageSpec>, keys: readonly TrustedKey[]): Promise<string> {
  return read(changes, keys).then(
    () => 'accepted',
    (thrown: Error) => thrown.message,
  );
}

packages('a signed package with digests for every file is accepted', async () => {
  const signer = newSigner();
  const key = parseTrustedKey(signer.publicKey);
  const { release, signed } = await read({ withDigests: true, sign: signer.sign }, [key]);
  assert.equal(signed, { keyId: key.id, trustedComment: 'made by a test' });
  assert.ok(release.modules.every(({ files }) => [...files].every(({ sha256 }) => sha256?.length === 64)));
});

packages('without trusted keys no signature is asked for', async () => {
  assert.is((await read({}, [])).signed, undefined);
  assert.is((await read({ sign: () => Buffer.from('junk') }, [])).signed, undefined);
});

packages('with a trusted key, what the signature does not cover is refused', async () => {
  const signer = newSigner();
  const keys = [parseTrustedKey(signer.publicKey)];
  const { sign } = signer;
  const digests = { withDigests: true, sign };
  assert.match(await readError({ withDigests: true }, keys), /^SIGNATURE_INVALID: .*not signed/);
  assert.match(
    await readError({ ...digests, sign: newSigner().sign }, keys),
    /^SIGNATURE_INVALID: .*not trusted/,
  );
  assert.match(await readError({ sign }, keys), /^SIGNATURE_INVALID: .*no sha256 for "app"/);
  const onlyMd5 = spec.modules.map((module) => ({ ...module, md5: 'a'.repeat(32) })).slice(0, 1);
  assert.match(await readError({ sign, modules: onlyMd5 }, keys), /^SIGNATURE_INVALID: .*no sha256/);
  assert.match(
    await readError({ ...digests, sign: () => Buffer.alloc(20_000, 'x') }, keys),
    /^INVALID_PACKAGE: .*20000 bytes, more than/,
  );
});

packages('a file added to or taken from a signed tree is refused', async () => {
  const signer = newSigner();
  const keys = [parseTrustedKey(signer.publicKey)];
  // The manifest of the whole package, in packages with a file more and a file less.
  const { release } = await read({ withDigests: true }, []);
  const files = release.modules
    .flatMap((module) => [...module.files])
    .map(({ entry, sizeBytes, sha256 }) => ({ path: entry, size: sizeBytes, sha256 }));
  const changed = { manifest: { files, directories: ['web/empty'] }, sign: signer.sign };
  assert.is(await readError(changed, keys), 'accepted');
  assert.match(
    await readError({ ...changed, files: { ...spec.files, 'web/evil.js': '' } }, keys),
    /^SIGNATURE_INVALID: .*"web\/evil.js"/,
  );
  const { app } = spec.files;
  assert.ok(app !== undefined);
  assert.match(
    await readError({ ...changed, files: { app, 'web/empty/': '' } }, keys),
    /^INVALID_MANIFEST: .*not a file/,
  );
});

packages(
  'a directory that a signed manifest does not name is refused, one that it names is not',
  async () => {
    const signer = newSigner();
    const keys = [parseTrustedKey(signer.publicKey)];
    const files = {
      app: 'program',
      'web/index.html': '<p>',
      'web/js/a.js': 'x',
      'web/': '',
      'web/js/': '',
      'web/var/log/': '',
      'notes/': '',
    };
    const { release } = await read({ withDigests: true, files }, []);
    const listed = release.modules
      .flatMap((module) => [...module.files])
      .map(({ entry, sizeBytes, sha256 }) => ({ path: entry, size: sizeBytes, sha256 }));
    const signed = (directories?: string[]) =>
      readError(
        { files, manifest: { files: listed, ...(directories && { directories }) }, sign: signer.sign },
        keys,
      );
    assert.match(await signed(), /^SIGNATURE_INVALID: .*empty directory "web\/var\/log"/);
    assert.match(await signed(['web/js']), /^SIGNATURE_INVALID: .*empty directory "web\/var\/log"/);
    assert.is(await signed(['web/var/log']), 'accepted');
    assert.is(await signed(['web/var/log/', 'web/js']), 'accepted');
    assert.match(
      await signed(['web/var/log', 'web/none']),
      /^INVALID_MANIFEST: .*directories\[1\].*not a directory/,
    );
    assert.match(await signed(['web/js/a.js']), /^INVALID_MANIFEST: .*directories\[0\].*not a directory/);
  },
);

packages.run();

const interoperation = suite("Debian's minisign");
const hasMinisign = spawnSync('minisign', ['-v']).status === 0;
if (!hasMinisign)
  console.log(
    "skipped: interoperation with minisign: the program is not installed (Debian package 'minisign')",
  );

function minisign(args: readonly string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('minisign', args, { cwd: directory, timeout: 10_000 });
  return { status, output: `${stdout}${stderr}` };
}

function inFile(name: string, content: Uint8Array | string): string {
  writeFileSync(join(directory, name), content);
  return name;
}

const interoperationTest = hasMinisign ? interoperation : interoperation.skip;
for (const flags of [['-l'], []]) {
  const kind = flags.length > 0 ? 'legacy' : 'prehashed';

  interoperationTest(`what it signs (${kind}) we accept, and only that`, async () => {
    inFile('manifest.json', manifest);
    minisign(['-G', '-f', '-W', '-p', 'key.pub', '-s', 'key.sec']);
    const signed = minisign(['-S', ...flags, '-s', 'key.sec', '-t', 'release 1.2.3', '-m', 'manifest.json']);
    assert.is(signed.status, 0, signed.output);
    const key = parseTrustedKey(readFileSync(join(directory, 'key.pub'), 'utf8'));
    assert.match(readFileSync(join(directory, 'key.pub'), 'utf8'), key.id);
    const minisig = readFileSync(join(directory, 'manifest.json.minisig'));
    const { trustedComment } = await verifyManifestSignature(manifest, minisig, [key]);
    assert.is(trustedComment, 'release 1.2.3');
    assert.match(await refusal(minisig, [key], Buffer.from('other')), /does not fit/);
  });

  interoperationTest(`what we read as ${kind} it reads too`, () => {
    const signer = newSigner();
    inFile('ours.json', manifest);
    inFile('ours.json.minisig', signer.sign(manifest, { legacy: kind === 'legacy' }));
    const verified = minisign(['-V', '-P', signer.publicKey, '-m', 'ours.json']);
    assert.is(verified.status, 0, verified.output);
    inFile('ours.json', 'changed');
    assert.is.not(minisign(['-V', '-P', signer.publicKey, '-m', 'ours.json']).status, 0);
  });
}
interoperation.after(() => rmSync(directory, { recursive: true, force: true }));
interoperation.run();
