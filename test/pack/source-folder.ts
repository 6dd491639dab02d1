/** Folders to pack, made for one test and taken away after it. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { realFiles } from '../../src/host/files.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { type PackOptions, packFolder } from '../../src/pack/pack.ts';

export const packHost = {
  files: realFiles(),
  memory: freeMemory,
};

export interface SourceFolder {
  /** The scratch folder; the sources are below `source`, packages beside it. */
  readonly folder: string;
  readonly source: string;
  readonly manifestPath: string;
  /** Writes a file below `source`. */
  write(name: string, text: string | Uint8Array, mode?: number): void;
  pack(options?: Partial<PackOptions>): ReturnType<typeof packFolder>;
}

/** `manifest`: its text, or what becomes its JSON. */
export async function withSource(
  manifest: string | object,
  use: (source: SourceFolder) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'pack-'));
  const source = join(folder, 'source');
  const manifestPath = join(source, 'manifest.json');
  const write: SourceFolder['write'] = (name, text, mode = 0o644) => {
    const path = join(source, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    chmodSync(path, mode);
  };
  write('manifest.json', typeof manifest === 'string' ? manifest : JSON.stringify(manifest));
  try {
    await use({
      folder,
      source,
      manifestPath,
      write,
      pack: (options = {}) =>
        packFolder(packHost, {
          folder: source,
          manifestPath,
          outputPath: join(folder, 'package.zip'),
          compress: true,
          signingKey: undefined,
          rules: { allowedRoots: ['/opt/tope'], workDirectory: '/opt/tope/updater' },
          ...options,
        }),
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A program and a tree, as most packages have them. */
export const usualManifest = {
  version: '2.0.0',
  modules: [
    { name: 'alpha', src: 'modules/alpha', dst: '/opt/tope/alpha/alpha', process_name: 'alpha' },
    { name: 'web', src: 'modules/web', dst: '/opt/tope/web' },
  ],
};

export function writeUsual({ write }: Pick<SourceFolder, 'write'>): void {
  write('modules/alpha', '#!/bin/sh\necho alpha\n', 0o755);
  write('modules/web/index.html', '<title>web</title>');
  write('modules/web/css/style.css', 'body { color: black }');
  write('modules/web/nothing', '');
}
