/**
 * One question of a download, and what is done with its answer: the bytes that are ours are taken, in one of three ways (appended to
 * what is at hand, as a whole body beside it, or as the end of the package that an adaptive download asks for).
 */
import { UpdateError } from '../errors.ts';
import type { Host, HttpResponse } from '../host/host.ts';
import { pacer } from '../host/pace.ts';
import type { Watched } from '../host/watchdog.ts';
import { limits } from '../limits.ts';
import type { Adaptive, Step } from './adaptive.ts';
import type { Checkpoints } from './checkpoint.ts';
import { type ExchangeOptions, exchange } from './exchange.ts';
import type { Holding } from './holding.ts';
import { loginPage } from './network-error.ts';
import type { PartFile } from './part-file.ts';
import type { PackageRequest } from './request.ts';
import { isHtml, type Question, validatorsOf } from './resume.ts';
import { type Failure, retryAfterMs } from './retry.ts';
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
  /** So many bytes more were made of what the device has. */
  readonly onReused?: (bytes: number) => void;
  readonly onRetry?: () => void;
  /** What is waited for, told with each try without an answer; undefined: no longer. */
  readonly onWaiting?: (what: string | undefined) => void;
}

export interface TransferParts {
  readonly holding: Holding;
  readonly saved: Checkpoints;
  readonly adaptive: Adaptive;
}

/** What is asked for; `make` needs no question. */
export type Wanted = Exclude<Step, { kind: 'make' }>;

/** What is told of an answer while it is dealt with. */
export interface Hearer {
  /** The head has come. */
  onHead(): void;
  /** It is the store that answers. */
  onAnswered(): void;
}

export type Ask = (trial: Watched, wanted: Wanted, hearer: Hearer) => Promise<Failure | undefined>;

