/**
 * Fills a partial file up to the package's size: asks, takes what is ours, asks again.
 *
 * Invariants: bytes at hand are given up only for more bytes (holding.ts); every chain of tries ends (retry.ts).
 * Source: spec sections 6 and 13.
 */
import { UpdateError } from '../errors.ts';
import type { Host, HttpResponse } from '../host/host.ts';
import { pacer } from '../host/pace.ts';
import { StuckError, type Watched, watched } from '../host/watchdog.ts';
import { limits } from '../limits.ts';
import type { Checkpoints } from './checkpoint.ts';
import { type ExchangeOptions, exchange, withholding } from './exchange.ts';
import type { Holding } from './holding.ts';
import { awaited, isFinal, isNetworkError, loginPage, networkErrorText } from './network-error.ts';
import type { PartFile } from './part-file.ts';
import type { PackageRequest } from './request.ts';
import { isHtml, validatorsOf } from './resume.ts';
import { afterFailure, type Failure, networkWaitMs, retryAfterMs } from './retry.ts';
import { type Address, redactUrl } from './url-policy.ts';

export interface TransferOptions extends ExchangeOptions {
  readonly bytesPerSecond: number | undefined;
  /** A try in which nothing is processed for so long is given up, whatever is stuck; twice the stall time unless given. */
  readonly stuckTimeoutMs?: number | undefined;
  /** How long to wait for somebody to answer, in ms; undefined: no answer is a failed try like every other. */
  readonly waitForNetworkMs?: number | undefined;
  /** A server whose names of the file proved wrong is not believed once more. */
  readonly trustsNames?: boolean;
  readonly onProgress: (bytes: number) => void;
  /** So many bytes more came over the network. */
  readonly onReceived?: (bytes: number) => void;
  readonly onRetry?: () => void;
  /** What is waited for, told with each try without an answer; undefined: no longer. */
  readonly onWaiting?: (what: string | undefined) => void;
}

/**
 * Resolves when the file has `package_size` bytes, all on disk. Rejects with an UpdateError, or with the signal's reason;
 * the bytes that arrived are then on disk and saved, unless the disk itself failed.
 */
