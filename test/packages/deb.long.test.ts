/** The Debian packages with dpkg and apt of Debian 12 and 13: install, upgrade, those that fail, remove, purge. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeDeb } from '../../build/deb.ts';
import { buildPackage } from '../fixtures/package-builder.ts';
import { type Chroot, releases, whyNoChroot, withChroot } from './chroot.ts';

const test = suite('Debian packages');
const home = '/opt/tope/updater';
const launch = `${home}/tope-updater-launch run`;
const folder = mkdtempSync(join(tmpdir(), 'packages-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** A package of a program that only says which it is; `starts` false: not even that. `runs` false: it ends when it is to run. */
async function packageOf(version: string, { starts = true, runs = true } = {}): Promise<string> {
  const dist = join(folder, version);
  mkdirSync(dist);
  const says = starts ? `echo ${version}` : 'exit 127';
  const work = runs ? `echo running ${version}` : 'exit 1';
  writeFileSync(
    join(dist, 'tope-updater-x64'),
    `#!/bin/sh\ncase "$1" in --version) ${says} ;; run) ${work} ;; esac\n`,
  );
  writeFileSync(join(dist, 'LICENSES.txt'), 'MIT\n');
  return makeDeb('x64', { dist, version });
}

const packages =
  spawnSync('dpkg-deb', ['--version']).status === 0
    ? {
        first: await packageOf('1.0.0'),
        second: await packageOf('2.0.0'),
        broken: await packageOf('3.0.0', { starts: false }),
        third: await packageOf('4.0.0'),
        crashing: await packageOf('5.0.0', { runs: false }),
      }
    : undefined;

function install(debian: Chroot, deb: string): { readonly status: number; readonly output: string } {
  return debian.run(`apt-get install -y --allow-downgrades ${debian.bring(deb)}`);
}

function installed(debian: Chroot, deb: string): void {
  const { status, output } = install(debian, deb);
  assert.is(status, 0, output);
}

/** An empty /opt goes with the last package that had something there: that is dpkg's way. */
function changes(before: readonly string[], after: readonly string[]): string[] {
  const gone = before
    .filter((name) => !after.includes(name) && !name.startsWith('/opt d '))
    .map((name) => `gone: ${name}`);
  return [...gone, ...after.filter((name) => !before.includes(name))];
}

for (const release of releases) {
  const why = whyNoChroot(release);
  if (why !== undefined || packages === undefined) {
    console.log(`skipped: packages on ${release}: ${why}`);
    continue;
  }
  const { first, second, broken, third, crashing } = packages;

  test(`${release}: installs, upgrades with its settings kept, is removed, and purged without a trace`, () =>
    withChroot(release, async (debian) => {
      const before = debian.names();
      installed(debian, first);
      assert.is(debian.sh('tope-updater --version'), '1.0.0');
      assert.is(debian.sh(launch), 'running 1.0.0');
      for (const link of [
        'multi-user.target.wants/tope-updater',
        'sysinit.target.wants/tope-updater-recover',
      ])
        debian.sh(`test -h /etc/systemd/system/${link}.service`);
      debian.sh('test -e /etc/rc2.d/S01tope-updater');
      assert.not.ok(existsSync(join(debian.root, home, 'probation')), 'nobody to go back to');

      debian.put('/etc/default/tope-updater', 'TOPE_UPDATER_OPTIONS="--port 8080"\n');
      debian.put(`${home}/backups/history.jsonl`, '');
      installed(debian, second);
      assert.is(debian.sh('tope-updater --version'), '2.0.0');
      assert.match(debian.sh('cat /etc/default/tope-updater'), /--port 8080/);

      debian.sh('apt-get remove -y tope-updater');
      assert.equal(readdirSync(join(debian.root, home)).sort(), ['backups', 'logs', 'tmp']);
      debian.sh('test -e /etc/default/tope-updater');
      debian.sh('apt-get purge -y tope-updater');
      assert.equal(changes(before, debian.names()), []);
    }));

  test(`${release}: a program that does not run here leaves the one before in its place`, () =>
    withChroot(release, async (debian) => {
      installed(debian, first);
      const { status, output } = install(debian, broken);
      assert.is.not(status, 0);
      assert.match(output, /this program does not run here; the one before, if there is one, stays/);
      assert.is(debian.sh('tope-updater --version'), '1.0.0');
      assert.is(debian.sh(launch), 'running 1.0.0');
      assert.not.ok(existsSync(join(debian.root, home, 'probation')));
      installed(debian, third);
      assert.is(debian.sh('tope-updater --version'), '4.0.0');
      assert.is(debian.sh('dpkg --audit'), '');
    }));

  test(`${release}: a program that ends at every start is on probation, and the one before is started again`, () =>
    withChroot(release, async (debian) => {
      installed(debian, first);
      installed(debian, crashing);
      const starts = [1, 2, 3, 4].map(() => debian.run(launch).output);
      assert.equal(starts, ['', '', '', 'running 1.0.0']);
      // Whoever has failed is not what the next one goes back to.
      installed(debian, second);
      assert.is(debian.sh(launch), 'running 2.0.0');
      assert.is(debian.sh(`${home}/tope-updater.previous run`), 'running 1.0.0');
    }));

  test(`${release}: what somebody else put there, or has on probation, is refused and stays as it is`, () =>
    withChroot(release, async (debian) => {
      debian.put(`${home}/tope-updater`, '#!/bin/sh\necho of install.sh\n', 0o755);
      const by = install(debian, first);
      assert.match(by.output, /install\.sh put the program into \/opt\/tope\/updater: take it away first/);
      assert.is(debian.sh(`${home}/tope-updater`), 'of install.sh');
      debian.sh(`rm ${home}/tope-updater`);

      installed(debian, first);
      debian.put(`${home}/probation`, 'update 20260101T000000000Z\n');
      const during = install(debian, second);
      assert.match(during.output, /on probation for ten minutes/);
      assert.is(debian.sh('tope-updater --version'), '1.0.0');
      assert.match(debian.sh(`cat ${home}/probation`), /^update /);

      for (const name of ['install.sh', 'launch.sh', 'tope-updater.service', 'tope-updater-recover.service'])
        debian.bring(join('deploy', name));
      for (const action of ['', '--uninstall'])
        assert.match(debian.run(`sh /root/install.sh ${action}`).output, /belongs to .*tope-updater.*apt/s);
      assert.is(debian.sh('tope-updater --version'), '1.0.0');
    }));
}

