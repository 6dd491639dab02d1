/** Symlinks of a package: where they may lead, and that a signature covers them. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkLinks } from '../../src/package/links.ts';
import { parseManifest } from '../../src/package/manifest.ts';
import type { PackageEntry } from '../../src/package/module-parts.ts';
import { resolveRelease } from '../../src/package/release.ts';
import { requireLinks } from '../../src/package/signed-content.ts';
import { refusal } from '../deploy/parts.ts';

const test = suite('symlinks of a package');

const good: readonly (readonly [string, Record<string, string>])[] = [
  ['a library and its versions', { 'lib/libfoo.so': 'libfoo.so.1', 'lib/libfoo.so.1': 'libfoo.so.1.2.3' }],
  ['a program of a package', { 'node_modules/.bin/tool': '../tool/cli.js' }],
  ['to the tree itself', { 'a/b/root': '../..' }],
  ['to what the device makes', { current: 'data/latest' }],
  ['by a directory that is a symlink', { d: 'a/b', x: 'd/../../y' }],
  ['with blanks, dots and empty components', { 'a b': './/c d/./e' }],
];
for (const [what, links] of good)
  test(`${what} is taken`, () => checkLinks('tree', new Map(Object.entries(links))));

const bad: readonly (readonly [string, Record<string, string>, RegExp])[] = [
  ['an absolute one', { x: '/etc/passwd' }, /"tree\/x" is a symlink to "\/etc\/passwd", which is absolute/],
  ['one above the tree', { 'a/x': '../../x' }, /outside the tree/],
  ['one through another that shortens the way', { 'a/b/d': '../..', 'a/b/x': 'd/../y' }, /outside the tree/],
  ['one behind a chain', { x: 'y', y: 'z', z: '..' }, /outside the tree/],
  ['a circle', { x: 'y', y: 'x' }, /circle/],
  ['one to itself', { x: 'x/y' }, /circle/],
];
for (const [what, links, message] of bad)
  test(`${what} is refused`, () =>
    assert.throws(() => checkLinks('tree', new Map(Object.entries(links))), message));

const link = (name: string, to: string): PackageEntry => ({
  ...{ name, isDirectory: false, sizeBytes: to.length, mode: 0o755, link: to },
});

async function resolved(root: object, entries: readonly PackageEntry[]) {
  const text = { version: '1.0.0', modules: [{ name: 'a', src: 'tree', dst: '/opt/tope/a' }], ...root };
  const { files, ...rest } = parseManifest(Buffer.from(JSON.stringify(text))).manifest;
  const manifest = { ...rest, ...(Array.isArray(files) && { files }) };
  const rules = { expectedVersion: '1.0.0', allowedRoots: ['/opt/tope'], workDirectory: '/opt/tope/updater' };
  return { manifest, release: await resolveRelease(manifest, entries, rules) };
}

test('a release says of each symlink where it leads', async () => {
  const { release } = await resolved({}, [link('tree/lib/x.so', 'x.so.1')]);
  const [file] = release.modules[0]?.files ?? [];
  assert.equal([file?.target, file?.link], ['/opt/tope/a/lib/x.so', 'x.so.1']);
});

test('a manifest that names another place for a symlink, or a symlink that is none, is refused', async () => {
  const links = (path: string, to: string) => ({ links: [{ path, to }] });
  const entries = [link('tree/x', 'y'), { name: 'tree/y', isDirectory: false, sizeBytes: 1, mode: 0o644 }];
  assert.match(
    await refusal(() => resolved(links('tree/x', 'z'), entries)),
    /links\[0\]\.to: is "z", but "tree\/x" leads to "y"/,
  );
  assert.match(
    await refusal(() => resolved(links('tree/y', 'z'), entries)),
    /links\[0\]\.path: "tree\/y" is not a symlink/,
  );
  const files = [{ path: 'tree/x', size: 1, sha256: 'a'.repeat(64) }];
  assert.match(
    await refusal(() => resolved({ files }, entries)),
    /files\[0\]\.path: "tree\/x" is not a file/,
  );
});

test('a signature covers the symlinks that the manifest names, and no other is deployed with it', async () => {
  const entries = [link('tree/x', 'y')];
  const { manifest, release } = await resolved({}, entries);
  assert.match(await refusal(() => requireLinks(manifest, release)), /SIGNATURE_INVALID.*symlink "tree\/x"/);
  const covered = await resolved({ links: [{ path: 'tree/x', to: 'y' }] }, entries);
  await requireLinks(covered.manifest, covered.release);
});

test.run();
