/**
 * Fills a partial file up to the package's size: asks, takes what is ours, asks again.
 *
 * Invariants: bytes at hand are given up only for more bytes (holding.ts); every chain of tries ends (retry.ts).
 * Source: spec sections 6 and 13.
 */
import { UpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { StuckError, watched } from '../host/watchdog.ts';
import type { Step } from './adaptive.ts';
import { createAsking, type TransferOptions, type TransferParts, type Wanted } from './asking.ts';
import { stuckAfterMs } from './bounded.ts';
import { withholding } from './exchange.ts';
import { awaited, isFinal, isNetworkError, networkErrorText } from './network-error.ts';
import type { PackageRequest } from './request.ts';
import { afterFailure, type Failure, networkWaitMs } from './retry.ts';
import { SourceError } from './source-error.ts';
import { type Address, redactUrl } from './url-policy.ts';

/**
 * Resolves when the file has `package_size` bytes, all on disk. Rejects with an UpdateError, or with the signal's reason;
 * the bytes that arrived are then on disk and saved, unless the disk itself failed.
 */
export async function transfer(
  host: Pick<Host, 'clock' | 'files' | 'net' | 'log'>,
  start: Address,
  request: PackageRequest,
  { holding, saved, adaptive }: TransferParts,
  options: TransferOptions,
): Promise<void> {
  const { clock, log } = host;
  const where = redactUrl(start.url.href);
  const totalBytes = request.package_size;
  const ask = createAsking(host, start, request, { holding, saved, adaptive }, options);
  /** Longest time in which nothing is processed, whatever is waited for. */
  const boundMs = stuckAfterMs(options);
  let retries = 0;
  /** Since when nobody answers, and how often was asked since. */
  let silence: { readonly sinceMs: number; readonly asked: number } | undefined;

  options.onProgress(holding.part.sizeBytes);
  try {
    for (;;) {
      const before = holding.part.sizeBytes;
      const failure = before < totalBytes ? await goOn() : await settle();
      if (failure !== undefined) {
        await keep();
        await pauseAfter(failure, holding.part.sizeBytes > before);
      } else if (before >= totalBytes) return;
    }
  } catch (thrown) {
    if (!(thrown instanceof StuckError)) await keep();
    throw thrown;
  }

  /** The next step: one question, or bytes that are made here. */
  async function goOn(): Promise<Failure | undefined> {
    const step = await nextStep();
    return step.kind === 'make' ? make(step) : tryOnce(step);
  }

  async function nextStep(): Promise<Step> {
    const { signal } = options;
    const part = () => holding.part.busyWith() ?? 'looking at what is here already';
    try {
      return await watched(clock, { boundMs, part, signal }, async () => {
        const step = await adaptive.next(holding.part.sizeBytes);
        if (adaptive.isLarge) await holding.part.digestHere();
        return step;
      });
    } catch (thrown) {
      if (!(thrown instanceof StuckError)) throw thrown;
      log.error(`download ${where}: ${thrown.message}; all is fetched`);
      adaptive.leaveBehind();
      return { kind: 'whole' };
    }
  }

  async function make({
    from,
    to,
    skip,
    isFetched,
    chunks,
  }: Extract<Step, { kind: 'make' }>): Promise<Failure | undefined> {
    const { signal } = options;
    const busy = () => holding.part.busyWith() ?? 'making what is here already';
    try {
      holding.spliced();
      const isSlow = await watched(clock, { boundMs, part: busy, signal }, async (trial) => {
        let passed = 0;
        for await (const whole of chunks) {
          const chunk = whole.subarray(Math.max(0, skip - passed), Math.max(0, to - from - passed));
          passed += whole.length;
          if (chunk.length === 0) continue;
          const written = holding.part.append(chunk);
          if (written !== undefined) await written;
          trial.signal.throwIfAborted();
          trial.alive();
          if (!isFetched) options.onReused?.(chunk.length);
          options.onProgress(holding.part.sizeBytes);
          saved.pass(holding.info());
          // Its beginning stays, though no CRC-32 was compared with it: the digest of the whole judges it like all bytes.
          if (!isFetched && adaptive.isFetchedFaster(holding.part.sizeBytes)) return true;
        }
        if (holding.part.sizeBytes < to) throw new SourceError('is shorter than the package says');
        return false;
      });
      if (isSlow) await adaptive.giveUp(from, 'is made more slowly than it comes over the network');
      return undefined;
    } catch (thrown) {
      if (thrown instanceof StuckError) {
        // What is made hangs, not what takes it: it would hang again.
        if (holding.part.busyWith() === undefined) adaptive.leaveBehind();
        return openAnew(thrown);
      }
      if (!(thrown instanceof SourceError)) throw thrown;
      await adaptive.giveUp(from, thrown.message);
      const cutting = () => holding.part.busyWith() ?? `the disk (what is here of ${holding.part.path})`;
      await watched(clock, { boundMs, part: cutting, signal }, (trial) =>
        holding.part.cutBack(host.files, from, trial),
      );
      options.onProgress(from);
      return undefined;
    }
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

  async function tryOnce(wanted: Wanted): Promise<Failure | undefined> {
    let hasHead = false;
    const onHead = () => {
      hasHead = true;
    };
    const hearer = { onHead, onAnswered: answered };
    const asked = () => (saved.isAwaited() ? 'the state file' : hasHead ? 'the body' : 'the request');
    const part = () => holding.part.busyWith() ?? asked();
    try {
      const { signal } = options;
      return await watched(clock, { boundMs, part, signal }, (trial) => ask(trial, wanted, hearer));
    } catch (thrown) {
      // What broke because of the end that was asked for, or at the same moment, is not what the download ended with.
      if (options.signal.aborted) throw thrown instanceof UpdateError ? thrown : options.signal.reason;
      if (thrown instanceof StuckError) return openAnew(thrown);
      if (!isNetworkError(thrown)) throw wanted.kind === 'whole' ? thrown : namingSetting(thrown);
      const why = networkErrorText(thrown, clock.now());
      const waitsFor = hasHead ? undefined : awaited(thrown, clock.now());
      const mayWait = waitsFor !== undefined && options.waitForNetworkMs !== undefined;
      if (isFinal(thrown) && !mayWait)
        throw new UpdateError('DOWNLOAD_FAILED', `${where}: ${why}`, { cause: thrown });
      return { why, waitsFor };
    }
  }
}

/** A URL may be good for one request only: then the first question for a part has used it up. */
function namingSetting(thrown: unknown): unknown {
  if (!(thrown instanceof UpdateError) || thrown.mayPass !== 'refusal') return thrown;
  const text = `${thrown.message.slice(thrown.code.length + 2)} (if this URL is good for one request only, turn adaptive_download off)`;
  return new UpdateError(thrown.code, text, { cause: thrown, mayPass: thrown.mayPass });
}
