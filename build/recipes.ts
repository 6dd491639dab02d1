/**
 * Makes the recipes of a release: the layer for Yocto and the external tree for Buildroot of deploy/, with version and checksums of
 * the files in dist/, as two archives beside them.
 *
 * Invariant: the bytes follow from deploy/, dist/SHA256SUMS and dist/LICENSES.txt.
 *
 * Usage: tsx build/recipes.ts
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectRoot, projectVersion, releaseMs } from './bundle.ts';
import { writeSums } from './dist.ts';
import { type Arch, arches, cacheFolder } from './runtime.ts';

const files: Readonly<Record<string, string>> = {
  licenses: 'LICENSES.txt',
  launch: 'launch.sh',
  recover: 'tope-updater-recover.service',
  init: 'tope-updater.init',
  service: 'tope-updater.service',
};

/** Fills `folder` with `meta-tope-updater` and `buildroot`. An architecture that `dist` has no executable of is left out. */
export function writeRecipes(folder: string, dist: string, version = projectVersion): void {
  const sums = readSums(dist);
  const known = arches.filter((arch) => sums.has(executable(arch)));
  cpSync(join(projectRoot, 'deploy/yocto/meta-tope-updater'), join(folder, 'meta-tope-updater'), {
    recursive: true,
  });
  cpSync(join(projectRoot, 'deploy/buildroot'), join(folder, 'buildroot'), { recursive: true });
  const licenses = readFileSync(join(dist, 'LICENSES.txt'));
  writeFileSync(
    join(folder, `meta-tope-updater/recipes-support/tope-updater/tope-updater-bin_${version}.bb`),
    recipe(sums, known, createHash('md5').update(licenses).digest('hex')),
  );
  const buildroot = join(folder, 'buildroot/package/tope-updater');
  writeFileSync(join(buildroot, 'version.inc'), `TOPE_UPDATER_VERSION = ${version}\n`);
  const hashed = [...known.map(executable), ...Object.values(files)];
  const lines = hashed.map((name) => `sha256  ${sumOf(sums, name)}  ${name}\n`);
  writeFileSync(
    join(buildroot, 'tope-updater.hash'),
    `# Made with the release, of its SHA256SUMS\n${lines.join('')}`,
  );
}

function executable(arch: Arch): string {
  return `tope-updater-${arch}.xz`;
}

function readSums(dist: string): ReadonlyMap<string, string> {
  const lines = readFileSync(join(dist, 'SHA256SUMS'), 'utf8').trim().split('\n');
  return new Map(lines.map((line) => [line.slice(66), line.slice(0, 64)]));
}

function sumOf(sums: ReadonlyMap<string, string>, name: string): string {
  const sum = sums.get(name);
  if (sum === undefined) throw new Error(`dist/SHA256SUMS does not name ${name}: make dist`);
  return sum;
}

function recipe(sums: ReadonlyMap<string, string>, known: readonly Arch[], licensesMd5: string): string {
  const named = [...known.map((arch) => [arch, executable(arch)] as const), ...Object.entries(files)];
  return `# Made with the release, of its SHA256SUMS
require tope-updater-bin.inc

LIC_FILES_CHKSUM = "file://LICENSES.txt;md5=${licensesMd5}"

${named.map(([name, file]) => `SRC_URI[${name}.sha256sum] = "${sumOf(sums, file)}"`).join('\n')}
`;
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const dist = join(projectRoot, 'dist');
  mkdirSync(cacheFolder, { recursive: true });
  const work = mkdtempSync(join(cacheFolder, 'work-recipes-'));
  try {
    writeRecipes(work, dist);
    const time = `--mtime=@${releaseMs() / 1000}`;
    for (const name of ['meta-tope-updater', 'buildroot']) {
      const archive = join(dist, `${name === 'buildroot' ? 'buildroot-tope-updater' : name}.tar.gz`);
      const how = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--mode=u=rwX,go=rX', time];
      const tar = execFileSync('tar', [...how, '-C', work, '-cf', '-', name], { maxBuffer: 2 ** 24 });
      writeFileSync(archive, execFileSync('gzip', ['-9n'], { input: tar }));
      console.log(archive);
    }
    writeSums(dist);
  } finally {
    rmSync(work, { recursive: true });
  }
}
