/** The recipes of a release: checksums and version of its files, for Yocto and for Buildroot, and what the linter of the first says. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
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

/** What of Buildroot the package uses, with its commands as one target. */
const buildrootParts = `qstrip = $(strip $(subst ",,$(1)))
INSTALL = install
XZCAT = cat
BR2_x86_64 = y
BR2_STRIP_strip = y
BR2_PACKAGE_TOPE_UPDATER_URL = "https://files.example/1"
BR2_PACKAGE_TOPE_UPDATER_OPTIONS = "--config /etc/tope.json"
generic-package =
include $(BR2_EXTERNAL_TOPE_UPDATER_PATH)/external.mk
.PHONY: src
src:
\t$(TOPE_UPDATER_EXTRACT_CMDS)
\t$(TOPE_UPDATER_INSTALL_TARGET_CMDS)
\t$(TOPE_UPDATER_INSTALL_INIT_SYSTEMD)
\t$(TOPE_UPDATER_INSTALL_INIT_SYSV)
fetched:
\t@echo $(TOPE_UPDATER_SOURCE) $(TOPE_UPDATER_EXTRA_DOWNLOADS)
`;

test("Buildroot's commands put the files in place, and stop where the executable would be stripped", () => {
  const out = join(folder, 'buildroot');
  const files = dist('fetched', [...both, 'tope-updater-x64.xz']);
  writeRecipes(out, files, '1.2.3');
  mkdirSync(join(out, 'src'));
  writeFileSync(join(out, 'Makefile'), buildrootParts);
  const make = (target: string, excluded: string) =>
    spawnSync(
      'make',
      [
        ...['-s', '-C', out, target, `BR2_EXTERNAL_TOPE_UPDATER_PATH=${out}/buildroot`],
        ...[
          `TARGET_DIR=${out}/target`,
          `TOPE_UPDATER_DL_DIR=${files}`,
          `BR2_STRIP_EXCLUDE_FILES=${excluded}`,
        ],
      ],
      { encoding: 'utf8' },
    );
  const urls = both.map((file) => `https://files.example/1/${file}`);
  assert.is(make('fetched', '').stdout.trim(), ['tope-updater-x64.xz', ...urls].join(' '));
  assert.match(make('src', '"other"').stderr, /BR2_STRIP_EXCLUDE_FILES must name tope-updater/);
  const { status, stderr } = make('src', '"other tope-updater"');
  assert.is(status, 0, stderr);
  const target = join(out, 'target');
  const placed = {
    'opt/tope/updater/tope-updater': 'tope-updater-x64.xz',
    'opt/tope/updater/tope-updater-launch': 'launch.sh',
    'etc/init.d/S02tope-updater-recover': 'tope-updater.init',
    'usr/lib/systemd/system/tope-updater-recover.service': 'tope-updater-recover.service',
    'etc/default/tope-updater': 'TOPE_UPDATER_OPTIONS="--config /etc/tope.json"\n',
  };
  for (const [path, content] of Object.entries(placed))
    assert.is(readFileSync(join(target, path), 'utf8'), content, path);
  assert.is(readlinkSync(join(target, 'usr/bin/tope-updater')), '/opt/tope/updater/tope-updater');
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
