/** deploy/install.sh in a scratch root, under the system's sh and under busybox with nothing but busybox's tools. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const deployFolder = resolve('deploy');
const pageFiles = ['tope-updater.8', 'completion.bash'];
const manual = 'man/man8/tope-updater.8';
const completion = 'bash-completion/completions/tope-updater';
const scratch = mkdtempSync(join(tmpdir(), 'install-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

interface Shell {
  readonly name: string;
  readonly argv: readonly string[];
  readonly path: string;
}

function shells(): Shell[] {
  const system = { name: 'sh', argv: ['/bin/sh'], path: '/usr/bin:/bin:/usr/sbin:/sbin' };
  const busybox = spawnSync('busybox', ['true']).status === 0;
  if (!busybox) {
    console.log('skipped: install.sh under busybox: busybox is not installed');
    return [system];
  }
  const tools = join(scratch, 'busybox');
  mkdirSync(tools);
  for (const tool of spawnSync('busybox', ['--list'], { encoding: 'utf8' }).stdout.trim().split('\n'))
    writeFileSync(join(tools, tool), `#!/bin/sh\nexec busybox ${tool} "$@"\n`, { mode: 0o755 });
  for (const name of ['busybox', 'sh']) rmSync(join(tools, name), { force: true });
  const where = spawnSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).stdout.trim();
  copyFileSync(where, join(tools, 'busybox'));
  copyFileSync(where, join(tools, 'sh'));
  return [system, { name: 'busybox', argv: [join(tools, 'sh')], path: tools }];
}

let counter = 0;
/** A release folder with an executable per architecture that is a script, the sums, and the files of deploy/. */
function release(version: string): string {
  counter += 1;
  const folder = join(scratch, `release-${counter}`);
  mkdirSync(folder);
  const sums = ['x64', 'arm64', 'armv7'].map((arch) => {
    const name = `tope-updater-${arch}`;
    writeFileSync(join(folder, name), `#!/bin/sh\necho ${version} ${arch}\n`);
    const sum = createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex');
    return `${sum}  ${name}\n`;
  });
  writeFileSync(join(folder, 'SHA256SUMS'), sums.join(''));
  for (const name of [
    'install.sh',
    'launch.sh',
    'tope-updater.service',
    'tope-updater-recover.service',
    'tope-updater.init',
    ...pageFiles,
  ])
    copyFileSync(join(deployFolder, name), join(folder, name));
  return folder;
}

function root(): string {
  counter += 1;
  const folder = join(scratch, `root-${counter}`);
  mkdirSync(folder);
  return folder;
}

/** All below a folder with mode, inode and content: equal means untouched. */
function snapshot(folder: string): string[] {
  return (readdirSync(folder, { recursive: true }) as string[]).sort().map((name) => {
    const stat = statSync(join(folder, name));
    const content = stat.isFile() ? readFileSync(join(folder, name), 'utf8') : '';
    return `${name} ${stat.mode.toString(8)} ${stat.isFile() ? stat.ino : ''} ${content}`;
  });
}

/** Also a link that leads nowhere. */
function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

