/**
 * From a distribution set to the package that is asked for, or to the reason why not. Pure. A set that would be installed in
 * part is refused; the link goes where the configuration says, whatever a proxy has made the server believe.
 */
import * as v from 'valibot';
import { UpdateError } from '../errors.ts';
import type { PackageRequest } from '../updater/state.ts';
import { VersionSchema } from '../version.ts';
import type { Artifact, Chunk, Deployment } from './answers.ts';

export type Offer =
  | { readonly kind: 'package'; readonly request: PackageRequest }
  | { readonly kind: 'refused'; readonly error: UpdateError };

/** The metadata of a software module, visible to targets, by which an operator allows a lower version. */
export const downgradeKey = 'tope.allow_downgrade';

/** `server`: fleet_url. */
export function offerOf({ chunks }: Deployment, server: URL): Offer {
  const withFiles = chunks.filter(({ artifacts }) => artifacts.length > 0);
  const zips = withFiles.flatMap((chunk) =>
    chunk.artifacts.filter(isZip).map((artifact) => ({ chunk, artifact })),
  );
  const [only] = zips;
  if (only === undefined) return refused(`the set has no ZIP file, only ${namesOf(chunks)}`);
  if (zips.length > 1)
    return refused(
      `the set has ${zips.length} ZIP files, one is taken: ${zips.map(({ artifact }) => artifact.filename).join(', ')}`,
    );
  if (withFiles.length > 1) {
    const others = withFiles.filter((chunk) => chunk !== only.chunk).map(({ name }) => name);
    return refused(
      `the set has more modules with files than that of ${only.artifact.filename}: ${others.join(', ')}`,
    );
  }
  return packageOf(only.chunk, only.artifact, server);
}

function packageOf(chunk: Chunk, artifact: Artifact, server: URL): Offer {
  const { filename, sizeBytes, md5, sha256, href } = artifact;
  if (chunk.isEncrypted) return refused(`module ${chunk.name} is encrypted`);
  if (!v.is(VersionSchema, chunk.version))
    return refused(
      `module ${chunk.name} has the version ${chunk.version}, it must be that of the package's manifest`,
      'VERSION_MISMATCH',
    );
  if (sizeBytes === undefined) return refused(`${filename} has no size`);
  if (md5 === undefined)
    return refused(`${filename} has no MD5: a server that tells SHA-1 alone is not supported`);
  if (href === undefined || !URL.canParse(href)) return refused(`${filename} has no link to download it by`);
  const request = {
    version: chunk.version,
    package_url: reachable(new URL(href), server).href,
    package_name: fileName(filename),
    package_size: sizeBytes,
    package_md5: md5,
    ...(sha256 === undefined ? {} : { package_sha256: sha256 }),
    ...(chunk.metadata.get(downgradeKey) === 'true' ? { allow_downgrade: true } : {}),
  };
  return { kind: 'package', request };
}

function isZip({ filename }: Artifact): boolean {
  return /\.zip$/i.test(filename);
}

/** The same host is asked by the scheme and port that are configured; another one as the link says. */
function reachable(link: URL, server: URL): URL {
  const url = new URL(link);
  if (url.hostname !== server.hostname) return url;
  url.protocol = server.protocol;
  url.port = server.port;
  return url;
}

/** A bare file name that the updater takes. */
function fileName(name: string): string {
  const safe = name.replace(/[^A-Za-z0-9._+-]/g, '_').slice(-200);
  return /^[A-Za-z0-9]/.test(safe) && !/^(state|outbox|fleet)\.json/.test(safe)
    ? safe
    : `p${safe.slice(-199)}`;
}

function namesOf(chunks: readonly Chunk[]): string {
  const names = chunks.flatMap(({ artifacts }) => artifacts.map(({ filename }) => filename));
  return names.length === 0 ? 'modules without files' : names.join(', ');
}

function refused(why: string, code: 'INVALID_PACKAGE' | 'VERSION_MISMATCH' = 'INVALID_PACKAGE'): Offer {
  return { kind: 'refused', error: new UpdateError(code, why) };
}
