/** `pack --self`: the executables of a release go into the package as a module of its own (docs/self-update.md). */
import { posix } from 'node:path';
import { UpdateError } from '../errors.ts';
import type { Files } from '../host/host.ts';
import { executableName } from '../package/self-module.ts';
import type { ManifestSource } from './manifest-source.ts';
import type { SourceFile } from './sources.ts';

const arches = ['x64', 'arm64', 'armv7'];
const name = 'tope-updater';

export interface WithSelf {
  readonly source: ManifestSource;
  readonly files: readonly SourceFile[];
}

/** `release`: a folder with tope-updater-ARCH. Throws INVALID_PACKAGE where it has none, INVALID_MANIFEST where the source has one already. */
export async function withSelf(files: Files, source: ManifestSource, release: string): Promise<WithSelf> {
  const { manifest, written } = source;
  const taken = manifest.modules.findIndex((module) => module.self === true || module.name === name);
  if (taken >= 0)
    throw new UpdateError(
      'INVALID_MANIFEST',
      `manifest.json: modules[${taken}] is the updater already, beside --self`,
    );
  const found: SourceFile[] = [];
  for (const arch of arches) {
    const path = posix.join(release, executableName(arch));
    const stat = await files.stat(path);
    if (stat?.kind !== 'file') continue;
    const entry = `${name}/${executableName(arch)}`;
    found.push({ entry, path, sizeBytes: stat.sizeBytes, mode: 0o755 });
  }
  if (found.length === 0)
    throw new UpdateError(
      'INVALID_PACKAGE',
      `${release} has none of ${arches.map(executableName).join(', ')}`,
    );
  const module = { name, src: name, self: true };
  const modules = Array.isArray(written.modules) ? written.modules : [];
  return {
    files: found,
    source: {
      ...source,
      manifest: { ...manifest, modules: [...manifest.modules, module] },
      written: { ...written, modules: [...modules, module] },
    },
  };
}