for (const shell of shells()) {
  const test = suite(`install.sh under ${shell.name}`);
  const run = (from: string, ...args: string[]) => {
    const [program = '', ...before] = shell.argv;
    const result = spawnSync(program, [...before, join(from, 'install.sh'), ...args], {
      encoding: 'utf8',
      timeout: 60_000,
      env: { PATH: shell.path },
    });
    return { status: result.status, output: result.stdout + result.stderr };
  };
  const succeed = (from: string, ...args: string[]) => {
    const { status, output } = run(from, ...args);
    assert.is(status, 0, output);
    return output;
  };

  test('a fresh root gets the executable, the folders 0755, the unit enabled and the init script', () => {
    const destdir = root();
    succeed(release('1.0.0'), '--destdir', destdir, '--arch', 'x64');
    const prefix = join(destdir, 'opt/tope/updater');
    assert.match(readFileSync(join(prefix, 'tope-updater'), 'utf8'), '1.0.0 x64');
    for (const name of ['.', 'tmp', 'logs', 'backups', 'tope-updater', 'tope-updater-launch'])
      assert.is(statSync(join(prefix, name)).mode & 0o7777, 0o755, name);
    const wanted = join(destdir, 'etc/systemd/system/multi-user.target.wants/tope-updater.service');
    assert.match(readFileSync(wanted, 'utf8'), 'ExecStart=/opt/tope/updater/tope-updater-launch run');
    assert.is(statSync(join(destdir, 'etc/init.d/tope-updater')).mode & 0o777, 0o755);
  });

  test('a second run changes nothing', () => {
    const destdir = root();
    const from = release('1.0.0');
    succeed(from, '--destdir', destdir, '--arch', 'arm64');
    const before = snapshot(destdir);
    succeed(from, '--destdir', destdir, '--arch', 'arm64');
    assert.equal(snapshot(destdir), before);
  });

  test('an upgrade replaces the executable and leaves configuration and state alone', () => {
    const destdir = root();
    succeed(release('1.0.0'), '--destdir', destdir, '--arch', 'armv7');
    const prefix = join(destdir, 'opt/tope/updater');
    const kept = ['config.json', 'tmp/state.json', 'logs/updater.log', 'backups/a.1.bak'];
    for (const name of kept) writeFileSync(join(prefix, name), name);
    succeed(release('1.1.0'), '--destdir', destdir, '--arch', 'armv7');
    assert.match(readFileSync(join(prefix, 'tope-updater'), 'utf8'), '1.1.0 armv7');
    for (const name of kept) assert.is(readFileSync(join(prefix, name), 'utf8'), name);
    assert.not.ok(existsSync(join(prefix, '.tope-updater.new')));
  });

  test('an upgrade of a live system leaves the one before to fall back to; a second one still that', () => {
    const isRoot = process.getuid?.() === 0 && !existsSync('/run/systemd/system');
    if (!isRoot || shell.name !== 'busybox') return console.log('\nskipped: it would change this system');
    const system = root();
    const prefix = join(system, 'updater');
    const bin = join(system, 'usr/local/bin');
    mkdirSync(bin, { recursive: true });
    const live = { INITDIR: join(system, 'init.d'), TOPE_UPDATER_RUN: system, USRDIR: join(system, 'usr') };
    const real = () => readdirSync('/usr/local/bin').sort();
    const before = real();
    const install = (version: string) => {
      const [program = '', ...first] = shell.argv;
      const argv = [...first, join(release(version), 'install.sh'), '--prefix', prefix];
      const env = { PATH: shell.path, ...live };
      const { status, stderr } = spawnSync(program, argv, { encoding: 'utf8', timeout: 60_000, env });
      assert.is(status, 0, stderr);
      spawnSync('sh', [join(live.INITDIR, 'tope-updater'), 'stop'], { env: { ...process.env, ...live } });
    };
    const previous = join(prefix, 'tope-updater.previous');
    install('1.0.0');
    assert.is(readlinkSync(join(bin, 'tope-updater')), join(prefix, 'tope-updater'));
    assert.equal(real(), before, 'nothing outside of the scratch folder');
    assert.not.ok(existsSync(previous) || existsSync(join(prefix, 'probation')));
    for (const version of ['1.1.0', '1.2.0']) {
      install(version);
      assert.match(readFileSync(join(prefix, 'tope-updater'), 'utf8'), version);
      assert.match(readFileSync(previous, 'utf8'), '1.0.0');
      assert.ok(existsSync(join(prefix, 'probation')));
    }
  });

  test('another prefix is written into the unit and the init script', () => {
    const destdir = root();
    succeed(release('1.0.0'), '--destdir', destdir, '--arch', 'x64', '--prefix', '/srv/updater');
    const unit = readFileSync(join(destdir, 'etc/systemd/system/tope-updater.service'), 'utf8');
    assert.match(unit, 'WorkingDirectory=/srv/updater\n');
    assert.not.match(unit, '/opt/tope/updater');
    assert.match(readFileSync(join(destdir, 'etc/init.d/tope-updater'), 'utf8'), 'PREFIX=/srv/updater\n');
    assert.ok(existsSync(join(destdir, 'srv/updater/tope-updater')));
  });

  test('the architecture is found out where none is named', () => {
    const destdir = root();
    succeed(release('1.0.0'), '--destdir', destdir);
    const arch = { x64: 'x64', arm64: 'arm64', arm: 'armv7' }[process.arch as string] ?? '';
    assert.match(readFileSync(join(destdir, 'opt/tope/updater/tope-updater'), 'utf8'), `1.0.0 ${arch}`);
  });

  test('a damaged executable is refused and the old one stays', () => {
    const destdir = root();
    succeed(release('1.0.0'), '--destdir', destdir, '--arch', 'x64');
    const before = snapshot(destdir);
    const damaged = release('1.1.0');
    chmodSync(join(damaged, 'tope-updater-x64'), 0o755);
    writeFileSync(join(damaged, 'tope-updater-x64'), 'damaged');
    const { status, output } = run(damaged, '--destdir', destdir, '--arch', 'x64');
    assert.is(status, 1);
    assert.match(output, /tope-updater-x64: sha256 is [0-9a-f]{64}, SHA256SUMS says [0-9a-f]{64}/);
    assert.equal(snapshot(destdir), before);
  });

  test('what is missing or wrong is named', () => {
    const destdir = root();
    const from = release('1.0.0');
    const refused = (pattern: RegExp, ...args: string[]) => {
      const { status, output } = run(from, '--destdir', destdir, ...args);
      assert.is(status, 1, output);
      assert.match(output, pattern);
    };
    refused(/neither tope-updater-mips nor tope-updater-mips\.xz/, '--arch', 'mips');
    refused(/--prefix opt: must be an absolute path/, '--prefix', 'opt');
    refused(/--prefix \/a#b: only letters/, '--prefix', '/a#b');
    refused(/unknown argument --frm/, '--frm');
    refused(/--from needs a value/, '--from');
    rmSync(join(from, 'SHA256SUMS'));
    refused(/SHA256SUMS is missing/, '--arch', 'x64');
  });

  test('an executable that is there as .xz only is unpacked', () => {
    if (spawnSync('xz', ['--version']).status !== 0)
      return console.log('\nskipped: the .xz: xz is not installed');
    const destdir = root();
    const from = release('1.0.0');
    spawnSync('xz', [join(from, 'tope-updater-x64')]);
    if (shell.name === 'busybox')
      writeFileSync(join(shell.path, 'xz'), '#!/bin/sh\nexec busybox xz "$@"\n', { mode: 0o755 });
    succeed(from, '--destdir', destdir, '--arch', 'x64');
    assert.match(readFileSync(join(destdir, 'opt/tope/updater/tope-updater'), 'utf8'), '1.0.0 x64');
  });

  test('program, manual page and completion lie below the prefix, and links to them where the system has folders', () => {
    const [bare, full] = [root(), root()];
    const program = join(full, 'usr/local/bin/tope-updater');
    const links = [program, join(full, 'usr/local/share', manual), join(full, 'usr/share', completion)];
    for (const folder of ['usr/local/bin', 'usr/local/share/man', 'usr/share/bash-completion'])
      mkdirSync(join(full, folder), { recursive: true });
    const from = release('1.0.0');
    for (const destdir of [bare, full])
      succeed(from, '--destdir', destdir, '--arch', 'x64', '--prefix', '/srv/updater');
    const share = join(bare, 'srv/updater/share');
    assert.match(readFileSync(join(share, manual), 'utf8'), '.TH TOPE');
    assert.match(readFileSync(join(share, completion), 'utf8'), 'complete ');
    assert.is(statSync(join(share, manual)).mode & 0o7777, 0o644);
    assert.not.ok(existsSync(join(bare, 'usr')));
    assert.equal(
      links.map((link) => readlinkSync(link)),
      ['tope-updater', `share/${manual}`, `share/${completion}`].map((path) => `/srv/updater/${path}`),
    );

    succeed(from, '--destdir', full, '--arch', 'x64', '--prefix', '/srv/updater');
    succeed(from, '--destdir', full, '--uninstall', '--prefix', '/srv/updater');
    assert.not.ok(existsSync(join(full, 'srv/updater')));
    assert.ok(links.every((link) => !isThere(link)));
  });

  test("a page of somebody else's stays, and a release without pages installs all the same", () => {
    const destdir = root();
    const theirs = join(destdir, 'usr/local/share', manual);
    mkdirSync(dirname(theirs), { recursive: true });
    writeFileSync(join(destdir, 'their-page'), '');
    symlinkSync('/their-page', theirs);
    const from = release('1.0.0');
    const output = succeed(from, '--destdir', destdir, '--arch', 'x64');
    assert.ok(
      output.includes(`note: ${theirs} is another's and stays; the page is /opt/tope/updater/share/`),
      output,
    );
    succeed(from, '--destdir', destdir, '--uninstall');
    assert.is(readlinkSync(theirs), '/their-page');

    for (const name of pageFiles) rmSync(join(from, name));
    succeed(from, '--destdir', destdir, '--arch', 'x64');
    assert.not.ok(existsSync(join(destdir, 'opt/tope/updater/share')));
  });

  test('a link to the program that leads nowhere is replaced, a program of somebody else stays', () => {
    const destdir = root();
    const link = join(destdir, 'usr/local/bin/tope-updater');
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync('/tmp/of-an-earlier-trial/tope-updater', link);
    const from = release('1.0.0');
    assert.not.match(succeed(from, '--destdir', destdir, '--arch', 'x64'), 'note:');
    assert.is(readlinkSync(link), '/opt/tope/updater/tope-updater');
    rmSync(link);
    writeFileSync(link, 'theirs');
    const output = succeed(from, '--destdir', destdir, '--arch', 'x64');
    assert.ok(
      output.includes(`note: ${link} is another's and stays; the program is /opt/tope/updater/tope-updater`),
    );
    assert.is(readFileSync(link, 'utf8'), 'theirs');
  });

  test('uninstalling takes the program away and leaves configuration and state', () => {
    const destdir = root();
    const from = release('1.0.0');
    succeed(from, '--destdir', destdir, '--arch', 'x64');
    writeFileSync(join(destdir, 'opt/tope/updater/tmp/state.json'), '{}');
    const output = succeed(from, '--destdir', destdir, '--uninstall');
    assert.match(output, 'configuration, state and backups stay');
    const left = readdirSync(destdir, { recursive: true, withFileTypes: true });
    assert.equal(
      left.filter((entry) => !entry.isDirectory()).map((entry) => entry.name),
      ['state.json'],
    );
    succeed(from, '--destdir', destdir, '--uninstall');
  });

  test('uninstalling what was never used leaves nothing of it', () => {
    const destdir = root();
    const from = release('1.0.0');
    succeed(from, '--destdir', destdir, '--arch', 'x64');
    succeed(from, '--destdir', destdir, '--uninstall');
    assert.not.ok(existsSync(join(destdir, 'opt/tope/updater')));
  });

  test.run();
}
