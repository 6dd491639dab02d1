/** What `make deb` makes of a program, a fake here: the files, what dpkg is told, and the same bytes twice. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeDeb, wantedFlavours } from '../../build/deb.ts';

const test = suite('make deb');
const folder = mkdtempSync(join(tmpdir(), 'deb-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

function dist(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  writeFileSync(join(path, 'tope-updater-armv7'), '#!/bin/sh\necho tope-updater 1.2.3-rc.1\n');
  writeFileSync(join(path, 'LICENSES.txt'), 'MIT\n');
  return path;
}

function dpkgDeb(...args: readonly string[]): string {
  return execFileSync('dpkg-deb', args, { encoding: 'utf8' });
}

if (spawnSync('dpkg-deb', ['--version']).status !== 0)
  console.log('skipped: Debian packages: dpkg-deb is not installed (Debian: dpkg)');
else {
  test('has the program, its launcher, units, settings and pages, owned by root', async () => {
    const deb = await makeDeb('armv7', { dist: dist('files'), version: '1.2.3-rc.1' });
    assert.match(deb, /\/tope-updater_1\.2\.3~rc\.1_armhf\.deb$/);
    const lines = dpkgDeb('--contents', deb).trim().split('\n');
    const files = lines.map((line) => line.replace(/ +\d+ \d{4}-\d\d-\d\d \d\d:\d\d /, ' '));
    for (const file of [
      '-rwxr-xr-x root/root ./opt/tope/updater/tope-updater',
      '-rwxr-xr-x root/root ./opt/tope/updater/tope-updater-launch',
      'lrwxrwxrwx root/root ./usr/bin/tope-updater -> /opt/tope/updater/tope-updater',
      '-rw-r--r-- root/root ./usr/lib/systemd/system/tope-updater.service',
      '-rw-r--r-- root/root ./usr/lib/systemd/system/tope-updater-recover.service',
      '-rwxr-xr-x root/root ./etc/init.d/tope-updater',
      '-rw-r--r-- root/root ./etc/default/tope-updater',
      '-rw-r--r-- root/root ./usr/share/man/man8/tope-updater.8.gz',
      '-rw-r--r-- root/root ./usr/share/doc/tope-updater/copyright',
    ])
      assert.ok(files.includes(file), file);
    assert.is(dpkgDeb('--info', deb, 'conffiles'), '/etc/default/tope-updater\n/etc/init.d/tope-updater\n');
    const control = dpkgDeb('--field', deb);
    assert.match(control, /^Version: 1\.2\.3~rc\.1$/m);
    assert.match(control, /^Depends: libatomic1, libc6 \(>= 2\.28\), .*libstdc\+\+6 \(>= 9\)$/m);
    assert.match(control, /^Conflicts: tope-updater-node$/m);
    const sums = dpkgDeb('--info', deb, 'md5sums');
    assert.match(sums, /^[0-9a-f]{32} {2}opt\/tope\/updater\/tope-updater$/m);
    assert.not.match(sums, /etc\//);
  });

  test('is the same for everybody, whatever their umask', async () => {
    const first = await makeDeb('armv7', { dist: dist('first') });
    const mask = process.umask(0o077);
    const second = await makeDeb('armv7', { dist: dist('second') }).finally(() => process.umask(mask));
    assert.ok(readFileSync(first).equals(readFileSync(second)));
  });
}

test('is made of what dist/ holds, and of what is asked for by a known name', () => {
  const path = dist('wanted');
  assert.equal(wantedFlavours([], path), ['armv7', 'node']);
  assert.equal(wantedFlavours(['x64'], path), ['x64']);
  assert.throws(() => wantedFlavours(['amd64'], path), /ARCH=amd64: must be one of x64, arm64, armv7, node/);
});

for (const script of ['preinst', 'postinst', 'prerm', 'postrm'])
  test(`${script} is a script for dash and busybox`, () => {
    const path = join(import.meta.dirname, '../../deploy/deb', script);
    for (const shell of [['sh'], ['busybox', 'sh']]) {
      const [program = '', ...args] = shell;
      const checked = spawnSync(program, [...args, '-n', path], { encoding: 'utf8' });
      if (checked.error === undefined) assert.is(checked.status, 0, checked.stderr);
    }
  });

test.run();
