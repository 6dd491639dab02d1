/**
 * What a good signature of the manifest covers: every file by its SHA-256, every directory by a name. Pure.
 *
 * Whoever keeps the package may change the rest of the ZIP. So nothing else of it may be deployed, but for whether a new
 * file may be read and run, which the manifest's `mode` can say (docs/package-format.md).
 */
import type { Release } from '../release.ts';
import type { CompleteManifest } from './listed-files.ts';
import { withoutSlash } from './manifest-fields.ts';
import type { PackageEntry } from './release.ts';
import { refusal } from './signature.ts';
import { parents } from './targets.ts';

/**
 * Checks that a signed manifest vouches for the content of every file it deploys. Throws SIGNATURE_INVALID naming the
 * first file that has no SHA-256 (an MD5 vouches for nothing).
 */
export function requireDigests(release: Release): void {
  for (const module of release.modules) {
    const file = module.files.find(
      (candidate) => candidate.sha256 === undefined && candidate.link === undefined,
    );
    if (file === undefined) continue;
    throw refusal(
      `manifest.json gives no sha256 for "${file.entry}", so its signature does not cover that file`,
    );
  }
}

/** Checks that it says of every symlink where it leads to. Throws SIGNATURE_INVALID. */
export function requireLinks(manifest: CompleteManifest, release: Release): void {
  const listed = new Set((manifest.links ?? []).map(({ path }) => path));
  const stray = release.modules
    .flatMap((module) => module.files)
    .find(({ entry, link }) => link !== undefined && !listed.has(entry));
  if (stray === undefined) return;
  throw refusal(
    `manifest.json does not name the symlink "${stray.entry}" (under links), so its signature does not cover it`,
  );
}

/** Checks that it names every directory that it deploys, by a file in it or by itself. Throws SIGNATURE_INVALID. */
export function requireDirectories(manifest: CompleteManifest, entries: readonly PackageEntry[]): void {
  const sources = new Set(manifest.modules.map((module) => withoutSlash(module.src)));
  const named = [...(manifest.directories ?? []).map(withoutSlash), ...sources];
  const covered = new Set(named);
  const listed = [...(manifest.files ?? []), ...(manifest.links ?? [])];
  for (const path of [...named, ...listed.map((one) => one.path)])
    for (const parent of parents(path)) covered.add(parent);
  const stray = entries.find(
    ({ name, isDirectory }) =>
      isDirectory && !covered.has(name) && parents(name).some((parent) => sources.has(parent)),
  );
  if (stray === undefined) return;
  throw refusal(
    `manifest.json does not name the empty directory "${stray.name}" (under directories), so its signature does not cover it`,
  );
}
