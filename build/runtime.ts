/**
 * The Node binaries that the executables carry: which, where they come from, and stripped of their symbols.
 *
 * Invariants: a downloaded archive is used only when its sha512 is the one in runtimes.json; nothing is fetched but
 * by npm from the registry it is set up for; a NODE_<ARCH> variable replaces the download by a file.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './bundle.ts';

export const arches = ['x64', 'arm64', 'armv7'] as const;
export type Arch = (typeof arches)[number];

export const cacheFolder = join(projectRoot, 'build/.cache');

export interface Runtime {
  readonly arch: Arch;
  /** `x.y.z`, read from the binary. */
  readonly version: string;
  /** The stripped binary, or the whole one where no tool for its machine is installed. */
  readonly path: string;
  /** Licence texts of Node and all that is compiled into it. */
  readonly licensePath: string | undefined;
}

/** The runtime of an architecture, from the cache, the registry or the path in NODE_X64, NODE_ARM64, NODE_ARMV7. */
export function provideRuntime(arch: Arch): Runtime {
  const override = process.env[`NODE_${arch.toUpperCase()}`];
  const source = override === undefined ? downloadedRuntime(arch) : givenRuntime(arch, override);
  const path = `${source.binary}.stripped-${arch}`;
  if (!existsSync(path)) strip(arch, source.binary, path);
  return { arch, version: nodeVersion(source.binary), path, licensePath: source.licensePath };
}

interface Source {
  readonly binary: string;
  readonly licensePath: string | undefined;
}

const pins = JSON.parse(readFileSync(join(projectRoot, 'build/runtimes.json'), 'utf8')) as Record<
  Arch,
  { readonly package: string; readonly version: string; readonly integrity: string }
>;

function downloadedRuntime(arch: Arch): Source {
  const pin = pins[arch];
  const folder = join(cacheFolder, 'runtimes', `${pin.package}-${pin.version}`);
  const source = { binary: join(folder, 'package/bin/node'), licensePath: join(folder, 'package/LICENSE') };
  if (existsSync(source.binary)) return source;

  mkdirSync(join(cacheFolder, 'runtimes'), { recursive: true });
  const unpacking = mkdtempSync(`${folder}.`);
  console.log(`fetching ${pin.package} ${pin.version}`);
  // By its exact name: the package names its own cpu, so npm would refuse to install the foreign ones.
  execFileSync(
    'npm',
    ['pack', `${pin.package}@${pin.version}`, '--pack-destination', unpacking, '--loglevel=error'],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  const archive = join(unpacking, `${pin.package}-${pin.version}.tgz`);
  const integrity = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
  if (integrity !== pin.integrity)
    throw new Error(`${pin.package} ${pin.version}: the archive is ${integrity}, pinned is ${pin.integrity}`);
  execFileSync('tar', ['-xzf', archive, '-C', unpacking, 'package/bin/node', 'package/LICENSE']);
  rmSync(archive);
  rmSync(folder, { recursive: true, force: true });
  renameSync(unpacking, folder);
  return source;
}

/** A runtime given by path is copied into the cache under its own digest. */
function givenRuntime(arch: Arch, path: string): Source {
  const digest = createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16);
  const folder = join(cacheFolder, 'runtimes', `given-${arch}-${digest}`);
  mkdirSync(folder, { recursive: true });
  const binary = join(folder, 'node');
  if (!existsSync(binary)) copyFileSync(path, binary);
  const licensePath = join(path, '../../LICENSE');
  return { binary, licensePath: existsSync(licensePath) ? licensePath : undefined };
}

/** Read from the text of the binary, because a foreign one cannot be asked. */
export function nodeVersion(binary: string): string {
  const version = /download\/release\/v(\d+\.\d+\.\d+)\//.exec(readFileSync(binary, 'latin1'))?.[1];
  if (version === undefined) throw new Error(`${binary} is no official build of Node: it names no release`);
  return version;
}

const gnuPrefix = { x64: 'x86_64-linux-gnu-', arm64: 'aarch64-linux-gnu-', armv7: 'arm-linux-gnueabihf-' };
const stripPackage = {
  x64: 'binutils',
  arm64: 'binutils-aarch64-linux-gnu',
  armv7: 'binutils-arm-linux-gnueabihf',
};

/** Takes the symbols out (a tenth to a sixth of the size); the binary goes on whole where no tool can. */
function strip(arch: Arch, binary: string, stripped: string): void {
  const partial = `${stripped}.new`;
  for (const tool of [`${gnuPrefix[arch]}strip`, 'llvm-strip']) {
    try {
      execFileSync(tool, ['--strip-all', '-o', partial, binary], { stdio: 'pipe' });
      renameSync(partial, stripped);
      return;
    } catch (error) {
      rmSync(partial, { force: true });
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
  console.log(`note: ${arch} keeps its symbols: neither ${stripPackage[arch]} nor llvm is installed`);
  writeFileSync(partial, readFileSync(binary), { mode: 0o755 });
  renameSync(partial, stripped);
}
