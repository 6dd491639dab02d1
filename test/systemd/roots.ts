/**
 * Makes the Debian roots of the containers, once, in build/.cache. Apart from the tests, because each test file has a
 * network of its own, in which there is no package archive.
 *
 * Usage: tsx test/systemd/roots.ts [RELEASE ...]    (default: bookworm)
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { rootOf, wantedReleases } from './container.ts';

const packages = 'systemd-sysv,libpam-systemd,dbus,procps,libstdc++6,libatomic1,perl-base,cron';
const options = ['--variant=minbase', `--include=${packages}`, '--aptopt=Acquire::Languages "none"'];

if (process.getuid?.() !== 0) console.log('skipped: Debian roots need root');
else if (spawnSync('sh', ['-c', 'command -v mmdebstrap']).status !== 0)
  console.log('skipped: Debian roots need mmdebstrap (Debian: mmdebstrap)');
else
  for (const release of process.argv.length > 2
    ? wantedReleases(process.argv.slice(2))
    : wantedReleases(['bookworm'])) {
    const root = rootOf(release);
    if (existsSync(root)) continue;
    console.log(`installing a Debian ${release} for the containers (once)`);
    const partial = `${root}.${process.pid}`;
    mkdirSync(dirname(root), { recursive: true });
    try {
      execFileSync('mmdebstrap', [...options, release, partial], { stdio: 'ignore', timeout: 360_000 });
      renameSync(partial, root);
    } catch (thrown) {
      rmSync(partial, { recursive: true, force: true });
      console.log(`skipped: a root of ${release}: ${thrown instanceof Error ? thrown.message : thrown}`);
    }
  }
