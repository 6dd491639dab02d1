/** Signing: what Debian's minisign made is opened, and what we sign, minisign and the device take. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { openSecretKey, scryptCost } from '../../src/pack/secret-key.ts';
import { parseTrustedKey, verifyManifestSignature } from '../../src/package/signature.ts';
import { cheapKeyFile } from '../fixtures/secret-key-file.ts';
import { suite } from '../runner/suites.ts';
import { usualManifest, withSource, writeUsual } from './source-folder.ts';

const test = suite('secret key');
const hasMinisign = spawnSync('minisign', ['-v']).error === undefined;
if (!hasMinisign) console.log('skipped: minisign: the Debian package is not installed');
const testWithMinisign = hasMinisign ? test.long : test.skip;

const never = () => Promise.reject(new Error('no password is needed'));

test('what is signed, the device takes; the same again is the same text', async () => {
  const key = await openSecretKey(cheapKeyFile(), never);
  const manifest = Buffer.from('{}');
  const text = await key.sign(manifest, 'version 1.0.0');
  const trusted = [parseTrustedKey(key.publicKey)];
  const { trustedComment } = await verifyManifestSignature(manifest, Buffer.from(text), trusted);
  assert.is(trustedComment, 'version 1.0.0');
  assert.is(await key.sign(manifest, 'version 1.0.0'), text);
});

test('an encrypted key opens with its password and with no other', async () => {
  const text = cheapKeyFile('open sesame');
  const key = await openSecretKey(text, async () => 'open sesame');
  assert.ok(key.publicKey.startsWith('RW'));
  for (const wrong of ['', 'open Sesame', 'open sesame '])
    try {
      await openSecretKey(text, async () => wrong);
      assert.unreachable(wrong);
    } catch (thrown) {
      assert.is((thrown as Error).message, 'VALIDATION_ERROR: secret key: wrong password');
    }
});

test('what is no secret key is refused', async () => {
  const text = cheapKeyFile();
  const [comment = '', line = ''] = text.split('\n');
  const changed = (at: number, to: string) => {
    const bytes = Buffer.from(line, 'base64');
    bytes.write(to, at, 'latin1');
    return `${comment}\n${bytes.toString('base64')}\n`;
  };
  for (const bad of [
    '',
    comment,
    `${comment}\n${line.slice(4)}`,
    `${text}${line}`,
    changed(0, 'XX'),
    changed(2, 'XX'),
    changed(4, 'XX'),
    changed(70, 'XX'),
  ])
    await openSecretKey(bad, never).then(
      () => assert.unreachable(bad),
      (thrown: Error) => assert.match(thrown.message, /VALIDATION_ERROR: secret key: /),
    );
});

const costs: readonly (readonly [string, bigint, bigint, { N: number; r: number; p: number }])[] = [
  ["minisign's own limits", 33_554_432n, 1_073_741_824n, { N: 2 ** 20, r: 8, p: 1 }],
  ["libsodium's interactive limits", 524_288n, 16_777_216n, { N: 2 ** 14, r: 8, p: 1 }],
  ['no work at all counts as the least', 0n, 16_777_216n, { N: 1024, r: 8, p: 1 }],
  ['little memory, much work', 33_554_432n, 16_777_216n, { N: 2 ** 14, r: 8, p: 64 }],
];
for (const [what, ops, mem, expected] of costs)
  test(`scrypt's cost: ${what}`, () => {
    const { N, r, p } = scryptCost(ops, mem);
    assert.equal({ N, r, p }, expected);
  });

test('a key file that asks for too much memory is refused', () => {
  assert.throws(() => scryptCost(1n << 40n, 1n << 40n), /more than 2\^22/);
});

/** Made by `minisign -G` 0.11 with the password "correct horse"; its scrypt takes a gibibyte and some seconds. */
const encryptedKey = {
  publicKey: 'RWS9Xt862ZF0ik0RULu3ZyhzUwsjUQCeYyiVdj+3h5r1T5rixsWbMcHc',
  secretKey:
    'RWRTY0IyGgZG1YC7WuYy61oGLAEpqmPcKsf3pGB7qoDCjc2F6FQAAAACAAAAAAAAAEAAAAAAlcNo8jSAPZiysyq4Xx7VdQQY/Ooy1NlM2rwC4NEUAit8ptMtkQZ/CJbWGCWpeZCGEMelQnQ6h0gR5MhLMbl541eIJKweabte+fkfDr4kaobQS7YVQdZNESPS1V2DNKk6KVM46kJ05eA=',
};

testWithMinisign('minisign -V takes what its own keys signed, encrypted or not', async () => {
  await withFolder(async (folder) => {
    const [publicFile, secretFile] = [join(folder, 'm.pub'), join(folder, 'm.key')];
    spawnSync('minisign', ['-G', '-W', '-p', publicFile, '-s', secretFile]);
    const keys = [
      {
        secret: readFileSync(secretFile, 'utf8'),
        publicKey: readFileSync(publicFile, 'utf8').split('\n')[1],
      },
      { secret: encryptedKey.secretKey, publicKey: encryptedKey.publicKey },
    ];
    for (const { secret, publicKey } of keys) {
      const key = await openSecretKey(secret, async () => 'correct horse');
      assert.is(key.publicKey, publicKey);
      const file = join(folder, 'manifest.json');
      writeFileSync(file, '{"version":"1.0.0"}');
      writeFileSync(`${file}.minisig`, await key.sign(readFileSync(file), 'version 1.0.0'));
      const verified = spawnSync('minisign', ['-V', '-P', key.publicKey, '-m', file], { encoding: 'utf8' });
      assert.is(verified.status, 0, verified.stderr);
      assert.match(verified.stdout, /Trusted comment: version 1\.0\.0/);
    }
  });
});

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'minisign-'));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('a signed package names its signer, and every file of it is vouched for', async () => {
  const signingKey = await openSecretKey(cheapKeyFile(), never);
  await withSource(usualManifest, async (source) => {
    writeUsual(source);
    const { signed, hasSignature } = await source.pack({ signingKey });
    assert.is(hasSignature, true);
    assert.is(signed?.keyId, parseTrustedKey(signingKey.publicKey).id);
    assert.is(signed?.trustedComment, 'version 2.0.0');
  });
});

test.run();
