/**
 * The Debian package under a real systemd: its unit runs after the install, the new program after an upgrade, the one before where the new
 * one does not run or ends at every start, and nothing after a purge. The programs are scripts around the bundle.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeDeb } from '../../build/deb.ts';
import { updatersIn } from '../fixtures/new-updaters.ts';
import { bootContainer, type Container, until, wantedReleases, whyNoContainer } from './container.ts';

const home = '/opt/tope/updater';
const unit = 'tope-updater.service';

for (const release of wantedReleases()) {
  const test = suite(`the Debian package under the systemd of ${release}`);
  // Debian 11, whose dpkg knows the same, is none that the package is for.
  const why = release === 'bullseye' ? 'the package is for Debian 12 and later' : whyNoContainer(release);
  if (why !== undefined) {
    console.log(`skipped: the Debian package under the systemd of ${release}: ${why}`);
    test.skip('the Debian package', () => undefined);
    test.run();
    continue;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'deb-'));
  const make = updatersIn(scratch, '/opt/bundles', '/opt/node');
  let container: Container;
  test.before(async () => {
    container = await bootContainer(release);
    // What was put there by hand is none of dpkg's; the unit's drop-in for the memory of Node stays.
    await container.sh(`systemctl disable --quiet --now ${unit} tope-updater-recover
      rm -rf ${home} /etc/systemd/system/tope-updater*.service /etc/default/tope-updater; systemctl daemon-reload`);
  });
  test.after(async () => {
    await container.end();
    rmSync(scratch, { recursive: true, force: true });
  });

  test('runs after the install, and again after the boot', async () => {
    await dpkg('--install', await packageOf('1.0.0', make('1.0.0')));
    await runs('1.0.0');
    await container.crash();
    await runs('1.0.0');
  });

  test('is upgraded while it runs', async () => {
    const before = await mainPid();
    await dpkg('--install', await packageOf('2.0.0', make('2.0.0')));
    await runs('2.0.0');
    assert.is.not(await mainPid(), before);
    await until('its commit', async () => /committed$/.test(await container.sh(`cat ${home}/probation`)));
    // As after ten minutes: until then, what comes back is the one before.
    await container.sh(`rm ${home}/probation`);
  });

  test('stays what it is where the new program does not run here', async () => {
    const before = await mainPid();
    const said = await installBroken('3.0.0').then(
      () => 'installed',
      (thrown: unknown) => String(thrown),
    );
    assert.match(said, /this program does not run here; the one before, if there is one, stays/);
    assert.is(await mainPid(), before);
    assert.is(await container.sh(`sed -n '2s/# updater //p' ${home}/tope-updater`), '2.0.0');
    await runs('2.0.0');
  });

  test('comes back where the new one ends at every start', async () => {
    const crashing = make('4.0.0', '[ "$1" = --version ] || exit 1');
    await dpkg('--install', await packageOf('4.0.0', crashing));
    await runs('2.0.0');
    assert.is(await container.sh(`sed -n '2s/# updater //p' ${home}/tope-updater`), '2.0.0');
    assert.is(await container.sh(`systemctl is-active ${unit}`), 'active');
  });

  test('leaves nothing behind when it is purged', async () => {
    await dpkg('--purge', 'tope-updater');
    assert.is(await container.sh(`systemctl is-active ${unit} || true`), 'inactive');
    const left = await container.sh(
      "find / -xdev -name '*tope-updater*' ! -path '/proc/*' ! -path '/opt/tope-updater.cjs' ! -path '/opt/bundles/*' ! -path '/root/*' ! -path '*.service.d*' ! -path '/var/log/*' ! -path '/var/cache/*'",
    );
    assert.is(left, '');
    assert.is(await container.sh(`ls -d ${home} 2>/dev/null || true`), '');
  });

  test.run();

  /** Makes the package of a program and brings it there; gives its place. */
  async function packageOf(version: string, program: string): Promise<string> {
    const dist = join(scratch, version);
    mkdirSync(dist, { recursive: true });
    writeFileSync(join(dist, 'tope-updater-x64'), program);
    writeFileSync(join(dist, 'LICENSES.txt'), 'MIT\n');
    const deb = await makeDeb('x64', { dist, version });
    for (const name of readdirSync(scratch).filter((each) => each.endsWith('.cjs')))
      container.put(`/opt/bundles/${name}`, readFileSync(join(scratch, name)));
    container.put('/root/package.deb', readFileSync(deb));
    return '/root/package.deb';
  }

  async function dpkg(action: string, what: string): Promise<void> {
    await container.sh(`DEBIAN_FRONTEND=noninteractive dpkg ${action} ${what}`);
  }

  async function installBroken(version: string): Promise<void> {
    await dpkg('--install', await packageOf(version, '#!/bin/sh\nexit 127\n'));
  }

  async function runs(version: string): Promise<void> {
    const code = "fetch('http://127.0.0.1:12315/healthz').then((r) => r.text()).then(console.log)";
    await until(`${version} answers`, async () =>
      (await container.sh(`/opt/node -e "${code}"`)).includes(`"version":"${version}"`),
    );
  }

  async function mainPid(): Promise<string> {
    return container.sh(`systemctl show --property=MainPID --value ${unit}`);
  }
}
