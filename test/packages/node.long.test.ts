/** `tope-updater-node` on Debian's own Node.js, and what lintian says of the packages. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeDeb } from '../../build/deb.ts';
import { debians, whyNoChroot, withChroot } from './chroot.ts';
import { changes, home, installed } from './installed.ts';
import { updatedAndPurged } from './updated.ts';

const test = suite('tope-updater-node, and lintian');
const folder = mkdtempSync(join(tmpdir(), 'packages-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

for (const debian of debians.filter(({ name }) => name === 'trixie')) {
  const why = whyNoChroot(debian);
  if (why !== undefined) {
    console.log(`skipped: tope-updater-node: ${why}`);
    continue;
  }
  test("tope-updater-node updates on Debian 13's own Node.js, falls back, and goes without a trace", () =>
    withChroot(debian, async (chroot) => {
      const dist = join(folder, 'node');
      mkdirSync(dist);
      const ofNode = await makeDeb('node', { dist });
      await updatedAndPurged(chroot, ofNode, 'tope-updater-node');
      installed(chroot, ofNode);
      chroot.sh(`cp ${home}/tope-updater ${home}/tope-updater.previous`);
      assert.match(chroot.sh(`${home}/tope-updater.previous --version`), /^tope-updater \d/);
    }));

  test('one of the two replaces the other with settings and history kept, whoever is purged afterwards', () =>
    withChroot(debian, async (chroot) => {
      const dist = join(folder, 'both');
      mkdirSync(dist);
      writeFileSync(join(dist, 'tope-updater-x64'), '#!/bin/sh\necho an executable\n');
      writeFileSync(join(dist, 'LICENSES.txt'), 'MIT\n');
      const debs = {
        'tope-updater': await makeDeb('x64', { dist }),
        'tope-updater-node': await makeDeb('node', { dist }),
      };
      const before = chroot.names();
      installed(chroot, debs['tope-updater']);
      chroot.put('/etc/default/tope-updater', 'TOPE_UPDATER_OPTIONS="--port 8080"\n');
      chroot.put(`${home}/backups/history.jsonl`, '');
      const replacements = [
        { by: 'tope-updater-node', gone: 'tope-updater', says: /^tope-updater \d/ },
        { by: 'tope-updater', gone: 'tope-updater-node', says: /^an executable$/ },
      ] as const;
      for (const { by, gone, says } of replacements) {
        installed(chroot, debs[by]);
        chroot.sh(`apt-get purge -y ${gone}`);
        assert.match(chroot.sh('tope-updater --version 2>/dev/null'), says);
        assert.match(chroot.sh('cat /etc/default/tope-updater'), /--port 8080/);
        chroot.sh(
          `test -e ${home}/backups/history.jsonl && test -h /etc/systemd/system/multi-user.target.wants/tope-updater.service`,
        );
      }
      chroot.sh('apt-get purge -y tope-updater');
      assert.equal(changes(before, chroot.names()), []);
    }));
}

if (spawnSync('lintian', ['--version']).status === 0)
  test('lintian has nothing to say but what is stated', async () => {
    const dist = join(folder, 'lintian');
    mkdirSync(dist);
    const made = existsSync('dist') ? readdirSync('dist').filter((file) => file.endsWith('.deb')) : [];
    const debs = [await makeDeb('node', { dist }), ...made.map((file) => join('dist', file))];
    const said = spawnSync('lintian', ['--allow-root', '--fail-on', 'error,warning', ...debs], {
      encoding: 'utf8',
    });
    assert.is(said.status, 0, said.stdout + said.stderr);
    assert.is(said.stdout, '');
  });
else console.log('skipped: lintian: it is not installed');

test.run();
