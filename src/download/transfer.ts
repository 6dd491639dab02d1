/**
 * Fills a partial file up to the package's size: asks, takes what is ours, asks again.
 *
 * Invariants: the validators saved are those of the bytes in the partial file: before another version's first byte is
 * written, the file is emptied, durably, and the new validators are saved; every chain of tries ends (see retry.ts).
 * Source: spec section 6.
 */
import { UpdateError } from '../errors.ts';
import type { Host, HttpResponse } from '../host/host.ts';
import { pacer } from '../host/pace.ts';
import { limits } from '../limits.ts';
import { checkpoints } from './checkpoint.ts';
import { type ExchangeOptions, exchange, withholding } from './exchange.ts';
import { isFinal, isNetworkError, networkErrorText } from './network-error.ts';
import type { PartFile } from './part-file.ts';
import type { PackageRequest } from './request.ts';
import { noValidators, type ResumeInfo, type Validators, validatorsOf } from './resume.ts';
import { afterFailure, noTries, retryAfterMs } from './retry.ts';
import { type Address, redactUrl } from './url-policy.ts';

export interface TransferOptions extends ExchangeOptions {
  /** What the bytes already in the partial file were begun with. */
  readonly resume: ResumeInfo | undefined;
  readonly bytesPerSecond: number | undefined;
  readonly onProgress: (bytes: number) => void;
  readonly onRetry?: () => void;
  readonly saveResume: (info: ResumeInfo) => Promise<void>;
}

/** A try that failed in a way that may pass. */
interface Failure {
  readonly why: string;
  readonly retryAfterMs: number | undefined;
  /** Of the answer; undefined: there was none, or it broke off. */
  readonly status?: number;
}

/**
 * Resolves when the file has `package_size` bytes, all on disk: true when they came in more than one piece. Rejects with
 * an UpdateError, or with the signal's reason; the bytes that arrived are then on disk and saved, unless the disk itself failed.
 */
export async function transfer(
  host: Pick<Host, 'clock' | 'net' | 'log'>,
  start: Address,
  request: PackageRequest,
  part: PartFile,
  options: TransferOptions,
): Promise<boolean> {
  const { clock, log } = host;
  const where = redactUrl(start.url.href);
  const totalBytes = request.package_size;
  const saved = checkpoints(clock, totalBytes, options.saveResume);
  const pace = pacer(clock, options.bytesPerSecond, options.signal);
  let validators: Validators = part.sizeBytes > 0 && options.resume ? options.resume : noValidators;
  let inPieces = part.sizeBytes > 0;
  let startOvers = 0;
  let tries = noTries;

  options.onProgress(part.sizeBytes);
  try {
    while (part.sizeBytes < totalBytes) {
      const before = part.sizeBytes;
      const failure = await tryOnce();
      if (failure === undefined) continue;
      const next = afterFailure(tries, part.sizeBytes > before, failure.retryAfterMs);
      const have = `${part.sizeBytes} of ${totalBytes} bytes on disk`;
      if (next.kind === 'giveUp')
        throw new UpdateError(
          'DOWNLOAD_FAILED',
          `${where}: ${failure.why}; ${next.why}; ${have}`,
          withholding(failure.status ?? 0) ?? { mayPass: 'outage' },
        );
      log.warn(`download ${where}: ${failure.why}; ${have}; trying again in ${next.ms} ms`);
      options.onRetry?.();
      await keep();
      await clock.sleep(next.ms, options.signal);
      tries = next.tries;
    }
  } finally {
    await keep();
  }
  return inPieces;

  async function keep(): Promise<void> {
    try {
      await part.settle();
      await saved.save(resumeInfo());
    } finally {
      await saved.idle();
    }
  }

  async function tryOnce(): Promise<Failure | undefined> {
    try {
      return await askAndTake();
    } catch (thrown) {
      if (options.signal.aborted || !isNetworkError(thrown)) throw thrown;
      const why = networkErrorText(thrown, clock.now());
      if (isFinal(thrown)) throw new UpdateError('DOWNLOAD_FAILED', `${where}: ${why}`, { cause: thrown });
      return { why, retryAfterMs: undefined };
    }
  }

  /** One answer's worth of bytes; an answer that is not usable is followed by at most one other question. */
  async function askAndTake(): Promise<Failure | undefined> {
    for (let withIfRange = true; ; ) {
      const question = { bytesOnDisk: part.sizeBytes, validators, withIfRange, expectedBytes: totalBytes };
      const { response, decision } = await exchange(host, start, question, options);
      switch (decision.kind) {
        case 'append':
          inPieces = true;
          return take(response);
        case 'startOver':
          await startOver(decision.why, validatorsOf(response));
          return take(response);
        case 'askWithoutIfRange':
          response.discard();
          withIfRange = false;
          break;
        case 'deleteAndStartOver':
          response.discard();
          await startOver(decision.why, noValidators);
          break;
        case 'retry':
          response.discard();
          return {
            why: decision.why,
            retryAfterMs: retryAfterMs(response.headers, clock.now()),
            status: response.status,
          };
        default:
          return decision satisfies never;
      }
    }
  }

  async function startOver(why: string, fresh: Validators): Promise<void> {
    if (part.sizeBytes > 0) {
      if (++startOvers > limits.downloadStartOvers)
        throw new UpdateError(
          'DOWNLOAD_FAILED',
          `${where}: ${why}; started over ${startOvers - 1} times already`,
        );
      log.warn(`download ${where}: ${why}; starting over, ${part.sizeBytes} bytes dropped`);
      await part.restart();
    }
    inPieces = false;
    validators = fresh;
    options.onProgress(0);
    await saved.save(resumeInfo());
  }

  /** Takes the body to its end. A whole body of the wrong size is final, one that was put together is not. */
  async function take(response: HttpResponse): Promise<Failure | undefined> {
    for await (const chunk of response.body) {
      if (part.sizeBytes + chunk.length > totalBytes) return wrongSize('more than');
      // Awaiting nothing would still cost a turn of the microtask queue for each chunk, without a compiler to hide it.
      const written = part.append(chunk);
      if (written !== undefined) await written;
      options.onProgress(part.sizeBytes);
      saved.pass(resumeInfo());
      const pause = pace(chunk.length);
      if (pause !== undefined) await pause;
    }
    if (part.sizeBytes === totalBytes) return undefined;
    // Only a chunked body tells its end from a broken connection.
    if (response.headers['transfer-encoding'] !== undefined && !inPieces)
      return wrongSize(`only ${part.sizeBytes} of`);
    return { why: 'the body ended early', retryAfterMs: undefined };
  }

  async function wrongSize(found: string): Promise<Failure> {
    const why = `the body has ${found} the ${totalBytes} bytes of package_size`;
    if (inPieces) {
      await startOver(why, noValidators);
      return { why, retryAfterMs: undefined };
    }
    await part.restart();
    throw new UpdateError('SIZE_MISMATCH', `${where}: ${why}`);
  }

  function resumeInfo(): ResumeInfo {
    return { bytes_downloaded: part.writtenBytes, ...pick(validators) };
  }
}

function pick({ etag, last_modified, total }: Validators): Validators {
  return { etag, last_modified, total };
}
