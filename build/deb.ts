/**
 * Makes Debian packages: one per architecture with the executable of `make dist` inside, and one for all of them
 * ("tope-updater-node") with the bundle, which Debian's own Node.js runs and Debian's updates keep safe.
 *
 * Invariants: dpkg-deb alone is needed; the bytes follow from dist/tope-updater-ARCH, its LICENSES.txt and the sources.
 *
 * Usage: tsx build/deb.ts [ARCH ...]      x64, arm64, armv7, node; node and what dist/ holds when none is named
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { projectRoot, projectVersion, releaseMs, writeBundle } from './bundle.ts';
import { debianChangelog, debianVersion, type PackageName, placeControl } from './deb-control.ts';
import { writeSums } from './dist.ts';
import { licenseTexts } from './licenses.ts';
import { executableFlags } from './pack.ts';
import { type Arch, arches, cacheFolder } from './runtime.ts';

export type Flavour = Arch | 'node';

interface Described {
  readonly name: PackageName;
  readonly architecture: string;
  readonly depends: string;
}

const libraries = (cxx: string) => `libatomic1, libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= ${cxx})`;
const described: Record<Flavour, Described> = {
  x64: { name: 'tope-updater', architecture: 'amd64', depends: libraries('7') },
  arm64: { name: 'tope-updater', architecture: 'arm64', depends: libraries('7') },
  armv7: { name: 'tope-updater', architecture: 'armhf', depends: libraries('9') },
  node: { name: 'tope-updater-node', architecture: 'all', depends: 'nodejs (>= 20.19)' },
};

export interface DebOptions {
  /** Holds tope-updater-ARCH and LICENSES.txt; where the package goes, too. */
  readonly dist: string;
  readonly version?: string;
}

/** Makes one package; the path of what was made, which is there when it is whole. Throws where a file is missing. */
export async function makeDeb(flavour: Flavour, options: DebOptions): Promise<string> {
  const { dist, version = projectVersion } = options;
  const { name, architecture, depends } = described[flavour];
  mkdirSync(cacheFolder, { recursive: true });
  const work = mkdtempSync(join(cacheFolder, 'work-deb-'));
  const root = join(work, 'root');
  try {
    await placeFiles(root, work, flavour, { dist, version });
    placeControl(root, { name, architecture, depends, version });
    const made = join(work, 'made.deb');
    const deb = join(dist, `${name}_${debianVersion(version)}_${architecture}.deb`);
    // Two threads whatever the machine has: the number decides how the archive is cut, and with it the bytes.
    const how = ['--root-owner-group', '-Zxz', '-z6', '--threads-max=2', '--build', root, made];
    execFileSync('dpkg-deb', how, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, SOURCE_DATE_EPOCH: String(releaseMs() / 1000) },
    });
    renameSync(made, deb);
    return deb;
  } finally {
    rmSync(work, { recursive: true });
  }
}

const home = 'opt/tope/updater';

async function placeFiles(
  root: string,
  work: string,
  flavour: Flavour,
  { dist, version }: Required<DebOptions>,
): Promise<void> {
  const { name } = described[flavour];
  const put = (path: string, content: Uint8Array | string, mode = 0o644) => {
    makeDirectory(root, dirname(path));
    writeFileSync(join(root, path), content);
    chmodSync(join(root, path), mode);
  };
  const documents = `usr/share/doc/${name}`;
  const packed = (path: string, content: Uint8Array | string) =>
    put(`${path}.gz`, gzipSync(content, { level: 9 }));
  if (flavour === 'node') {
    const { bundle, licenses } = await bundled(join(work, 'bundle'));
    put(`${home}/tope-updater`, nodeProgram(bundle), 0o755);
    packed(`${documents}/LICENSES.txt`, licenses);
  } else {
    put(`${home}/tope-updater`, readFileSync(join(dist, `tope-updater-${flavour}`)), 0o755);
    packed(`${documents}/LICENSES.txt`, readFileSync(join(dist, 'LICENSES.txt')));
  }
  put(`${home}/tope-updater-launch`, source('deploy/launch.sh'), 0o755);
  for (const unit of ['tope-updater.service', 'tope-updater-recover.service'])
    put(`usr/lib/systemd/system/${unit}`, source(`deploy/${unit}`));
  put('etc/init.d/tope-updater', source('deploy/tope-updater.init'), 0o755);
  put('etc/default/tope-updater', source('deploy/deb/default'));
  packed('usr/share/man/man8/tope-updater.8', source('deploy/tope-updater.8'));
  put('usr/share/bash-completion/completions/tope-updater', source('deploy/completion.bash'));
  put(`${documents}/copyright`, source('deploy/deb/copyright'));
  packed(`${documents}/changelog`, debianChangelog(name, version));
  packed(`${documents}/CHANGELOG.md`, source('CHANGELOG.md'));
  put(`usr/share/lintian/overrides/${name}`, overrides(name));
  makeDirectory(root, 'usr/bin');
  symlinkSync(`/${home}/tope-updater`, join(root, 'usr/bin/tope-updater'));
}

/** Whatever the umask is. */
function makeDirectory(root: string, path: string): void {
  if (path !== '.') makeDirectory(root, dirname(path));
  mkdirSync(join(root, path), { recursive: true });
  chmodSync(join(root, path), 0o755);
}

function source(path: string): Buffer {
  return readFileSync(join(projectRoot, path));
}

async function bundled(folder: string): Promise<{ bundle: string; licenses: string }> {
  const path = join(folder, 'tope-updater.cjs');
  const { packages } = await writeBundle(path);
  return { bundle: readFileSync(path, 'utf8'), licenses: licenseTexts(packages, []) };
}

/**
 * One file that is a shell's script and Node's: so that the launcher can keep the one before as it keeps an executable, and
 * that Node gets the flags which keep its memory small (`#!` takes 127 characters on older kernels).
 */
function nodeProgram(bundle: string): string {
  // With --lite-mode alone, Debian's Node.js says at every start that it leaves WebAssembly out.
  const flags = ['--no-expose-wasm', ...executableFlags].join(' ');
  return `#!/bin/sh\n':' //; exec /usr/bin/node ${flags} "$0" "$@"\n${bundle}`;
}

function overrides(name: string): string {
  return source('deploy/deb/lintian-overrides')
    .toString()
    .replace(/^(?=[a-z])/gm, `${name}: `);
}

/** What was asked for, or everything there is a program of. */
export function wantedFlavours(names: readonly string[], dist: string): Flavour[] {
  const flavours: readonly Flavour[] = [...arches, 'node'];
  const unknown = names.find((name) => !flavours.some((flavour) => flavour === name));
  if (unknown !== undefined) throw new Error(`ARCH=${unknown}: must be one of ${flavours.join(', ')}`);
  return flavours.filter((flavour) =>
    names.length === 0
      ? flavour === 'node' || existsSync(join(dist, `tope-updater-${flavour}`))
      : names.includes(flavour),
  );
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  if (spawnSync('dpkg-deb', ['--version']).status !== 0)
    throw new Error('dpkg-deb is not installed: packages are made on Debian, or with its package "dpkg"');
  const dist = join(projectRoot, 'dist');
  mkdirSync(dist, { recursive: true });
  for (const flavour of wantedFlavours(process.argv.slice(2), dist)) {
    const deb = await makeDeb(flavour, { dist });
    console.log(`${relative(projectRoot, deb)}  ${(statSync(deb).size / 1e6).toFixed(1)} MB`);
  }
  writeSums(dist);
}
