/** The bundle of the release before this version, built of the history of the sources as that release was. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';

const projectRoot = resolve(import.meta.dirname, '../..');

/** The newest version that CHANGELOG.md gives a day. */
export function lastRelease(): string {
  const changelog = readFileSync(join(projectRoot, 'CHANGELOG.md'), 'utf8');
  const version = /^## \[(\d[^\]]*)\] - /m.exec(changelog)?.[1];
  if (version === undefined) throw new Error('CHANGELOG.md names no release');
  return version;
}

/** Its commit: that of its tag, else the one that gave it its day. Undefined where the history does not reach back so far. */
export function commitOf(version: string): string | undefined {
  const git = (...args: string[]) =>
    spawnSync('git', ['-C', projectRoot, ...args], { encoding: 'utf8' }).stdout?.trim() ?? '';
  if (git('rev-parse', '--is-shallow-repository') !== 'false') return undefined;
  const tagged = git('rev-parse', '--verify', '--quiet', `v${version}^{commit}`);
  if (tagged !== '') return tagged;
  const oldestFirst = git('log', '--format=%H', '--reverse', `-S## [${version}] - `, '--', 'CHANGELOG.md');
  return oldestFirst === '' ? undefined : oldestFirst.split('\n')[0];
}

/** Builds it in `folder`, with the libraries that are installed here; gives its path. */
export function buildBundleOf(commit: string, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const archive = execFileSync('git', ['-C', projectRoot, 'archive', commit], { maxBuffer: 256 << 20 });
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'));
  const bundle = join(folder, 'dist/tope-updater.cjs');
  execFileSync(join(projectRoot, 'node_modules/.bin/tsx'), ['build/bundle.ts', bundle], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return bundle;
}
