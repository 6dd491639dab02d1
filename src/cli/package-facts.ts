/** What has to be told to the daemon of a package, read from the package itself. Whether it may be installed is for the daemon to say. */

import { hashPackage } from '../download/verify.ts';
import type { Files } from '../host/host.ts';
import { freeMemory } from '../host/memory.ts';
import { limits } from '../limits.ts';
import type { Notes } from '../notes.ts';
import { openArchive } from '../package/archive.ts';
import type { PackageFiles } from '../package/extraction.ts';
import { parseManifest } from '../package/manifest.ts';
import { CommandError } from './failure.ts';

export interface PackageFacts {
  readonly version: string;
  readonly sizeBytes: number;
  readonly md5: string;
  readonly sha256: string | undefined;
  readonly notes: Notes | undefined;
}

/** What its manifest says of it. */
type SaidOf = Pick<PackageFacts, 'version' | 'notes'>;

/** From the manifest of the package at `path`. Throws INVALID_PACKAGE or INVALID_MANIFEST. */
export async function readSaid(files: PackageFiles, path: string): Promise<SaidOf> {
  const archive = await openArchive({ files, memory: freeMemory }, path);
  try {
    const bytes = await archive.readSmall('manifest.json', limits.manifestBytes);
    if (bytes === undefined) throw new CommandError(`${path} has no manifest.json: it is not a package`);
    const { version, notes } = parseManifest(bytes).manifest;
    return { version, notes };
  } finally {
    await archive.close();
  }
}

export async function readFacts(files: Files, path: string): Promise<PackageFacts> {
  const said = await readSaid(files, path);
  const signal = new AbortController().signal;
  const { sizeBytes, md5, sha256 } = await hashPackage({ files, memory: freeMemory }, path, true, signal);
  return { ...said, sizeBytes, md5, sha256 };
}
