/**
 * Makes what a release consists of in dist/: an executable per architecture with its .xz, SHA256SUMS, the SBOM, the
 * licence texts and the files that install it.
 *
 * Invariant: the bytes follow from the sources, the lockfiles and the runtimes alone; an executable whose inputs are
 * those of the last build is kept, so a second run takes seconds.
 *
 * Usage: tsx build/dist.ts [ARCH ...]      x64, arm64, armv7; all three when none is named
 *        RELEASE=1: an executable whose Node gets no security fixes any more is an error
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endOfSupport } from '../src/node-support.ts';
import { projectRoot, writeBundle } from './bundle.ts';
import { runnerOf } from './code-cache.ts';
import { licenseTexts } from './licenses.ts';
import { executableFlags, packExecutable } from './pack.ts';
import { type Arch, arches, provideRuntime, type Runtime } from './runtime.ts';
import { writeSbom } from './sbom.ts';

const releaseFiles = [
  'install.sh',
  'launch.sh',
  'tope-updater.service',
  'tope-updater-recover.service',
  'tope-updater.init',
  'tope-updater.8',
  'completion.bash',
];

/** Fills `folder` with the release of the named architectures. `keep` false: nothing of an earlier build is used. */
export async function makeDist(folder: string, wanted: readonly Arch[], keep: boolean): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const bundle = join(folder, 'tope-updater.cjs');
  const { packages } = await writeBundle(bundle);
  const runtimes = wanted.map(provideRuntime);
  for (const fault of unsupported(runtimes, Date.now())) {
    if (process.env.RELEASE === '1') throw new Error(`not for a release: ${fault}`);
    console.error(`\nWARNING: ${fault}\n`);
  }
  for (const runtime of runtimes) makeExecutable(runtime, bundle, folder, keep);

  writeFileSync(join(folder, 'LICENSES.txt'), licenseTexts(packages, runtimes));
  writeSbom(join(folder, 'tope-updater.cdx.json'), packages, runtimes);
  for (const name of releaseFiles) copyFileSync(join(projectRoot, 'deploy', name), join(folder, name));
  writeSums(folder);
  for (const { arch, version } of runtimes) {
    const [whole, packed] = ['', '.xz'].map((suffix) =>
      sizeMb(join(folder, `tope-updater-${arch}${suffix}`)),
    );
    console.log(`tope-updater-${arch}  ${whole}, as .xz ${packed}  (Node ${version})`);
  }
}

function makeExecutable(runtime: Runtime, bundle: string, folder: string, keep: boolean): void {
  const output = join(folder, `tope-updater-${runtime.arch}`);
  const keyFile = join(folder, `.${runtime.arch}.key`);
  const inputs = inputsKey(runtime, bundle);
  if (keep && existsSync(keyFile) && existsSync(output)) {
    if (readFileSync(keyFile, 'utf8') === `${inputs} ${sha256(output)}\n`) {
      // As new as the bundle: the tests of the executables leave out what is older.
      utimesSync(output, new Date(), new Date());
      return;
    }
  }
  rmSync(keyFile, { force: true });
  console.log(`packing ${runtime.arch}`);
  packExecutable(runtime, runtime.arch === 'armv7' ? runtime : provideRuntime(hostArch()), bundle, output);
  compress(output);
  writeFileSync(keyFile, `${inputs} ${sha256(output)}\n`);
}

/** What must not be published: executables whose Node nobody mends any more. In words. */
export function unsupported(runtimes: readonly Pick<Runtime, 'arch' | 'version'>[], nowMs: number): string[] {
  return runtimes.flatMap(({ arch, version }) => {
    const ended = endOfSupport(version, nowMs);
    if (ended === undefined) return [];
    return `${arch} carries Node ${version}, which gets no security fixes since ${ended}; NODE_${arch.toUpperCase()} names a newer one (docs/building.md)`;
  });
}

/** Everything an executable depends on, as one digest. */
function inputsKey(runtime: Runtime, bundle: string): string {
  const packaging = ['package-lock.json', 'loader.cjs', 'compile.cjs'].map(
    (name) => `build/packaging/${name}`,
  );
  const rules = ['build/pack.ts', 'build/code-cache.ts', 'build/sea-blob.ts', ...packaging];
  const files = [bundle, runtime.path, ...rules.map((name) => join(projectRoot, name))];
  return createHash('sha256')
    .update(JSON.stringify([executableFlags, runnerOf(runtime) !== undefined, ...files.map(sha256)]))
    .digest('hex');
}

function hostArch(): Arch {
  if (process.arch === 'x64' || process.arch === 'arm64') return process.arch;
  throw new Error(`executables for x64 and arm64 are made on one of these, not on ${process.arch}`);
}

function compress(path: string): void {
  rmSync(`${path}.xz`, { force: true });
  try {
    // Two threads whatever the machine has: the number decides how the file is cut, and with it the bytes.
    execFileSync('xz', ['--keep', '--threads=2', '-6', path], { stdio: 'inherit' });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    console.log('note: no .xz files: xz is not installed');
  }
}

/** SHA256SUMS of all that is in the folder. */
export function writeSums(folder: string): void {
  // A test run that was killed leaves its folder here.
  const names = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && !/^\.|\.map$|^SHA256SUMS$/.test(entry.name))
    .map(({ name }) => name);
  const lines = names.sort().map((name) => `${sha256(join(folder, name))}  ${name}\n`);
  writeFileSync(join(folder, 'SHA256SUMS'), lines.join(''));
}

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function sizeMb(path: string): string {
  return existsSync(path) ? `${(readFileSync(path).length / 1e6).toFixed(1)} MB` : 'none';
}

export function wantedArches(names: readonly string[]): Arch[] {
  const unknown = names.find((name) => !arches.some((arch) => arch === name));
  if (unknown !== undefined) throw new Error(`ARCH=${unknown}: must be one of ${arches.join(', ')}`);
  return arches.filter((arch) => names.length === 0 || names.includes(arch));
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await makeDist(join(projectRoot, 'dist'), wantedArches(process.argv.slice(2)), true);
}
