/**
 * Brings a package to `<directory>/<package_name>.part`, whole, hashed and on disk. Whether they are the right bytes is
 * for verify.ts to say.
 *
 * Invariants: constant memory; whatever ends a download, the bytes that arrived stay on disk for the next one, except when
 * the disk is full or no byte of them is of use. Source: spec section 6 "Download", FR-002..005, FR-021, FR-025, FR-026.
 */
import { asUpdateError, errorText, UpdateError } from '../errors.ts';
import type { Clock, Host } from '../host/host.ts';
import { StuckError, watched } from '../host/watchdog.ts';
import { limits } from '../limits.ts';
import { createAdaptive } from './adaptive.ts';
import { type Bounds, bounded, stuckAfterMs } from './bounded.ts';
import type { Candidates } from './candidates.ts';
import { checkpoints } from './checkpoint.ts';
import type { DigestsFound } from './digest.ts';
import { createHolding, type Holding } from './holding.ts';
import { openPartFile, type PartFile, type PartFileOptions } from './part-file.ts';
import type { PackageRequest } from './request.ts';
import type { ResumeInfo } from './resume.ts';
import { transfer } from './transfer.ts';
import { packageAddress } from './url-policy.ts';

export type DownloadHost = Pick<Host, 'files' | 'clock' | 'net' | 'log' | 'memory'>;

export interface DownloadOptions {
  /** The work directory's `tmp`; exists. */
  readonly directory: string;
  /** What was saved for this very package (same name, size and MD5); undefined: begins at byte 0. */
  readonly resume: ResumeInfo | undefined;
  /** Bytes so far; goes back to 0 when the download starts over. Must not throw. */
  readonly onProgress: (bytes: number) => void;
  /** So many bytes more came over the network. Must not throw. */
  readonly onReceived?: (bytes: number) => void;
  /** So many bytes more were made of what the device has. Must not throw. */
  readonly onReused?: (bytes: number) => void;
  /** A request is sent. Must not throw. */
  readonly onRequest?: () => void;
  /** A try failed in a way that may pass, and is followed by another. Must not throw. */
  readonly onRetry?: () => void;
  /** Nobody answers: what is waited for, in words; undefined: no longer. Must not throw. */
  readonly onWaiting?: (what: string | undefined) => void;
  /** Remembers durably, in `directory`, what a resume needs; called every 5 %, every 5 s, and when validators become known. */
  readonly saveResume: (info: ResumeInfo) => Promise<void>;
  /** Aborted: the download ends with CANCELLED, the partial file is kept and synced. */
  readonly signal: AbortSignal;
  readonly allowHttp: boolean;
  /** Bound of the whole download, waits included; undefined: none. */
  readonly deadlineMs?: number | undefined;
  /** Bandwidth limit; undefined: none. */
  readonly bytesPerSecond?: number | undefined;
  /** See ExchangeOptions. */
  readonly authorizationFor?: ((url: URL) => Promise<string | undefined>) | undefined;
  /** How long to wait where nobody answers; undefined: that is a failed try like every other. */
  readonly waitForNetworkMs?: number | undefined;
  /** True: the names that servers give to versions of the file are believed, whatever differs. */
  readonly trustsNames?: boolean;
  /** What the device has already; undefined: all is fetched. */
  readonly candidates?: Candidates | undefined;
  /** See asking.ts. */
  readonly stuckTimeoutMs?: number | undefined;
  /** Longest silence of the server; limits.downloadStallMs unless given. */
  readonly stallTimeoutMs?: number | undefined;
}

/** Evidence: a file with as many bytes as asked for is on disk. Made here only. */
export interface DownloadedPackage extends DigestsFound {
  readonly kind: 'downloaded';
  readonly path: string;
  readonly sizeBytes: number;
  /** True when the bytes did not come in one piece: a wrong digest may then be the splice's fault. */
  readonly resumed: boolean;
}

/**
 * Downloads `request`. Throws VALIDATION_ERROR (package_url), DISK_FULL (partial file removed), SIZE_MISMATCH,
 * CANCELLED, or DOWNLOAD_FAILED with the last failure, after three retries in a row without progress or at once where
 * no other try can help (a refusal such as HTTP 403, an untrusted certificate).
 */
