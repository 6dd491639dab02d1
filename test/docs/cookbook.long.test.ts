/** Every manifest of docs/cookbook.md: packed, read as a device does, and installed on one and taken back where it needs no systemd. */
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { command } from '../cli/command.ts';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { type Device, withDevice } from '../integration/harness.ts';
import { installed, rolledBack } from '../integration/updates.ts';

const test = suite('the cookbook');
const text = readFileSync(join(import.meta.dirname, '../../docs/cookbook.md'), 'utf8');

interface Manifest {
  readonly version: string;
  readonly modules: readonly Readonly<Record<string, unknown>>[];
  readonly remove?: readonly string[];
}

const recipes = [...text.matchAll(/^## (.*)\n(?:(?!^## )[\s\S])*?^```json\n([\s\S]*?)^```$/gm)].map(
  ([, title = '', json = '']) => ({ title, manifest: JSON.parse(json) as Manifest }),
);

test('has a manifest in every chapter', () => {
  assert.is(recipes.length, [...text.matchAll(/^## /gm)].length);
  assert.ok(recipes.length >= 7);
});

/** A folder with the manifest, its places below the device's root, and for every source a program that does nothing, or runs on. */
function folderOf(device: Device, manifest: Manifest): string {
  const moved = JSON.stringify(manifest)
    .replaceAll('/opt/tope', device.root)
    .replaceAll('/home/pi', `${device.root}/home`)
    .replaceAll('/etc/systemd', `${device.root}/etc`);
  const folder = join(device.folder, 'recipe');
  rmSync(folder, { recursive: true, force: true });
  const write = (name: string, content: string) => {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    chmodSync(path, 0o755);
  };
  write('manifest.json', moved);
  for (const { src, start } of manifest.modules) {
    if (typeof src !== 'string') throw new Error('a module without src');
    for (const script of Array.isArray(start) ? start.filter((word) => word.endsWith('.py')) : [])
      write(src + basename(script), 'import time\nwhile True:\n    time.sleep(60)\n');
    const names = src.endsWith('/')
      ? ['migrate', 'main', 'a.cfg', 'own/x.cfg'].map((name) => src + name)
      : [src];
    for (const name of names) write(name, '#!/bin/sh\nexit 0\n');
    if (src.endsWith('/')) symlinkSync('main', join(folder, src, 'latest'));
  }
  return folder;
}

for (const { title, manifest } of recipes) {
  const needsSystemd = manifest.modules.some(({ service }) => service !== undefined);
  test(`${title}: is packed and read${needsSystemd ? '' : ', installed and taken back'}`, () =>
    withDevice(async (device) => {
      const zip = join(device.folder, 'recipe.zip');
      const roots = ['--allow-root', device.root];
      const packed = await command(['pack', folderOf(device, manifest), '-o', zip, ...roots]);
      assert.is(packed.status, 0, packed.stderr);
      const read = await command(['verify', zip, ...roots]);
      assert.is(read.status, 0, read.stderr);
      if (needsSystemd) return;
      const daemon = await device.start();
      const going = manifest.remove ?? [];
      const placeOf = (name: string) => join(device.root, name, 'program');
      if (going.length > 0)
        assert.is((await device.install(daemon, deployedBefore(going, placeOf))).stage, 'success');
      const before = device.files();
      const installed = await command(['install', '-y', zip, '--url', daemon.url]);
      assert.is(installed.status, 0, installed.stderr);
      for (const { name } of manifest.modules) assert.ok(read.stdout.includes(String(name)));
      for (const name of going) {
        assert.ok(read.stdout.includes(`${name}: is removed from the device`), read.stdout);
        assert.not(existsSync(placeOf(name)));
      }
      await rolledBack(daemon);
      for (const name of going) assert.ok(existsSync(placeOf(name)));
      const left = Object.keys(device.files()).filter((path) => !(path in before));
      assert.equal(left, []);
    }));
}

test('A database that is migrated: no rows are lost, whatever is installed, taken back and installed again', () =>
  withDevice(async (device) => {
    const recipe = recipes.find(({ title }) => title === 'A database that is migrated')?.manifest;
    const moved = JSON.stringify(recipe?.modules ?? []).replaceAll('/opt/tope', device.root);
    const [folder, data] = [join(device.root, 'device-api'), join(device.root, 'device-api/data')];
    /** A release whose migration notes its version in the database. */
    const release = (version: string, { web = 'web', build = 'one' } = {}): PackageSpec => ({
      version,
      modules: [
        ...(JSON.parse(moved) as PackageSpec['modules']),
        { name: 'web', src: 'modules/web.html', dst: join(device.root, 'web.html') },
      ],
      files: {
        'modules/device-api/migrate': {
          content: `#!/bin/sh\n# ${version}, ${build}\nmkdir -p ${data} && echo ${version} > ${data}/schema\n`,
          mode: 0o755,
        },
        'modules/web.html': web,
      },
      withDigests: true,
    });
    const daemon = await device.start();
    const install = (spec: PackageSpec) => installed(device, daemon, spec);
    const addJob = (name: string) => appendFileSync(join(data, 'jobs'), `${name} `);
    const database = () =>
      ['schema', 'jobs'].map((name) => readFileSync(join(data, name), 'utf8').trim()).join(': ');
    await install(release('2.4.0'));
    addJob('a');
    await install(release('2.5.0'));
    await rolledBack(daemon);
    assert.is(database(), '2.4.0: a');
    addJob('b');
    await install(release('2.5.0'));
    assert.is(database(), '2.5.0: a b');
    await rolledBack(daemon);
    assert.is(database(), '2.4.0: a b');

    // A copy of an update that stayed is not taken for one of a later update to the same version.
    await install(release('2.5.0'));
    addJob('c');
    await install(release('2.5.0', { build: 'another' }));
    addJob('d');
    await rolledBack(daemon);
    assert.is(database(), '2.5.0: a b c');
    assert.is(readFileSync(join(folder, 'data.undone/jobs'), 'utf8'), 'a b c d ');

    // What changes nothing of the service has nothing to do with its database.
    const webOnly = { ...release('2.5.0', { web: 'another' }), version: '2.5.1' };
    await install(webOnly);
    await install(webOnly);
    addJob('e');
    await rolledBack(daemon, '2.5.1');
    assert.is(database(), '2.5.0: a b c e');

    for (const version of ['2.6.0', '2.7.0', '2.8.0', '2.9.0']) await install(release(version));
    const copies = readdirSync(folder).filter((name) => /^data\.\d/.test(name));
    assert.is(copies.length, 3);
    await rolledBack(daemon, '2.7.0');
    assert.is(database(), '2.6.0: a b c e');
  }));

/** A wheel of one module that knows its version. */
const wheelScript = `
import sys, zipfile
folder, version = sys.argv[1:]
info = f"greeting-{version}.dist-info"
with zipfile.ZipFile(f"{folder}/greeting-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr("greeting.py", f"version = '{version}'\\n")
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: greeting\\nVersion: {version}\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/RECORD", "")
`;
const hasPip = spawnSync('python3', ['-m', 'pip', '--version']).status === 0;
if (!hasPip) console.log('skipped: the dependencies of a service in Python: needs python3 with pip');

(hasPip ? test : test.skip)(
  'A service in Python with its dependencies: they come, go on and back with the package',
  () =>
    withDevice(async (device) => {
      const recipe = recipes.find(({ title }) => title === 'A service in Python with its dependencies');
      const [, lines = ''] = /^```sh\n(rm -rf [\s\S]*?pip install[\s\S]*?)^```$/m.exec(text) ?? [];
      const [wheels, said] = [join(device.folder, 'wheels'), join(device.folder, 'said')];
      mkdirSync(wheels);
      const script = `import greeting, time\nopen(${JSON.stringify(said)}, "w").write(greeting.version)\nwhile True:\n    time.sleep(60)\n`;
      const daemon = await device.start();
      const install = async (version: string, greeting: string) => {
        assert.is(spawnSync('python3', ['-c', wheelScript, wheels, greeting]).status, 0);
        const modules = recipe?.manifest.modules ?? [];
        const folder = folderOf(device, { version, modules });
        writeFileSync(join(folder, 'modules/hello-py/hello.py'), script);
        writeFileSync(join(folder, 'requirements.txt'), `greeting==${greeting}\n`);
        // As a PC does it whose index has these wheels.
        const env = { ...process.env, PIP_NO_INDEX: '1', PIP_FIND_LINKS: wheels };
        const made = spawnSync('/bin/sh', ['-e', '-c', lines], { cwd: folder, env, encoding: 'utf8' });
        assert.is(made.status, 0, made.stderr);
        const zip = join(device.folder, `${version}.zip`);
        const packed = await command(['pack', folder, '-o', zip, '--allow-root', device.root]);
        assert.is(packed.status, 0, packed.stderr);
        const { status, stderr } = await command(['install', '-y', zip, '--url', daemon.url]);
        assert.is(status, 0, stderr);
      };
      await install('1.0.0', '1.0');
      assert.is(readFileSync(said, 'utf8'), '1.0');
      await install('1.1.0', '2.0');
      assert.is(readFileSync(said, 'utf8'), '2.0');
      await rolledBack(daemon);
      assert.is(readFileSync(said, 'utf8'), '1.0');
      await rolledBack(daemon);
      assert.not(existsSync(join(device.root, 'hello-py/lib/greeting.py')));
    }),
);

/** What a recipe that removes modules finds on the device. */
function deployedBefore(names: readonly string[], placeOf: (name: string) => string): PackageSpec {
  return {
    version: '0.1.0',
    modules: names.map((name) => ({ name, src: `m/${name}`, dst: placeOf(name) })),
    files: Object.fromEntries(names.map((name) => [`m/${name}`, name])),
  };
}

test.run();
