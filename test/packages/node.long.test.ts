/** `tope-updater-node` on Debian's own Node.js, and what lintian says of the packages. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeDeb } from '../../build/deb.ts';
import { debians, whyNoChroot, withChroot } from './chroot.ts';
import { home, installed } from './installed.ts';
import { updatedAndPurged } from './updated.ts';

const test = suite('tope-updater-node, and lintian');
const folder = mkdtempSync(join(tmpdir(), 'packages-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

for (const debian of debians.filter(({ name }) => name === 'trixie')) {
  const why = whyNoChroot(debian);
  if (why !== undefined) console.log(`skipped: tope-updater-node: ${why}`);
  else
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