export async function download(
  host: DownloadHost,
  request: PackageRequest,
  options: DownloadOptions,
): Promise<DownloadedPackage> {
  const start = packageAddress(request.package_url, options.allowHttp);
  const stop = stopSignal(host.clock, request, options);
  const stallTimeoutMs = options.stallTimeoutMs ?? limits.downloadStallMs;
  const bounds: Bounds = { ...options, signal: stop.signal };
  const watch = {
    boundMs: stuckAfterMs(options),
    part: () => 'the disk (what an earlier download left)',
    signal: stop.signal,
  };
  const open = (name: string, how: Pick<PartFileOptions, 'keep' | 'withThread'>) =>
    watched(host.clock, watch, ({ signal, alive }) =>
      openPartFile(host, options.directory, name, {
        ...how,
        withSha256: request.package_sha256 !== undefined,
        maxBytes: request.package_size,
        signal,
        onRehashed: alive,
      }),
    );
  try {
    const part = await withoutStuckThread(host, (withThread) =>
      open(partName(request), { keep: options.resume !== undefined, withThread }),
    );
    const saved = checkpoints(host.clock, request.package_size, options.saveResume);
    const holding = createHolding({
      host,
      part,
      resume: options.resume,
      saved,
      open: (name, how) => open(name, { ...how, withThread: false }),
    });
    const readPart = (at: number, length: number) => holding.part.readBack(host.files, at, length);
    const adaptive = createAdaptive(host, request, { ...options, readPart });
    return await closing(host, holding, bounds, async () => {
      await bounded(host.clock, bounds, `room in ${options.directory}`, () =>
        checkSpace(host, request, options.directory, part),
      );
      await transfer(
        host,
        start,
        request,
        { holding, saved, adaptive },
        {
          ...options,
          bytesPerSecond: options.bytesPerSecond,
          stallTimeoutMs,
          signal: stop.signal,
        },
      );
      const digests = await withoutStuckThread(host, async (withThread) => {
        if (!withThread) await holding.reopen();
        return holding.part.finish();
      });
      await bounded(host.clock, bounds, `the end of ${request.package_name}`, adaptive.forget);
      const { path, sizeBytes } = holding.part;
      return { kind: 'downloaded', path, sizeBytes, ...digests, resumed: holding.inPieces } as const;
    });
  } catch (thrown) {
    throw thrown instanceof StuckError
      ? stuckError(thrown, `${options.directory}/${partName(request)}`)
      : thrown;
  } finally {
    stop.release();
  }
}

function stuckError(stuck: StuckError, path: string): UpdateError {
  return new UpdateError('DOWNLOAD_FAILED', `${path}: ${stuck.message}`, { mayPass: 'outage' });
}

/** Does something with the digest's thread, or again without one where that got stuck. */
async function withoutStuckThread<T>(
  { log }: Pick<Host, 'log'>,
  act: (withThread: boolean) => Promise<T>,
): Promise<T> {
  try {
    return await act(true);
  } catch (thrown) {
    if (!(thrown instanceof StuckError)) throw thrown;
    log.error(`${thrown.message}; going on without it`);
    return act(false);
  }
}

/** What the partial file of a package is called. */
export function partName(request: Pick<PackageRequest, 'package_name'>): string {
  return `${request.package_name}.part`;
}

/** A signal that aborts with the UpdateError to report: CANCELLED, or DOWNLOAD_FAILED past the deadline. */
function stopSignal(
  clock: Clock,
  request: PackageRequest,
  { signal, deadlineMs }: DownloadOptions,
): { signal: AbortSignal; release: () => void } {
  const stop = new AbortController();
  const cancel = () =>
    stop.abort(new UpdateError('CANCELLED', `download of ${request.package_name} was stopped`));
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel, { once: true });
  const disarm =
    deadlineMs === undefined
      ? () => undefined
      : clock.after(deadlineMs, () => {
          const text = `${request.package_name} is not complete after ${deadlineMs} ms, its deadline`;
          stop.abort(new UpdateError('DOWNLOAD_FAILED', text, { mayPass: 'outage' }));
        });
  return {
    signal: stop.signal,
    release: () => {
      signal.removeEventListener('abort', cancel);
      disarm();
    },
  };
}

async function checkSpace(
  host: DownloadHost,
  request: PackageRequest,
  directory: string,
  part: PartFile,
): Promise<void> {
  const neededBytes = request.package_size - part.sizeBytes + limits.reserveBytes;
  const { freeBytes } = await host.files.space(directory);
  if (freeBytes >= neededBytes) return;
  throw new UpdateError(
    'DISK_FULL',
    `${directory} has ${freeBytes} bytes free, the download needs ${neededBytes} (${limits.reserveBytes} of them reserve)`,
  );
}

/** Runs `act` and closes the file; after a failure, removes it where it is of no use or in the way. */
async function closing<T>(
  host: DownloadHost,
  holding: Holding,
  bounds: Bounds,
  act: () => Promise<T>,
): Promise<T> {
  const close = ({ path }: PartFile) =>
    bounded(host.clock, bounds, `close ${path}`, () => holding.part.close());
  try {
    const result = await act();
    await close(holding.part);
    return result;
  } catch (thrown) {
    const { part } = holding;
    const error =
      thrown instanceof StuckError
        ? stuckError(thrown, part.path)
        : asUpdateError(thrown, 'DOWNLOAD_FAILED', `download to ${part.path}`);
    if (thrown instanceof StuckError) part.leaveBehind();
    else await close(part).catch((stuck: unknown) => host.log.error(errorText(stuck)));
    if (error.code === 'DISK_FULL' || part.sizeBytes === 0) await host.files.remove(part.path);
    throw error;
  }
}
