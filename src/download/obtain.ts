/**
 * From a request to a verified package: what lies on disk already, a download, the comparison.
 *
 * Invariant: a wrong digest of bytes that came in more than one piece may be the splice's fault, where a server names its
 * versions badly or not at all; so it is reported only after one more download from byte 0. A mismatch of a download made
 * in one go is final. Source: spec section 6 "Verify".
 */
import { UpdateError } from '../errors.ts';
import { bounded } from './bounded.ts';
import { type DownloadedPackage, type DownloadHost, type DownloadOptions, download } from './download.ts';
import type { PackageRequest } from './request.ts';
import { type VerifiedPackage, verifyPackage, verifyStored } from './verify.ts';

export interface ObtainOptions extends DownloadOptions {
  /** All bytes are there, the comparison begins. */
  readonly onVerifying: () => Promise<void>;
  /** The comparison failed after a resume: bytes are fetched once more, from 0. */
  readonly onDownloadingAgain: () => Promise<void>;
}

/** Throws as `download` and `verifyPackage` do. A package that an earlier run verified is only verified again. */
export async function obtainPackage(
  host: DownloadHost,
  request: PackageRequest,
  options: ObtainOptions,
): Promise<VerifiedPackage> {
  const stored = await storedPackage(host, request, options);
  if (stored !== undefined) return stored;
  const first = await download(host, request, options);
  await options.onVerifying();
  try {
    return await verified(first);
  } catch (thrown) {
    if (!first.resumed || !isMismatch(thrown)) throw thrown;
    host.log.warn(`${thrown.message}; part of it came from a resume, downloading once more from byte 0`);
  }
  await options.onDownloadingAgain();
  const second = await download(host, request, {
    ...options,
    resume: undefined,
    candidates: undefined,
    trustsNames: true,
  });
  await options.onVerifying();
  return verified(second);

  function verified(downloaded: DownloadedPackage): Promise<VerifiedPackage> {
    const what = `${downloaded.path} and its final name`;
    return bounded(host.clock, options, what, () => verifyPackage(host, downloaded, request));
  }
}

/** A file of that name that is another package's is deleted by the comparison, and no reason to fail. */
async function storedPackage(
  host: DownloadHost,
  request: PackageRequest,
  options: ObtainOptions,
): Promise<VerifiedPackage | undefined> {
  try {
    return await bounded(
      host.clock,
      options,
      `${request.package_name}, found complete`,
      ({ signal, alive }) => verifyStored(host, options.directory, request, signal, alive),
    );
  } catch (thrown) {
    if (options.signal.aborted)
      throw new UpdateError('CANCELLED', `verification of ${request.package_name} was stopped`);
    if (!isMismatch(thrown)) throw thrown;
    host.log.warn(`${thrown.message}; an older file of that name was removed`);
    return undefined;
  }
}

function isMismatch(thrown: unknown): thrown is UpdateError {
  return thrown instanceof UpdateError && /^(SIZE|MD5|SHA256)_MISMATCH$/.test(thrown.code);
}
