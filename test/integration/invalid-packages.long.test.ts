/**
 * Each rule of the package and its manifest (spec section 4), broken in a package that the daemon downloads and is told
 * to install: refused with its own error, and targets, services and state are as they were. One device takes them all,
 * one after the other, and at the end the honest package.
 */
import { linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestsOf } from '../fixtures/package-builder.ts';
import { type RawEntry, rawZip } from '../fixtures/raw-zip.ts';
import { type Daemon, programArgv, until } from './daemon.ts';
import { type Device, makeDevice } from './harness.ts';

type Code = 'INVALID_MANIFEST' | 'INVALID_PACKAGE';

const tests = suite('a package that breaks a rule');
let device: Device;
let daemon: Daemon;
let before: Record<string, string>;

tests.before(async () => {
  device = await makeDevice();
  mkdirSync(join(device.folder, 'outside'));
  symlinkSync(join(device.folder, 'outside'), join(device.root, 'link'));
  const inside = join(device.root, 'updater');
  mkdirSync(inside);
  // The updater's own files, here below the allowed root, and other names of them.
  const config = join(device.root, 'updater.json');
  writeFileSync(config, '{"log_level":"debug"}');
  linkSync(config, join(device.root, 'second-name'));
  symlinkSync(programArgv.at(-1) ?? '', join(device.root, 'program'));
  mkdirSync(join(device.root, 'own'));
  writeFileSync(join(device.root, 'own/ca.pem'), '');
  symlinkSync('own', join(device.root, 'own-link'));
  const certificates = join(device.root, 'own-link/ca.pem');
  daemon = await device.start(['--dir', inside, '--config', config, '--ca-file', certificates]);
  before = filesOutsideWork();
});
tests.after(() => device.close());

/** The updater's work directory lies below the allowed root here. */
function filesOutsideWork(): Record<string, string> {
  return Object.fromEntries(Object.entries(device.files()).filter(([path]) => !path.startsWith('updater')));
}

const app: RawEntry = { name: 'app', content: 'a program '.repeat(50), method: 8 };
const unix = (mode: number) => ({ madeBy: 3, attributes: (mode << 16) >>> 0 });

/** The manifest of the honest package, its one module changed. */
function manifest(module: object = {}, root: object = {}): string {
  const honest = { name: 'app', src: 'app', dst: join(device.root, 'app'), ...module };
  return JSON.stringify({ version: '2.0.0', modules: [honest], ...root });
}

function packageOf(text: string, entries: readonly RawEntry[] = [app]): Buffer {
  return rawZip({ entries: [{ name: 'manifest.json', content: text, method: 8 }, ...entries] });
}

/** The honest package with fields of its program changed, or with one more entry. */
const withApp = (fields: Partial<RawEntry>) => () => packageOf(manifest(), [{ ...app, ...fields }]);
const withEntry = (entry: RawEntry) => () => packageOf(manifest(), [app, entry]);
const withModule =
  (module: object, root: object = {}) =>
  () =>
    packageOf(manifest(module, root));
const twoModules = (second: object) => () => {
  const first = { name: 'app', src: 'app', dst: join(device.root, 'app') };
  return packageOf(manifest({}, { modules: [first, { ...first, ...second }] }));
};

