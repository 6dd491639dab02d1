/**
 * What a good signature of the manifest covers: every file by its SHA-256, every directory and link by name. Pure. Nothing else
 * of a ZIP, which whoever keeps it may change, is deployed, but for whether a new file may be read and run
 * (docs/package-format.md).
 */
import { breathing } from '../host/breathing.ts';
import type { Release } from '../release.ts';
import type { CompleteManifest } from './listed-files.ts';
import { withoutSlash } from './manifest-fields.ts';
import type { PackageEntry } from './module-parts.ts';
import { refusal } from './signature.ts';
import { parents } from './targets.ts';

/** Checks that the manifest vouches for every file. Throws SIGNATURE_INVALID naming the first without a SHA-256 (an MD5 vouches for nothing). */
export async function requireDigests(release: Release): Promise<void> {
  for (const module of release.modules) {
    for await (const { entry, sha256, link } of breathing(module.files))
      if (sha256 === undefined && link === undefined)
        throw refusal(
          `manifest.json gives no sha256 for "${entry}", so its signature does not cover that file`,
        );
  }
}

/** Checks that it says of every symlink where it leads to. Throws SIGNATURE_INVALID. */
export async function requireLinks(manifest: CompleteManifest, release: Release): Promise<void> {
  const listed = new Set((manifest.links ?? []).map(({ path }) => path));
  for (const { files } of release.modules)
    for await (const { entry, link } of breathing(files))
      if (link !== undefined && !listed.has(entry))
        throw refusal(
          `manifest.json does not name the symlink "${entry}" (under links), so its signature does not cover it`,
        );
}

/** Checks that it names every directory that it deploys, by a file in it or by itself. Throws SIGNATURE_INVALID. */
export async function requireDirectories(
  manifest: CompleteManifest,
  entries: Iterable<PackageEntry>,
): Promise<void> {
  const sources = new Set(manifest.modules.map((module) => withoutSlash(module.src)));
  const named = [...(manifest.directories ?? []).map(withoutSlash), ...sources];
  const covered = new Set(named);
  const cover = (path: string): void => {
    for (const parent of parents(path)) covered.add(parent);
  };
  for (const path of named) cover(path);
  for (const { path } of manifest.links ?? []) cover(path);
  for await (const { path } of breathing(manifest.files ?? [])) cover(path);
  for await (const { name, isDirectory } of breathing(entries))
    if (isDirectory && !covered.has(name) && parents(name).some((parent) => sources.has(parent)))
      throw refusal(
        `manifest.json does not name the empty directory "${name}" (under directories), so its signature does not cover it`,
      );
}
