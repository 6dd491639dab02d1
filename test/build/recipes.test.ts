/** The recipes of a release: checksums and version of its files, for Yocto and for Buildroot, and what the linter of the first says. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writeRecipes } from '../../build/recipes.ts';

const test = suite('recipes');
const folder = mkdtempSync(join(tmpdir(), 'recipes-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const units = ['tope-updater-recover.service', 'tope-updater.init', 'tope-updater.service'];
const both = ['LICENSES.txt', 'launch.sh', ...units];

const sum = (name: string) => createHash('sha256').update(name).digest('hex');

/** A release in which each file is its own name. */
function dist(name: string, files: readonly string[]): string {
  const path = join(folder, name);
  mkdirSync(path);
  for (const file of files) writeFileSync(join(path, file), file);
  writeFileSync(join(path, 'SHA256SUMS'), files.map((file) => `${sum(file)}  ${file}\n`).join(''));
  return path;
}

const recipes = 'meta-tope-updater/recipes-support/tope-updater';

test('name each file that they fetch with its checksum', () => {
  const executables = ['x64', 'armv7'].map((arch) => `tope-updater-${arch}.xz`);
  const out = join(folder, 'out');
  writeRecipes(out, dist('release', [...both, ...executables]), '1.2.3');
  const bb = readFileSync(join(out, recipes, 'tope-updater-bin_1.2.3.bb'), 'utf8');
  const inc = readFileSync(join(out, recipes, 'tope-updater-bin.inc'), 'utf8');
  const names = [...inc.matchAll(/\$\{TOPE_UPDATER_URL\}\/([\w.${}-]+);name=([\w${}]+)/g)];
  assert.is(names.length, 6);
  for (const [, file = '', name = ''] of names)
    for (const arch of name.includes('$') ? ['x64', 'armv7'] : [''])
      assert.ok(
        bb.includes(
          `SRC_URI[${name.replace(/\$.*\}/, arch)}.sha256sum] = "${sum(file.replace(/\$\{.*\}/, arch))}"`,
        ),
        file,
      );
  assert.not.match(bb, /arm64/);

  const buildroot = join(out, 'buildroot/package/tope-updater');
  assert.is(readFileSync(join(buildroot, 'version.inc'), 'utf8'), 'TOPE_UPDATER_VERSION = 1.2.3\n');
  const hashes = readFileSync(join(buildroot, 'tope-updater.hash'), 'utf8');
  for (const file of [...both, ...executables]) assert.ok(hashes.includes(`sha256  ${sum(file)}  ${file}\n`));
});

test('are not made of a release that lacks one of the files', () => {
  const incomplete = dist('incomplete', ['LICENSES.txt', 'launch.sh']);
  assert.throws(
    () => writeRecipes(join(folder, 'none'), incomplete),
    /SHA256SUMS does not name tope-updater-/,
  );
});

test('Buildroot fetches and installs the same files', () => {
  const mk = readFileSync(
    join(import.meta.dirname, '../../deploy/buildroot/package/tope-updater/tope-updater.mk'),
    'utf8',
  );
  const fetched = /TOPE_UPDATER_FILES = \\\n((?:\t.*\n)+)/.exec(mk)?.[1]?.match(/[\w.-]+\.\w+/g);
  assert.equal(fetched, both);
  for (const file of both.slice(1))
    assert.ok(mk.includes(`$(INSTALL) -D -m 0`) && mk.includes(`$(@D)/${file} `), file);
});

/** `pip install oelint-adv` in a venv; OELINT_ADV is the program in it. */
const oelint = process.env.OELINT_ADV ?? 'oelint-adv';
if (spawnSync(oelint, ['--version']).status === 0)
  test('oelint-adv has no error and no warning', () => {
    const out = join(folder, 'linted');
    const executables = ['x64', 'arm64', 'armv7'].map((arch) => `tope-updater-${arch}.xz`);
    writeRecipes(out, dist('linted-release', [...both, ...executables]), '1.2.3');
    const files = ['tope-updater-bin.inc', 'tope-updater-bin_1.2.3.bb'].map((file) =>
      join(out, recipes, file),
    );
    // The project has no page of its own.
    const flags = ['--quiet', '--suppress', 'oelint.var.mandatoryvar.HOMEPAGE'];
    const { stdout, stderr } = spawnSync(oelint, [...flags, ...files], { encoding: 'utf8' });
    assert.equal(`${stdout}${stderr}`.match(/.*:(error|warning):.*/g) ?? [], []);
  });
else console.log('skipped: the linter of recipes: oelint-adv is not installed (pip install oelint-adv)');

test.run();
