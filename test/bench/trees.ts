/**
 * Trees of very many small files in four versions, as folders and as packages: the first, a tenth of the files changed, the
 * same again under another version. Half of each file's bytes are digits, so that it deflates as a usual text does.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestsOf, xorshift } from '../fixtures/package-builder.ts';
import type { BenchPackage } from './packages.ts';
import { packFolder } from './tree-peers.ts';

export interface TreeVersion {
  readonly version: string;
  /** Holds manifest.json and the folder `tree`. */
  readonly folder: string;
  readonly made: BenchPackage;
}

export interface Trees {
  readonly files: number;
  readonly first: TreeVersion;
  readonly changed: TreeVersion;
  readonly same: TreeVersion;
}

const fileBytes = 4096;
const filesPerDirectory = 100;

export interface TreePlaces {
  readonly executable: string;
  /** Gets the folders. */
  readonly plain: string;
  /** Gets the packages. */
  readonly www: string;
  /** Where the tree goes on the device, below an allowed root. */
  readonly target: string;
  readonly allowedRoot: string;
}

/** Packages as `pack` makes them, with digests: `unzip` takes the same. Both are used again where they are there. */
export async function makeTrees(files: number, places: TreePlaces): Promise<Trees> {
  const { executable, plain, www, target, allowedRoot } = places;
  const version = async (number: string, isChanged: (index: number) => boolean): Promise<TreeVersion> => {
    const folder = join(plain, `tree-${files}-${number}`);
    const name = `tree-${files}-${number}.zip`;
    const path = join(www, name);
    if (!existsSync(path)) {
      writeTree(folder, files, isChanged);
      const modules = [{ name: 'tree', src: 'tree', dst: target }];
      writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ version: number, modules }));
      packFolder(executable, folder, path, allowedRoot);
    }
    const made = { ...(await digestsOf(path)), path, name, version: number, files: [] };
    return { version: number, folder, made };
  };
  const isTenth = (index: number) => index % 10 === 0;
  return {
    files,
    first: await version('1.0.0', () => false),
    changed: await version('2.0.0', isTenth),
    same: await version('3.0.0', isTenth),
  };
}

function writeTree(folder: string, files: number, isChanged: (index: number) => boolean): void {
  for (let index = 0; index < files; index++) {
    const directory = join(folder, 'tree', `part-${Math.floor(index / filesPerDirectory)}`);
    if (index % filesPerDirectory === 0) mkdirSync(directory, { recursive: true });
    const random = xorshift(2 * index + (isChanged(index) ? 1 : 0));
    const words = Array.from({ length: fileBytes / 8 }, () => random().toString(16).padStart(8, '0'));
    writeFileSync(join(directory, `file-${index}.txt`), words.join(''));
  }
}