export async function transfer(
  host: Pick<Host, 'clock' | 'net' | 'log'>,
  start: Address,
  request: PackageRequest,
  { holding, saved }: { readonly holding: Holding; readonly saved: Checkpoints },
  options: TransferOptions,
): Promise<void> {
  const { clock, log } = host;
  const where = redactUrl(start.url.href);
  const totalBytes = request.package_size;
  const pace = pacer(clock, options.bytesPerSecond, options.signal);
  /** Longest time in which nothing is processed, whatever is waited for. */
  const boundMs = options.stuckTimeoutMs ?? 2 * options.stallTimeoutMs;
  let startOvers = 0;
  let retries = 0;
  /** Since when nobody answers, and how often was asked since. */
  let silence: { readonly sinceMs: number; readonly asked: number } | undefined;

  options.onProgress(holding.part.sizeBytes);
  try {
    for (;;) {
      const before = holding.part.sizeBytes;
      const failure = before < totalBytes ? await tryOnce() : await settle();
      if (failure !== undefined) {
        await keep();
        await pauseAfter(failure, holding.part.sizeBytes > before);
      } else if (before >= totalBytes) return;
    }
  } catch (thrown) {
    if (!(thrown instanceof StuckError)) await keep();
    throw thrown;
  }

  /** The last step: all that came is on the disk. */
  async function settle(): Promise<Failure | undefined> {
    try {
      await keep();
      return undefined;
    } catch (thrown) {
      if (!(thrown instanceof StuckError)) throw thrown;
      return openAnew(thrown);
    }
  }

  async function openAnew(stuck: StuckError): Promise<Failure> {
    log.error(`download ${where}: ${stuck.message}; going on without a thread for the digest`);
    await holding.reopen();
    return { why: stuck.message };
  }

  async function pauseAfter(failure: Failure, madeProgress: boolean): Promise<void> {
    const have = `${holding.part.sizeBytes} of ${totalBytes} bytes on disk`;
    const text = `download ${where}: ${failure.why}; ${have}`;
    const patientMs = patience(failure);
    if (patientMs !== undefined) {
      log.warn(`${text}; waiting: ${failure.waitsFor}; asking again in ${patientMs} ms`);
      options.onWaiting?.(failure.waitsFor);
      await clock.sleep(patientMs, options.signal);
      return;
    }
    const next = afterFailure(retries, madeProgress, failure.retryAfterMs);
    if (next.kind === 'giveUp')
      throw new UpdateError(
        'DOWNLOAD_FAILED',
        `${where}: ${failure.why}; ${next.why}; ${have}`,
        withholding(failure.status ?? 0) ?? { mayPass: 'outage' },
      );
    log.warn(`${text}; trying again in ${next.ms} ms`);
    options.onRetry?.();
    await clock.sleep(next.ms, options.signal);
    retries = next.retries;
  }

  /** How long to wait, where nobody answered and there is still time for that. */
  function patience({ waitsFor }: Failure): number | undefined {
    if (options.waitForNetworkMs === undefined || waitsFor === undefined) return undefined;
    const nowMs = clock.elapsed();
    const { sinceMs, asked } = silence ?? { sinceMs: nowMs, asked: 0 };
    const leftMs = sinceMs + options.waitForNetworkMs - nowMs;
    if (leftMs <= 0) return undefined;
    silence = { sinceMs, asked: asked + 1 };
    return Math.min(networkWaitMs(asked), leftMs);
  }

  function answered(): void {
    if (silence === undefined) return;
    silence = undefined;
    options.onWaiting?.(undefined);
  }

  async function keep(): Promise<void> {
    const part = () => holding.part.busyWith() ?? 'the state file';
    await watched(clock, { boundMs, part, signal: new AbortController().signal }, async () => {
      try {
        await holding.dropRival();
        await holding.part.settle();
        await saved.save(holding.info());
      } finally {
        await saved.idle();
      }
    });
  }

  async function tryOnce(): Promise<Failure | undefined> {
    let hasHead = false;
    const onHead = () => {
      hasHead = true;
    };
    const part = () => holding.part.busyWith() ?? (hasHead ? 'the body' : 'the request');
    try {
      const { signal } = options;
      return await watched(clock, { boundMs, part, signal }, (trial) => askAndTake(trial, onHead));
    } catch (thrown) {
      if (options.signal.aborted) throw thrown;
      if (thrown instanceof StuckError) return openAnew(thrown);
      if (!isNetworkError(thrown)) throw thrown;
      const why = networkErrorText(thrown, clock.now());
      const waitsFor = hasHead ? undefined : awaited(thrown, clock.now());
      const mayWait = waitsFor !== undefined && options.waitForNetworkMs !== undefined;
      if (isFinal(thrown) && !mayWait)
        throw new UpdateError('DOWNLOAD_FAILED', `${where}: ${why}`, { cause: thrown });
      return { why, waitsFor };
    }
  }

  /** One answer's worth of bytes; an answer that is not usable is followed by at most two other questions. */
  async function askAndTake(trial: Watched, onHead: () => void): Promise<Failure | undefined> {
    let whyWhole: string | undefined;
    const trustsTotal = holding.hasOutlivedRival && options.trustsNames !== true;
    for (let withIfRange = !trustsTotal; ; ) {
      const { response, decision } = await exchange(host, start, question(), {
        ...options,
        signal: trial.signal,
        onRequest: trial.alive,
      });
      onHead();
      switch (decision.kind) {
        case 'append':
          holding.goesOn(validatorsOf(response));
          return take(trial, response, holding.part);
        case 'startOver':
          return takeWhole(trial, response, whyWhole ?? decision.why);
        case 'askWithoutIfRange':
          response.discard();
          withIfRange = false;
          break;
        case 'askForWhole':
          response.discard();
          whyWhole = decision.why;
          break;
        case 'retry':
          response.discard();
          if (!decision.isPage) answered();
          return {
            why: decision.why,
            retryAfterMs: retryAfterMs(response.headers, clock.now()),
            waitsFor: decision.isPage && loginPage,
            status: response.status,
          };
        default:
          return decision satisfies never;
      }

      function question() {
        const bytesOnDisk = whyWhole === undefined ? holding.part.sizeBytes : 0;
        return {
          bytesOnDisk,
          validators: holding.validators,
          withIfRange,
          trustsTotal,
          expectedBytes: totalBytes,
        };
      }
    }
  }

  async function takeWhole(
    trial: Watched,
    response: HttpResponse,
    why: string,
  ): Promise<Failure | undefined> {
    const at = holding.part.sizeBytes;
    if (at > 0) {
      if (++startOvers > limits.downloadStartOvers)
        throw new UpdateError(
          'DOWNLOAD_FAILED',
          `${where}: ${why}; started over ${startOvers - 1} times already`,
        );
      log.warn(`download ${where}: ${why}; starting over, beside the ${at} bytes on disk`);
    }
    const into = await holding.beginWhole(validatorsOf(response));
    options.onProgress(holding.part.sizeBytes);
    return take(trial, response, into);
  }

  /** Takes the body to its end. A whole body of the wrong size is final, one that came in place of a rest is not. */
  async function take(trial: Watched, response: HttpResponse, into: PartFile): Promise<Failure | undefined> {
    const isRest = into.sizeBytes > 0;
    const mayBePage = !isRest && isHtml(response) && response.headers['content-length'] === undefined;
    for await (const chunk of response.body) {
      options.onReceived?.(chunk.length);
      if (mayBePage && into.sizeBytes === 0 && beginsAsPage(chunk))
        return { why: 'a page in place of the package', waitsFor: loginPage };
      answered();
      if (into.sizeBytes + chunk.length > totalBytes) return wrongSize('more than', into);
      // Awaiting nothing would still cost a turn of the microtask queue for each chunk, without a compiler to hide it.
      const written = into.append(chunk);
      if (written !== undefined) await written;
      const settled = holding.settleRivalry(into);
      if (settled !== undefined) await settled;
      trial.signal.throwIfAborted(); // found stuck meanwhile: somebody else goes on with the file
      trial.alive();
      options.onProgress(holding.part.sizeBytes);
      saved.pass(holding.info());
      const pause = pace(chunk.length);
      if (pause !== undefined) await trial.resting(pause);
    }
    if (into.sizeBytes === totalBytes) return undefined;
    // Only a chunked body tells its end from a broken connection.
    if (response.headers['transfer-encoding'] !== undefined && !isRest)
      return wrongSize(`only ${into.sizeBytes} of`, into);
    return { why: 'the body ended early' };
  }

  async function wrongSize(found: string, into: PartFile): Promise<Failure> {
    const why = `the body has ${found} the ${totalBytes} bytes of package_size`;
    if (into !== holding.part) return { why }; // a rival
    if (!holding.inPieces) {
      await holding.drop();
      throw new UpdateError('SIZE_MISMATCH', `${where}: ${why}`);
    }
    if (++startOvers > limits.downloadStartOvers)
      throw new UpdateError('DOWNLOAD_FAILED', `${where}: ${why}`);
    log.warn(`download ${where}: ${why}; starting over`);
    await holding.drop();
    options.onProgress(0);
    return { why };
  }
}

/** A package is a ZIP and never begins with white space or "<". */
function beginsAsPage(chunk: Uint8Array): boolean {
  return /^[\s\ufeff]*</.test(new TextDecoder().decode(chunk.subarray(0, 256)));
}
