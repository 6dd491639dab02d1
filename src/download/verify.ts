/**
 * Decides whether a file is the package that was asked for: size, MD5, and SHA-256 where it was given.
 *
 * Invariant: the final name `<package_name>` exists only for a file that was compared and matched; one that did not match
 * is deleted. Source: spec section 6 "Verify", FR-004.
 */
import { asUpdateError, errno, UpdateError } from '../errors.ts';
import type { Files, Host } from '../host/host.ts';
import { StuckError } from '../host/watchdog.ts';
import { limits } from '../limits.ts';
import { type DigestsFound, newDigests } from './digest.ts';
import type { DownloadedPackage } from './download.ts';
import type { PackageRequest } from './request.ts';

/** Evidence: the file at `path`, its final name, is the package asked for. Made here only. */
export interface VerifiedPackage extends PackageDigests {
  readonly kind: 'verified';
  readonly path: string;
}

export interface PackageDigests extends DigestsFound {
  readonly sizeBytes: number;
}

/**
 * Compares a download with its request and gives it its final name, durably. Throws SIZE_MISMATCH, MD5_MISMATCH or
 * SHA256_MISMATCH with both values; the file is deleted then.
 */
export async function verifyPackage(
  host: Pick<Host, 'files'>,
  downloaded: DownloadedPackage,
  request: PackageRequest,
): Promise<VerifiedPackage> {
  await compare(host.files, downloaded.path, downloaded, request);
  const path = finalPath(directoryOf(downloaded.path), request);
  try {
    await host.files.rename(downloaded.path, path);
    await host.files.syncDirectory(directoryOf(path));
  } catch (thrown) {
    throw asUpdateError(thrown, 'DOWNLOAD_FAILED', `rename ${downloaded.path} to ${path}`);
  }
  const { sizeBytes, md5, sha256, seal } = downloaded;
  return { kind: 'verified', path, sizeBytes, md5, sha256, seal };
}

/**
 * Verifies again what an earlier run left under the final name in `directory`: undefined when nothing is there. Throws as
 * verifyPackage does, and CANCELLED's signal reason when the signal aborts.
 */
export async function verifyStored(
  host: Pick<Host, 'files' | 'memory'>,
  directory: string,
  request: PackageRequest,
  signal: AbortSignal,
  onHashed?: () => void,
): Promise<VerifiedPackage | undefined> {
  const path = finalPath(directory, request);
  const found = await host.files.stat(path);
  if (found === undefined) return undefined;
  if (found.kind !== 'file') {
    throw new UpdateError('DOWNLOAD_FAILED', `${path} is a ${found.kind}, not a regular file`);
  }
  // A wrong size is told without reading the file.
  if (found.sizeBytes !== request.package_size)
    await compare(host.files, path, { sizeBytes: found.sizeBytes, md5: '', sha256: undefined }, request);
  const digests = await hashPackage(host, path, request.package_sha256 !== undefined, signal, onHashed);
  await compare(host.files, path, digests, request);
  return { kind: 'verified', path, ...digests };
}

/**
 * Reads a file once, twice where the digest's thread has got stuck: constant memory, yields to the event loop between reads,
 * and tells of each.
 * Throws DOWNLOAD_FAILED, or the signal's reason.
 */
export async function hashPackage(
  host: Pick<Host, 'files' | 'memory'>,
  path: string,
  withSha256: boolean,
  signal: AbortSignal,
  onHashed?: () => void,
): Promise<PackageDigests> {
  const hash = (withThread: boolean) => hashOnce(host, path, { withSha256, withThread, onHashed }, signal);
  return hash(true).catch((thrown: unknown) => {
    if (thrown instanceof StuckError) return hash(false);
    throw thrown;
  });
}

async function hashOnce(
  host: Pick<Host, 'files' | 'memory'>,
  path: string,
  how: {
    readonly withSha256: boolean;
    readonly withThread: boolean;
    readonly onHashed: (() => void) | undefined;
  },
  signal: AbortSignal,
): Promise<PackageDigests> {
  const buffer = new Uint8Array(limits.writeBufferBytes);
  let sizeBytes = 0;
  try {
    const file = await host.files.open(path, 'read');
    const expectedBytes = how.withThread ? (await file.stat()).sizeBytes : 0;
    const digests = await newDigests(host.memory, how.withSha256, expectedBytes);
    try {
      for (;;) {
        signal.throwIfAborted();
        const got = await file.read(buffer, 0, buffer.length, sizeBytes);
        if (got === 0) return { sizeBytes, ...(await digests.finish()) };
        await digests.update(buffer.subarray(0, got));
        sizeBytes += got;
        how.onHashed?.();
      }
    } finally {
      digests.abort();
      await file.close();
    }
  } catch (thrown) {
    if (signal.aborted || thrown instanceof StuckError) throw thrown;
    throw asUpdateError(thrown, 'DOWNLOAD_FAILED', `read ${path}`);
  }
}

/** Where a verified package lies. */
export function finalPath(directory: string, request: Pick<PackageRequest, 'package_name'>): string {
  return `${directory}/${request.package_name}`;
}

async function compare(
  files: Files,
  path: string,
  found: Omit<PackageDigests, 'seal'>,
  request: PackageRequest,
): Promise<void> {
  const mismatch = mismatchOf(found, request);
  if (mismatch === undefined) return;
  await removeIfThere(files, path);
  throw mismatch;
}

function mismatchOf(found: Omit<PackageDigests, 'seal'>, request: PackageRequest): UpdateError | undefined {
  const name = request.package_name;
  if (found.sizeBytes !== request.package_size)
    return new UpdateError(
      'SIZE_MISMATCH',
      `${name}: expected ${request.package_size} bytes, got ${found.sizeBytes}`,
    );
  const md5 = request.package_md5.toLowerCase();
  if (found.md5 !== md5) return new UpdateError('MD5_MISMATCH', `${name}: expected ${md5}, got ${found.md5}`);
  const sha256 = request.package_sha256?.toLowerCase();
  if (sha256 !== undefined && found.sha256 !== sha256)
    return new UpdateError('SHA256_MISMATCH', `${name}: expected ${sha256}, got ${found.sha256}`);
  return undefined;
}

async function removeIfThere(files: Files, path: string): Promise<void> {
  try {
    await files.remove(path);
  } catch (thrown) {
    if (errno(thrown) !== 'ENOENT') throw asUpdateError(thrown, 'DOWNLOAD_FAILED', `remove ${path}`);
  }
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '.';
}