/** Starts the updater of a package, brings one update through it and takes that back, then purges: nothing is left. */
async function updatedAndPurged(debian: Chroot, deb: string, name: string): Promise<void> {
  const before = debian.names();
  installed(debian, deb);
  // Once more: an upgrade, after which what runs has to prove itself.
  debian.sh(`apt-get install -y --reinstall ${debian.bring(deb)}`);
  const program = `${home}/tope-updater-launch`;
  const daemon = spawn(
    'chroot',
    [debian.root, program, 'run', '--dir', home, '--report-url', 'http://127.0.0.1:9/'],
    {
      stdio: 'ignore',
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    },
  );
  const ended = new Promise((done) => daemon.once('close', done));
  try {
    for (
      const deadline = Date.now() + 30_000;
      debian.run('tope-updater status').status !== 0;
      await sleep(200)
    )
      if (Date.now() > deadline) throw new Error(debian.run('tope-updater status').output);
    const zip = join(folder, `${name}.zip`);
    const modules = [{ name: 'hello', src: 'hello', dst: '/opt/tope/hello/hello' }];
    await buildPackage({ version: '1.0.0', modules, files: { hello: 'hello 1.0.0' } }, zip);
    debian.sh(`tope-updater install --yes ${debian.bring(zip)}`);
    assert.is(debian.sh('cat /opt/tope/hello/hello'), 'hello 1.0.0');
    debian.sh('tope-updater rollback --yes');
    debian.sh(`grep -x committed ${home}/probation`);
  } finally {
    daemon.kill('SIGTERM');
    await ended;
  }
  debian.sh(`apt-get purge -y ${name}`);
  assert.equal(changes(before, debian.names()), []);
}

const trixie = whyNoChroot('trixie');
if (trixie === undefined)
  test("tope-updater-node updates on Debian 13's own Node.js, falls back, and goes without a trace", () =>
    withChroot('trixie', async (debian) => {
      const dist = join(folder, 'node');
      mkdirSync(dist);
      const deb = await makeDeb('node', { dist });
      await updatedAndPurged(debian, deb, 'tope-updater-node');
      installed(debian, deb);
      debian.sh(`cp ${home}/tope-updater ${home}/tope-updater.previous`);
      assert.match(debian.sh(`${home}/tope-updater.previous --version`), /^tope-updater \d/);
    }));

const real = existsSync('dist')
  ? readdirSync('dist').find((name) => /^tope-updater_.*_amd64\.deb$/.test(name))
  : undefined;
if (real === undefined) console.log('skipped: the package of the executable: make dist and make deb make it');
else
  for (const release of releases)
    if (whyNoChroot(release) === undefined)
      test(`${release}: the executable updates the device, and goes without a trace`, () =>
        withChroot(release, (debian) => updatedAndPurged(debian, join('dist', real), 'tope-updater')));

if (spawnSync('lintian', ['--version']).status === 0)
  test('lintian has nothing to say but what is stated', async () => {
    const dist = join(folder, 'lintian');
    mkdirSync(dist);
    const debs = [await makeDeb('node', { dist }), ...(real === undefined ? [] : [join('dist', real)])];
    const said = spawnSync('lintian', ['--allow-root', '--fail-on', 'error,warning', ...debs], {
      encoding: 'utf8',
    });
    assert.is(said.status, 0, said.stdout + said.stderr);
    assert.is(said.stdout, '');
  });
else console.log('skipped: lintian: it is not installed');

test.run();
