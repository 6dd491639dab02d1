/** Looking at a package as a device would, without one. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inspectPackage } from '../../src/pack/inspect.ts';
import { starterFiles } from '../../src/pack/starter.ts';
import { parseTrustedKey } from '../../src/package/signature.ts';
import { newSigner } from '../fixtures/minisign-signer.ts';
import { buildPackage, digestsOf, type PackageSpec } from '../fixtures/package-builder.ts';
import { rawZip } from '../fixtures/raw-zip.ts';
import { packHost, withSource } from './source-folder.ts';

const test = suite('inspect');
const folder = mkdtempSync(join(tmpdir(), 'inspect-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const rules = { allowedRoots: ['/opt/tope'], workDirectory: '/opt/tope/updater' };
const module = { name: 'a', src: 'a', dst: '/opt/tope/a' };
const usual: PackageSpec = {
  version: '1.0.0',
  modules: [module],
  files: { a: 'content' },
  withDigests: true,
};

async function inspect(spec: PackageSpec, keys: readonly string[] = []) {
  const path = join(folder, 'package.zip');
  await buildPackage(spec, path);
  return { path, inspection: await inspectPackage(packHost, path, rules, keys.map(parseTrustedKey)) };
}

test('a good package is told with its digests and its release', async () => {
  const { path, inspection } = await inspect(usual);
  const { sizeBytes, md5, sha256 } = await digestsOf(path);
  assert.equal([inspection.sizeBytes, inspection.md5, inspection.sha256], [sizeBytes, md5, sha256]);
  assert.is(inspection.release.modules[0]?.target, '/opt/tope/a');
  assert.equal(inspection.warnings, []);
  assert.is(inspection.hasSignature, false);
});

test('what no module deploys is told', async () => {
  const files = Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => [name, name]));
  const { inspection } = await inspect({ ...usual, files });
  assert.equal(inspection.warnings, ['no module deploys b, c, d, e, f and 1 more']);
});

test('an enable without a unit is told', async () => {
  const warnings = async (more: object) => {
    const spec = { ...usual, modules: [{ ...module, enable: true, ...more }] };
    return (await inspect(spec)).inspection.warnings;
  };
  assert.equal(await warnings({}), ['a: "enable" has no "service" that it could enable']);
  assert.equal(await warnings({ service: 'a.service' }), []);
});

test('a process_name that start does not have is told', async () => {
  const of = async (process_name: string, ...start: string[]) => {
    const spec = { ...usual, modules: [{ ...module, process_name, start }] };
    return (await inspect(spec)).inspection.warnings;
  };
  assert.equal(await of('service', '/opt/tope/a'), [
    'a: process_name "service" is neither the file nor a script of "start": the program is not found by it, unless it names itself so',
  ]);
  assert.equal(await of('a', '/opt/tope/a', 'service'), []);
  assert.equal(await of('a.py', '/usr/bin/python3', '-u', '/opt/tope/a.py'), []);
  assert.equal(await of('a-long-name-of-', '/opt/tope/a-long-name-of-a-program'), []);
});

test('a signature is seen without a key, and checked with one', async () => {
  const signer = newSigner();
  const spec = { ...usual, sign: (manifest: Uint8Array) => signer.sign(manifest) };
  const unchecked = (await inspect(spec)).inspection;
  assert.equal([unchecked.hasSignature, unchecked.signed], [true, undefined]);
  const checked = (await inspect(spec, [signer.publicKey])).inspection;
  assert.is(checked.signed?.trustedComment, 'made by a test');
});

test('a folder that was zipped in place of its content is named', async () => {
  const path = join(folder, 'folder.zip');
  const entries = [{ name: 'printer/' }, { name: 'printer/manifest.json', content: '{}' }];
  writeFileSync(path, rawZip({ entries }));
  const said = await inspectPackage(packHost, path, rules, []).catch((thrown: Error) => thrown.message);
  assert.is(
    said,
    'INVALID_MANIFEST: manifest.json is missing at the root of the package: it is in "printer/"; zip the content of that folder, or use tope-updater pack',
  );
});

const refusals: readonly (readonly [string, PackageSpec, readonly string[], RegExp])[] = [
  ['no signature where one is needed', usual, [newSigner().publicKey], /^SIGNATURE_INVALID: .*not signed/],
  [
    'a signature of another key',
    { ...usual, sign: (manifest) => newSigner().sign(manifest) },
    [newSigner().publicKey],
    /^SIGNATURE_INVALID: .*not trusted/,
  ],
  [
    'an MD5 that is not the file’s',
    { ...usual, withDigests: false, modules: [{ ...module, md5: '0'.repeat(32) }] },
    [],
    /^MD5_MISMATCH: a: 0{32} in the manifest, 9a0364b9e99bb480dd25e1f0284c8555 in the package/,
  ],
  [
    'a SHA-256 that is not the file’s',
    { ...usual, withDigests: false, modules: [{ ...module, sha256: '0'.repeat(64) }] },
    [],
    /^SHA256_MISMATCH: a: 0{64} in the manifest, ed7002b4/,
  ],
  ['a target elsewhere', { ...usual, modules: [{ ...module, dst: '/etc/a' }] }, [], /^INVALID_MANIFEST: /],
];
for (const [what, spec, keys, message] of refusals)
  test(`refused: ${what}`, async () => {
    await inspect(spec, keys).then(
      () => assert.unreachable('it was taken'),
      (thrown: Error) => assert.match(thrown.message, message),
    );
  });

test('the folder that init writes is packed as it is, without a warning', async () => {
  const [manifest, ...files] = starterFiles('service');
  await withSource(manifest?.text ?? '', async (source) => {
    for (const { path, mode, text } of files) source.write(path, text, mode);
    const { release, warnings } = await source.pack();
    assert.equal(warnings, []);
    assert.equal(
      release.modules.map(({ name, isTree }) => `${name} ${isTree}`),
      ['hello false', 'hello-data true'],
    );
  });
});

test.run();
