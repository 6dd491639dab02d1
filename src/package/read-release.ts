/**
 * From an open package to its Release: manifest, signature, rules. With trusted keys the manifest is not even parsed before its
 * signature was found good.
 */
import { UpdateError } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import { limits } from '../limits.ts';
import type { Release } from '../release.ts';
import type { Archive } from './archive.ts';
import { entryNamed } from './extraction.ts';
import { completeManifest } from './listed-files.ts';
import { parseManifest } from './manifest.ts';
import { quoted } from './path-fault.ts';
import { type ReleaseRules, resolveRelease } from './release.ts';
import { anySelf } from './self-module.ts';
import { type Signed, type TrustedKey, verifyManifestSignature } from './signature.ts';
import { requireDigests, requireDirectories, requireLinks } from './signed-content.ts';
import type { TargetRules } from './targets.ts';

export interface PackageRelease {
  readonly release: Release;
  /** Unknown keys of the manifest, ready for the log. */
  readonly warnings: readonly string[];
  /** Undefined when no keys are trusted, and so none was asked for. */
  readonly signed: Signed | undefined;
}

/** Throws INVALID_MANIFEST, INVALID_PACKAGE or SIGNATURE_INVALID. Changes nothing on the device. */
export async function readRelease(
  archive: Archive,
  rules: ReleaseRules,
  trustedKeys: readonly TrustedKey[],
): Promise<PackageRelease> {
  const bytes = await readManifest(archive);
  const isTrustRequired = trustedKeys.length > 0;
  const signed = isTrustRequired
    ? await verifyManifestSignature(
        bytes,
        await archive.readSmall('manifest.json.minisig', limits.signatureBytes),
        trustedKeys,
      )
    : undefined;
  const { manifest: parsed, warnings } = parseManifest(bytes);
  const manifest = await completeManifest(parsed, archive);
  const release = await resolveRelease(manifest, archive.entries, rules);
  if (isTrustRequired) {
    await requireDigests(release);
    await requireLinks(manifest, release);
    await requireDirectories(manifest, archive.entries);
  }
  return { release, warnings, signed };
}

async function readManifest(archive: Archive): Promise<Uint8Array> {
  const name = 'manifest.json';
  const found = await entryNamed(archive.entries, name);
  const entry = found?.isDirectory === true ? undefined : found;
  if (entry !== undefined && entry.sizeBytes > limits.manifestBytes)
    throw new UpdateError(
      'INVALID_MANIFEST',
      `${name}: ${entry.sizeBytes} bytes, more than ${limits.manifestBytes}`,
    );
  const bytes = entry === undefined ? undefined : await archive.readSmall(name, limits.manifestBytes);
  if (bytes === undefined)
    throw new UpdateError(
      'INVALID_MANIFEST',
      `${name} is missing at the root of the package${await elsewhere(archive, name)}`,
    );
  return bytes;
}

/** Whoever zips the folder in place of its content puts all of it one level down. */
async function elsewhere({ entries }: Archive, name: string): Promise<string> {
  for await (const entry of breathing(entries)) {
    const [folder = '', rest] = entry.name.split(/\/(.*)/s);
    if (rest === name)
      return `: it is in ${quoted(`${folder}/`)}; zip the content of that folder, or use tope-updater pack`;
  }
  return '';
}

/** The rules for a package that is only looked at: each version will do, and each architecture of the updater. */
export function lookedAt(rules: TargetRules): ReleaseRules {
  return { ...rules, expectedVersion: undefined, self: anySelf };
}