/** Gives the function that asks. It resolves with a failure that may pass, and rejects as exchange() does and with SIZE_MISMATCH. */
export function createAsking(
  { clock, net, log }: Pick<Host, 'clock' | 'net' | 'log'>,
  start: Address,
  request: PackageRequest,
  { holding, saved, adaptive }: TransferParts,
  options: TransferOptions,
): Ask {
  const where = redactUrl(start.url.href);
  const totalBytes = request.package_size;
  const pace = pacer(clock, options.bytesPerSecond, options.signal);
  let startOvers = 0;
  return ask;

  /** An answer that is not usable is followed by at most two other questions. */
  async function ask(trial: Watched, wanted: Wanted, hearer: Hearer): Promise<Failure | undefined> {
    let whyWhole: string | undefined;
    const trustsTotal = holding.hasOutlivedRival && options.trustsNames !== true;
    for (let withIfRange = !trustsTotal; ; ) {
      const { response, decision } = await exchange({ net }, start, question(), {
        ...options,
        signal: trial.signal,
        onRequest: () => {
          trial.alive();
          options.onRequest?.();
        },
      });
      hearer.onHead();
      switch (decision.kind) {
        case 'append':
          if (wanted.kind === 'tail') return takeTail(trial, response, wanted, hearer);
          if (isFirst(wanted)) await holding.noteNames(validatorsOf(response));
          holding.goesOn(validatorsOf(response));
          return wanted.kind === 'fetch'
            ? takePiece(trial, response, wanted.to, hearer)
            : take(trial, response, holding.part, hearer);
        case 'startOver':
          await adaptive.turnOff(whyWhole ?? decision.why);
          return takeWhole(trial, response, whyWhole ?? decision.why, hearer);
        case 'askWithoutIfRange':
          response.discard();
          withIfRange = false;
          break;
        case 'askForWhole':
          response.discard();
          await adaptive.turnOff(decision.why);
          whyWhole = decision.why;
          break;
        case 'retry':
          response.discard();
          if (!decision.isPage) hearer.onAnswered();
          return {
            why: decision.why,
            retryAfterMs: retryAfterMs(response.headers, clock.now()),
            waitsFor: decision.isPage && loginPage,
            status: response.status,
          };
        default:
          return decision satisfies never;
      }

      function question(): Question {
        const { validators } = holding;
        const common = { validators, withIfRange, trustsTotal, expectedBytes: totalBytes };
        if (whyWhole !== undefined) return { ...common, bytesOnDisk: 0 };
        const from = holding.part.sizeBytes;
        // Nothing is at hand yet: what the tail is called is what the file is called.
        if (wanted.kind === 'tail')
          return {
            ...common,
            bytesOnDisk: wanted.from,
            until: wanted.to,
            trustsTotal: trustsTotal || from === 0,
          };
        return {
          ...common,
          bytesOnDisk: from,
          until: wanted.kind === 'fetch' ? wanted.to : undefined,
          trustsTotal: trustsTotal || isFirst(wanted),
        };
      }
    }
  }

  /** A start found the end of the package alone, kept by the run before: what the first answer is called is what the file is called. */
  function isFirst({ kind }: Wanted): boolean {
    const { etag, last_modified } = holding.validators;
    return kind === 'fetch' && holding.part.sizeBytes === 0 && etag === null && last_modified === null;
  }

  /** What was fetched for one piece is not asked for again because somebody kills the process: it does not wait in memory. */
  async function takePiece(
    trial: Watched,
    response: HttpResponse,
    until: number,
    hearer: Hearer,
  ): Promise<Failure | undefined> {
    const [beganMs, before] = [clock.elapsed(), holding.part.sizeBytes];
    const failure = await take(trial, response, holding.part, hearer, until);
    adaptive.received(holding.part.sizeBytes - before, clock.elapsed() - beganMs);
    if (failure === undefined) await holding.part.flush();
    return failure;
  }

  async function takeTail(
    trial: Watched,
    response: HttpResponse,
    { from, to }: { readonly from: number; readonly to: number },
    hearer: Hearer,
  ): Promise<Failure | undefined> {
    const tail = Buffer.alloc(to - from);
    const beganMs = clock.elapsed();
    let filled = 0;
    for await (const chunk of response.body) {
      options.onReceived?.(chunk.length);
      hearer.onAnswered();
      trial.alive();
      const part = chunk.subarray(0, tail.length - filled);
      tail.set(part, filled);
      filled += part.length;
      if (filled === tail.length) break;
    }
    if (filled < tail.length) return { why: 'the body ended early' };
    adaptive.received(filled, clock.elapsed() - beganMs);
    await holding.noteNames(validatorsOf(response));
    await adaptive.gotTail(tail);
    return undefined;
  }

  async function takeWhole(
    trial: Watched,
    response: HttpResponse,
    why: string,
    hearer: Hearer,
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
    return take(trial, response, into, hearer);
  }

  /**
   * Takes the body to its end, or up to `until`. A whole body of the wrong size is final, one that came in place of a rest
   * is not.
   */
  async function take(
    trial: Watched,
    response: HttpResponse,
    into: PartFile,
    hearer: Hearer,
    until: number = totalBytes,
  ): Promise<Failure | undefined> {
    const isRest = response.status === 206;
    const mayBePage = !isRest && isHtml(response) && response.headers['content-length'] === undefined;
    for await (const chunk of response.body) {
      options.onReceived?.(chunk.length);
      if (mayBePage && into.sizeBytes === 0 && beginsAsPage(chunk))
        return { why: 'a page in place of the package', waitsFor: loginPage };
      hearer.onAnswered();
      if (into.sizeBytes + chunk.length > until) return wrongSize('more than', into);
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
    if (into.sizeBytes === until) return undefined;
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
    await adaptive.turnOff(why);
    await holding.drop();
    options.onProgress(0);
    return { why };
  }
}

/** A package is a ZIP and never begins with white space or "<". */
function beginsAsPage(chunk: Uint8Array): boolean {
  return /^[\s\ufeff]*</.test(new TextDecoder().decode(chunk.subarray(0, 256)));
}
