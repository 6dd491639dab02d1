/**
 * A package on a Debian, with the program in it: installed by apt, upgraded, an update through the updater and back, purged without a
 * trace. The executables are those that `make dist` and `make deb` made; arm64 and armhf run under qemu.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite, type Test } from 'uvu';
import * as assert from 'uvu/assert';
import { buildPackage } from '../fixtures/package-builder.ts';
import { type Chroot, type Debian, debians, whyNoChroot, withChroot } from './chroot.ts';
import { changes, home, installed } from './installed.ts';

const folder = mkdtempSync(join(tmpdir(), 'packages-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** One test for each Debian of the architecture that is here. */
export function packageTests(architecture: Debian['architecture']): Test {
  const test = suite(`the Debian package of the executable, ${architecture}`);
  const made = existsSync('dist') ? readdirSync('dist') : [];
  const deb = made.find((file) => file.startsWith('tope-updater_') && file.endsWith(`_${architecture}.deb`));
  for (const debian of debians.filter((each) => each.architecture === architecture)) {
    const why = deb === undefined ? 'there is no package of it (make dist, make deb)' : whyNoChroot(debian);
    if (deb === undefined || why !== undefined) {
      console.log(`skipped: the executable on ${debian.name}: ${why}`);
      test.skip(debian.name, () => undefined);
    } else
      test(`${debian.name}: the executable updates the device, and goes without a trace`, () =>
        withChroot(debian, (chroot) => updatedAndPurged(chroot, join('dist', deb), 'tope-updater')));
  }
  return test;
}

/** Starts the updater of a package, brings one update through it and takes that back, then purges: nothing is left. */
export async function updatedAndPurged(chroot: Chroot, deb: string, name: string): Promise<void> {
  const before = chroot.names();
  installed(chroot, deb);
  // Once more: an upgrade, after which what runs has to prove itself.
  chroot.sh(`apt-get install -y --reinstall ${chroot.bring(deb)}`);
  const command = [
    `${home}/tope-updater-launch`,
    'run',
    '--dir',
    home,
    '--report-url',
    'http://127.0.0.1:9/',
  ];
  const [program, ...args] = chroot.argv(command);
  const daemon = spawn(program, args, { stdio: 'ignore', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
  const ended = new Promise((done) => daemon.once('close', done));
  try {
    for (
      const deadline = Date.now() + 120_000;
      chroot.run('tope-updater status').status !== 0;
      await sleep(200)
    )
      if (Date.now() > deadline) throw new Error(chroot.run('tope-updater status').output);
    const zip = join(folder, `${name}.zip`);
    const modules = [{ name: 'hello', src: 'hello', dst: '/opt/tope/hello/hello' }];
    await buildPackage({ version: '1.0.0', modules, files: { hello: 'hello 1.0.0' } }, zip);
    chroot.sh(`tope-updater install --yes ${chroot.bring(zip)}`);
    assert.is(chroot.sh('cat /opt/tope/hello/hello'), 'hello 1.0.0');
    chroot.sh('tope-updater rollback --yes');
    chroot.sh(`grep -x committed ${home}/probation`);
  } finally {
    daemon.kill('SIGTERM');
    await ended;
  }
  chroot.sh(`apt-get purge -y ${name}`);
  assert.equal(changes(before, chroot.names()), []);
}