const cases: readonly (readonly [string, Code, RegExp, () => Buffer])[] = [
  ['no ZIP at all', 'INVALID_PACKAGE', /./, () => Buffer.from('these bytes are no archive'.repeat(10))],
  ['no manifest', 'INVALID_MANIFEST', /manifest\.json is missing/, () => rawZip({ entries: [app] })],
  ['a manifest that is no JSON', 'INVALID_MANIFEST', /not valid JSON/, () => packageOf('{"version":')],
  [
    'a manifest over 1 MiB',
    'INVALID_MANIFEST',
    /1048577 bytes/,
    () => packageOf(manifest().padEnd(1024 * 1024 + 1)),
  ],
  [
    'another version than asked for',
    'INVALID_MANIFEST',
    /version.*2\.0\.1/,
    withModule({}, { version: '2.0.1' }),
  ],
  ['no modules', 'INVALID_MANIFEST', /modules/, withModule({}, { modules: [] })],
  ['a module without dst', 'INVALID_MANIFEST', /modules\[0\]\.dst/, withModule({ dst: undefined })],
  ['two modules of one name', 'INVALID_MANIFEST', /modules\[1\]\.name/, twoModules({ dst: '/opt/x' })],
  ['two modules with one dst', 'INVALID_MANIFEST', /modules\[1\]\.dst/, twoModules({ name: 'other' })],
  ['an absolute src', 'INVALID_MANIFEST', /modules\[0\]\.src/, withModule({ src: '/etc/passwd' })],
  ['a src with ".."', 'INVALID_MANIFEST', /modules\[0\]\.src/, withModule({ src: 'x/../app' })],
  ['a src with a backslash', 'INVALID_MANIFEST', /modules\[0\]\.src/, withModule({ src: 'x\\app' })],
  ['a src with NUL', 'INVALID_MANIFEST', /modules\[0\]\.src/, withModule({ src: 'app\0' })],
  ['a src that is not in the ZIP', 'INVALID_MANIFEST', /missing/, withModule({ src: 'missing' })],
  ['a relative dst', 'INVALID_MANIFEST', /modules\[0\]\.dst.*relative/, withModule({ dst: 'opt/app' })],
  [
    'a dst with ".."',
    'INVALID_MANIFEST',
    /modules\[0\]\.dst/,
    () => withModule({ dst: `${device.root}/../app` })(),
  ],
  [
    'a dst outside the allowed roots',
    'INVALID_MANIFEST',
    /outside the allowed/,
    withModule({ dst: '/etc/passwd' }),
  ],
  [
    'a dst that leads outside by a symlink',
    'INVALID_MANIFEST',
    /link\/app.*outside the allowed/,
    () => withModule({ dst: join(device.root, 'link/app') })(),
  ],
  [
    'a dst inside the work directory of the updater',
    'INVALID_MANIFEST',
    /work directory/,
    () => withModule({ dst: join(device.root, 'updater/backups/journal') })(),
  ],
  ...[
    ['the configuration of the updater', 'updater.json'],
    ['a hard link to the configuration of the updater', 'second-name'],
    ['a symlink to the program of the updater', 'program'],
    ['the certificates that the updater trusts', 'own/ca.pem'],
    ['the same through a symlinked directory', 'own-link/ca.pem'],
    ['a symlink to the directory of those certificates', 'own-link'],
  ].map(
    ([what = '', path = '']) =>
      [
        `a dst that is ${what}`,
        'INVALID_MANIFEST',
        /belongs to the updater itself/,
        () => withModule({ dst: join(device.root, path) })(),
      ] as const,
  ),
  [
    'a tree that takes away certificates that the updater trusts',
    'INVALID_MANIFEST',
    /own\/ca\.pem belongs to the updater itself/,
    () =>
      packageOf(manifest({ src: 'own', dst: join(device.root, 'own'), exact: true }), [
        { name: 'own/app', content: 'x' },
      ]),
  ],
  ['a mode that is none', 'INVALID_MANIFEST', /modules\[0\]\.mode/, withModule({ mode: 'rwx' })],
  ['an encrypted entry', 'INVALID_PACKAGE', /encrypted/, withApp({ flags: 0x0801 })],
  [
    'a symlink as a module',
    'INVALID_MANIFEST',
    /src: "app" is a symlink/,
    withApp({ content: 'lib', ...unix(0o120777), madeBy: 0x0314 }),
  ],
  [
    'a symlink out of the tree',
    'INVALID_PACKAGE',
    /tree\/x" is a symlink to "\.\.\/other", which is outside the tree/,
    () =>
      packageOf(manifest({ src: 'tree', dst: join(device.root, 'tree') }), [
        { name: 'tree/x', content: '../other', ...unix(0o120777), madeBy: 0x0314 },
      ]),
  ],
  [
    'a manifest that is a symlink',
    'INVALID_PACKAGE',
    /manifest\.json" is a symlink/,
    () =>
      rawZip({
        entries: [{ name: 'manifest.json', content: 'app', ...unix(0o120777), madeBy: 0x0314 }, app],
      }),
  ],
  ['a device entry', 'INVALID_PACKAGE', /device/, withEntry({ name: 'x', ...unix(0o020666) })],
  ['an entry twice', 'INVALID_PACKAGE', /app/, withEntry(app)],
  [
    'overlapping entries',
    'INVALID_PACKAGE',
    /overlap|disagrees/,
    withEntry({ name: 'x', compressedBytes: 60, sizeBytes: 60 }),
  ],
  ['a wrong CRC', 'INVALID_PACKAGE', /CRC-32/, withApp({ method: 0, crc32: 0x12345678 })],
  [
    'fewer bytes than declared',
    'INVALID_PACKAGE',
    /holds 500 bytes, but declares 501/,
    withApp({ sizeBytes: 501 }),
  ],
  [
    'more bytes than declared',
    'INVALID_PACKAGE',
    /more than the 10 bytes it declares/,
    withApp({ sizeBytes: 10 }),
  ],
  ['a name that escapes', 'INVALID_PACKAGE', /\.\./, withEntry({ name: '../../evil', content: 'x' })],
];

for (const [what, code, says, bytes] of cases) {
  tests(`${what} is ${code}`, async () => {
    const { stage, error } = await installed(bytes());
    assert.is(stage, 'failed', error ?? '');
    assert.ok(error?.startsWith(`${code}: `), error ?? '');
    assert.match(error ?? '', says);
    assert.equal(filesOutsideWork(), before);
    assert.equal(device.events(), [], 'no service was touched');
    assert.equal(device.namesBelow(join(device.root, 'updater/backups')), ['history.jsonl']);
    assert.equal(device.namesBelow(join(device.folder, 'outside')), []);
  });
}

tests('the honest package, after all of them, is installed', async () => {
  const { stage, error } = await installed(packageOf(manifest()));
  assert.is(stage, 'success', error ?? '');
  assert.equal(
    Object.keys(filesOutsideWork()).filter((path) => !(path in before)),
    ['app'],
  );
  rmSync(join(device.root, 'app'));
});

tests.run();

async function installed(bytes: Buffer) {
  const name = 'package.zip';
  const path = join(device.store.folder, name);
  writeFileSync(path, bytes);
  const { sizeBytes, md5 } = await digestsOf(path);
  const downloaded = await daemon.post('download', {
    version: '2.0.0',
    package_url: `${device.store.url}/${name}`,
    package_name: name,
    package_size: sizeBytes,
    package_md5: md5,
  });
  assert.is(downloaded.code, 200, downloaded.msg);
  const waiting = await daemon.reach('toInstall', 'failed');
  // What can be known without unpacking is known before it waits.
  if (waiting.stage === 'failed') return waiting;
  assert.is((await daemon.post('update', { version: '2.0.0' })).code, 200);
  const end = await daemon.reach('success', 'failed');
  await until(
    'the journal is gone',
    () => !device.namesBelow(join(device.root, 'updater/backups')).includes('journal'),
  );
  return end;
}
