/**
 * What a tree of very many files is compared with, each durable at its end: `unzip` and one syncfs, the base; dpkg, which
 * writes all, then syncs; OSTree, pull and checkout.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { provideProgram, settleDisk } from './machine.ts';
import type { Trees, TreeVersion } from './trees.ts';

export type TreePeer =
  | { readonly name: string; readonly skipped: string }
  | {
      readonly name: string;
      /** Brings a version over what stands; ms. */
      bring(version: TreeVersion): number;
    };

/** Those that can be had here, the base first; BENCH_PEERS=base: the base alone. */
export function prepareTreePeers(trees: Trees, scratch: string, www: string, storeUrl: string): TreePeer[] {
  const own = join(scratch, 'tree-peers');
  rmSync(own, { recursive: true, force: true });
  mkdirSync(own, { recursive: true });
  if (process.env.BENCH_PEERS === 'base') return [unzip(own)];
  return [unzip(own), dpkg(trees, own), ostree(trees, own, www, storeUrl)];
}

function unzip(own: string): TreePeer {
  const name = 'unzip + syncfs';
  const missing = provideProgram('unzip', 'unzip') ?? provideProgram('zip', 'zip');
  if (missing !== undefined) return { name, skipped: missing };
  const target = join(own, 'unzipped');
  return {
    name,
    bring: ({ made }) => timedLine(`unzip -qo ${made.path} -d ${target} && sync -f ${target}`),
  };
}

function dpkg(trees: Trees, own: string): TreePeer {
  const name = 'dpkg';
  const missing = provideProgram('dpkg-deb', 'dpkg');
  if (missing !== undefined) return { name, skipped: missing };
  const root = join(own, 'dpkg-root');
  mkdirSync(join(root, 'var/lib/dpkg/updates'), { recursive: true });
  mkdirSync(join(root, 'var/lib/dpkg/info'));
  for (const file of ['status', 'available']) writeFileSync(join(root, 'var/lib/dpkg', file), '');
  for (const { version, folder } of [trees.first, trees.changed, trees.same]) {
    const build = join(own, `deb-${version}`);
    cpSync(join(folder, 'tree'), join(build, 'opt/tree'), { recursive: true });
    mkdirSync(join(build, 'DEBIAN'));
    writeFileSync(
      join(build, 'DEBIAN/control'),
      `Package: tree\nVersion: ${version}\nArchitecture: all\nMaintainer: bench <bench@example.com>\nDescription: bench\n`,
    );
    execFileSync('dpkg-deb', ['-Zgzip', '--root-owner-group', '-b', build, `${build}.deb`], {
      stdio: 'pipe',
    });
    rmSync(build, { recursive: true });
  }
  return {
    name,
    bring: ({ version }) =>
      timedLine(`dpkg --root=${root} --force-script-chrootless -i ${own}/deb-${version}.deb >/dev/null`),
  };
}

function ostree(trees: Trees, own: string, www: string, storeUrl: string): TreePeer {
  const name = 'ostree, pull + checkout';
  const missing = provideProgram('ostree', 'ostree');
  if (missing !== undefined) return { name, skipped: missing };
  const [served, device, target] = [join(www, `ostree-${trees.files}`), join(own, 'repo'), join(own, 'out')];
  const run = (...args: string[]) => execFileSync('ostree', args, { stdio: 'pipe' });
  rmSync(served, { recursive: true, force: true });
  run(`--repo=${served}`, 'init', '--mode=archive');
  for (const { version, folder } of [trees.first, trees.changed, trees.same])
    run(`--repo=${served}`, 'commit', '-b', `v${version}`, `--tree=dir=${join(folder, 'tree')}`);
  run(`--repo=${served}`, 'summary', '-u');
  run(`--repo=${device}`, 'init', '--mode=bare-user-only');
  run(`--repo=${device}`, 'remote', 'add', '--no-gpg-verify', 'store', `${storeUrl}ostree-${trees.files}`);
  return {
    name,
    bring: ({ version }) =>
      timedLine(
        `ostree --repo=${device} pull store v${version} >/dev/null &&
         ostree --repo=${device} checkout -U --fsync=true store:v${version} ${target}.new &&
         rm -rf ${target}.old && { [ ! -d ${target} ] || mv ${target} ${target}.old; } && mv ${target}.new ${target} &&
         sync -f ${own}`,
      ),
  };
}

function timedLine(line: string): number {
  settleDisk();
  const begun = performance.now();
  const { status, stdout, stderr } = spawnSync('sh', ['-c', line]);
  const ms = performance.now() - begun;
  if (status !== 0) throw new Error(`${line}: status ${status}\n${stdout}${stderr}`.slice(0, 4_000));
  return ms;
}

/** What `pack` is compared with; ms. */
export function zipFolder(folder: string, output: string): number {
  rmSync(output, { force: true });
  return timedLine(`cd ${folder} && zip -qrX ${output} manifest.json tree && sync ${output}`);
}

export function packFolder(executable: string, folder: string, output: string, allowRoot: string): number {
  rmSync(output, { force: true });
  return timedLine(`${executable} pack ${folder} -o ${output} --allow-root ${allowRoot} >/dev/null 2>&1`);
}
