/**
 * Makes the fresh Debian roots for the tests of the packages, once, in build/.cache. Apart from the tests, because each test file
 * has a network of its own, in which there is no package archive: what the packages depend on is in the roots.
 *
 * Usage: tsx test/packages/roots.ts [RELEASE ...]    (default: all)
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { dependencies, type Release, releases, rootOf } from './chroot.ts';

if (process.getuid?.() !== 0) console.log('skipped: Debian roots need root');
else if (spawnSync('sh', ['-c', 'command -v mmdebstrap']).status !== 0)
  console.log('skipped: Debian roots need mmdebstrap (Debian: mmdebstrap)');
else
  for (const release of wanted(process.argv.slice(2))) {
    const root = rootOf(release);
    if (existsSync(root)) continue;
    console.log(`installing a Debian ${release} for the packages (once)`);
    const partial = `${root}.${process.pid}`;
    mkdirSync(dirname(root), { recursive: true });
    const include = `--include=${dependencies[release].join(',')}`;
    try {
      const argv = ['--variant=minbase', include, '--aptopt=Acquire::Languages "none"', release, partial];
      execFileSync('mmdebstrap', argv, { stdio: 'ignore', timeout: 600_000 });
      renameSync(partial, root);
    } catch (thrown) {
      rmSync(partial, { recursive: true, force: true });
      console.log(`skipped: a root of ${release}: ${thrown instanceof Error ? thrown.message : thrown}`);
    }
  }

function wanted(names: readonly string[]): readonly Release[] {
  const unknown = names.find((name) => !releases.some((release) => release === name));
  if (unknown !== undefined) throw new Error(`RELEASE=${unknown}: must be one of ${releases.join(', ')}`);
  return names.length === 0 ? releases : releases.filter((release) => names.includes(release));
}
