/** Every manifest of docs/cookbook.md: packed, read as a device does, and installed on one and taken back where it needs no systemd. */
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { command } from '../cli/command.ts';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { type Device, withDevice } from '../integration/harness.ts';
import { rolledBack } from '../integration/updates.ts';

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
      assert.equal(
        // What was made on the device is not the package's to take away.
        left.filter((path) => !/^hello-py(\/venv.*)?$/.test(path)),
        [],
      );
    }));
}

/** What a recipe that removes modules finds on the device. */
function deployedBefore(names: readonly string[], placeOf: (name: string) => string): PackageSpec {
  return {
    version: '0.1.0',
    modules: names.map((name) => ({ name, src: `m/${name}`, dst: placeOf(name) })),
    files: Object.fromEntries(names.map((name) => [`m/${name}`, name])),
  };
}

test.run();
