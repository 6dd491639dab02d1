import { cpSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { command } from '../cli/command.ts';
import { buildPackage, type PackageSpec } from '../fixtures/package-builder.ts';
import type { Device } from './harness.ts';

const epoch = '1767225600'; // 2026-01-01T00:00:00Z

export async function withTree(use: (tree: string, folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'image-'));
  try {
    mkdirSync(join(folder, 'tree'));
    await use(join(folder, 'tree'), folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A package of one tree with a process. */
export function site(version: string, names: readonly string[], root = '/opt/tope'): PackageSpec {
  return {
    version,
    modules: [{ name: 'site', src: 'site', dst: `${root}/site`, process_name: 'site' }],
    files: Object.fromEntries(names.map((name) => [`site/${name}`, `${name} of ${version}`])),
  };
}

export async function install(tree: string, spec: PackageSpec, ...flags: string[]) {
  const path = join(tree, '..', `site-${spec.version}.zip`);
  await buildPackage(spec, path);
  const environment = { SOURCE_DATE_EPOCH: epoch };
  return command(['install', '--root', tree, ...flags, path], { environment });
}

export async function made(tree: string, spec: PackageSpec, ...flags: string[]): Promise<void> {
  const { status, stderr } = await install(tree, spec, ...flags);
  assert.is(status, 0, stderr);
}

/** Every name with all that an image takes over of it, but for the times of directories. */
export function contents(tree: string): string[] {
  return readdirSync(tree, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const { mode, uid, gid, mtimeMs } = lstatSync(join(tree, name));
      const isFile = (mode & 0o170000) === 0o100000;
      const content = isFile ? `${mtimeMs} ${readFileSync(join(tree, name), 'base64')}` : '';
      return `${name} ${mode.toString(8)} ${uid}:${gid} ${content}`;
    });
}

/** What stands in the tree at the paths of a device goes there, as when the device gets its image. */
export function deliver(device: Device, tree: string): void {
  for (const place of [device.work, device.root]) {
    rmSync(place, { recursive: true });
    cpSync(join(tree, place), place, { recursive: true, preserveTimestamps: true });
  }
}
