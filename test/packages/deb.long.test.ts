/** The Debian packages with dpkg and apt of Debian 12 and 13: install, upgrade, those that fail, remove, purge. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeDeb } from '../../build/deb.ts';
import { debians, whyNoChroot, withChroot } from './chroot.ts';
import { changes, home, install, installed } from './installed.ts';

const test = suite('Debian packages');
const launch = `${home}/tope-updater-launch run`;
const folder = mkdtempSync(join(tmpdir(), 'packages-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** A program that `starts` is false of runs where this is, as one does that misses a library. */
const library = '/usr/lib/missing';

/**
 * A package of a program that only says which it is; `starts` false: not even that. `runs` false: it ends when it is to run. What lies
 * behind its end only takes long to unpack.
 */
async function packageOf(version: string, { starts = true, runs = true, mb = 0 } = {}): Promise<string> {
  const dist = join(folder, version);
  mkdirSync(dist);
  const missing = starts ? '' : `[ -e ${library} ] || exit 127\n`;
  const work = runs ? `echo running ${version}` : 'exit 1';
  writeFileSync(
    join(dist, 'tope-updater-x64'),
    `#!/bin/sh\n${missing}case "$1" in --version) echo ${version} ;; run) ${work} ;; esac\nexit\n${'\0'.repeat(mb * 1e6)}`,
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
        large: await packageOf('6.0.0', { mb: 60 }),
      }
    : undefined;

for (const debian of debians.filter(({ architecture }) => architecture === 'amd64')) {
  const { release } = debian;
  const why = whyNoChroot(debian);
  if (why !== undefined || packages === undefined) {
    console.log(`skipped: packages on ${release}: ${why}`);
    continue;
  }
  const { first, second, broken, third, crashing, large } = packages;

  test(`${release}: installs, upgrades with its settings kept, is removed, and purged without a trace`, () =>
    withChroot(debian, async (chroot) => {
      const before = chroot.names();
      installed(chroot, first);
      assert.is(chroot.sh('tope-updater --version'), '1.0.0');
      assert.is(chroot.sh(launch), 'running 1.0.0');
      for (const link of [
        'multi-user.target.wants/tope-updater',
        'sysinit.target.wants/tope-updater-recover',
      ])
        chroot.sh(`test -h /etc/systemd/system/${link}.service`);
      chroot.sh('test -e /etc/rc2.d/S01tope-updater');
      assert.not.ok(existsSync(join(chroot.root, home, 'probation')), 'nobody to go back to');

      chroot.put('/etc/default/tope-updater', 'TOPE_UPDATER_OPTIONS="--port 8080"\n');
      chroot.put(`${home}/backups/history.jsonl`, '');
      installed(chroot, second);
      assert.is(chroot.sh('tope-updater --version'), '2.0.0');
      assert.match(chroot.sh('cat /etc/default/tope-updater'), /--port 8080/);

      chroot.sh('apt-get remove -y tope-updater');
      assert.equal(readdirSync(join(chroot.root, home)).sort(), ['backups', 'logs', 'tmp']);
      chroot.sh('test -e /etc/default/tope-updater');
      chroot.sh('apt-get purge -y tope-updater');
      assert.equal(changes(before, chroot.names()), []);
    }));

  test(`${release}: a program that does not run here leaves the one before in its place`, () =>
    withChroot(debian, async (chroot) => {
      installed(chroot, first);
      const { status, output } = install(chroot, broken);
      assert.is.not(status, 0);
      assert.match(output, /this program does not run here; the one before, if there is one, stays/);
      assert.is(chroot.sh('tope-updater --version'), '1.0.0');
      assert.is(chroot.sh(launch), 'running 1.0.0');
      assert.not.ok(existsSync(join(chroot.root, home, 'probation')));
      installed(chroot, third);
      assert.is(chroot.sh('tope-updater --version'), '4.0.0');
      assert.is(chroot.sh('dpkg --audit'), '');
    }));

  test(`${release}: a version is not said to be installed while the one before is in its place`, () =>
    withChroot(debian, async (chroot) => {
      installed(chroot, first);
      assert.is.not(install(chroot, broken).status, 0);
      // The library comes; each of these would set the package up.
      chroot.put(library, '');
      for (const again of [`apt-get install -y ${chroot.bring(broken)}`, 'dpkg --configure -a']) {
        const { status, output } = chroot.run(again);
        assert.is.not(status, 0);
        assert.match(output, /the program here is none of version 3\.0\.0: dpkg --install it again/);
        assert.match(chroot.sh('dpkg --audit'), /tope-updater/);
        assert.is(chroot.sh('tope-updater --version'), '1.0.0');
      }
      chroot.sh(`dpkg --install ${chroot.bring(broken)}`);
      assert.is(chroot.sh('tope-updater --version'), '3.0.0');
      assert.is(chroot.sh(launch), 'running 3.0.0');
      assert.is(chroot.sh('dpkg --audit; dpkg --verify tope-updater'), '');
    }));

  test(`${release}: dpkg killed in the middle leaves the program that was there, and goes on when it is asked again`, () =>
    withChroot(debian, async (chroot) => {
      installed(chroot, first);
      const deb = chroot.bring(large);
      chroot.run(
        `setsid dpkg --install ${deb} >/dev/null & until [ -e ${home}/tope-updater.dpkg-new ]; do :; done; kill -KILL -$!; wait`,
      );
      assert.match(chroot.sh('dpkg --audit'), /tope-updater/);
      assert.is(chroot.sh(launch), 'running 1.0.0');
      chroot.sh(`dpkg --install ${deb}`);
      assert.is(chroot.sh(launch), 'running 6.0.0');
      assert.is(chroot.sh(`${home}/tope-updater.previous run`), 'running 1.0.0');
      assert.not.ok(existsSync(join(chroot.root, home, 'tope-updater.dpkg-new')));
    }));

  test(`${release}: a program that ends at every start is on probation, and the one before is started again`, () =>
    withChroot(debian, async (chroot) => {
      installed(chroot, first);
      installed(chroot, crashing);
      const starts = [1, 2, 3, 4].map(() => chroot.run(launch).output);
      assert.equal(starts, ['', '', '', 'running 1.0.0']);
      // Whoever has failed is not what the next one goes back to.
      installed(chroot, second);
      assert.is(chroot.sh(launch), 'running 2.0.0');
      assert.is(chroot.sh(`${home}/tope-updater.previous run`), 'running 1.0.0');
    }));

  test(`${release}: what somebody else put there, or has on probation, is refused and stays as it is`, () =>
    withChroot(debian, async (chroot) => {
      chroot.put(`${home}/tope-updater`, '#!/bin/sh\necho of install.sh\n', 0o755);
      const by = install(chroot, first);
      assert.match(by.output, /install\.sh put the program into \/opt\/tope\/updater: take it away first/);
      assert.is(chroot.sh(`${home}/tope-updater`), 'of install.sh');
      chroot.sh(`rm ${home}/tope-updater`);

      installed(chroot, first);
      chroot.put(`${home}/probation`, 'update 20260101T000000000Z\n');
      const during = install(chroot, second);
      assert.match(during.output, /on probation for ten minutes/);
      assert.is(chroot.sh('tope-updater --version'), '1.0.0');
      assert.match(chroot.sh(`cat ${home}/probation`), /^update /);

      for (const name of ['install.sh', 'launch.sh', 'tope-updater.service', 'tope-updater-recover.service'])
        chroot.bring(join('deploy', name));
      for (const action of ['', '--uninstall'])
        assert.match(chroot.run(`sh /root/install.sh ${action}`).output, /belongs to .*tope-updater.*apt/s);
      assert.is(chroot.sh('tope-updater --version'), '1.0.0');
    }));
}

test.run();
