/**
 * When a failed try of a download is followed by another, and after how long. Pure.
 *
 * Invariant: every chain of tries ends. Tries without progress in a row are counted; a try is progress only when it
 * left more bytes on disk than it found, and starting over is counted separately, so a server that always breaks
 * at the same byte, or changes its file with each answer, cannot keep a device busy forever.
 * Source: spec section 6, RFC 9110 section 10.2.3 (Retry-After).
 */
import { limits } from '../limits.ts';

/** Both counts since the last progress. */
export interface Tries {
  readonly failed: number;
  readonly waited: number;
}

export const noTries: Tries = { failed: 0, waited: 0 };

export type Next =
  | { readonly kind: 'wait'; readonly ms: number; readonly tries: Tries }
  | { readonly kind: 'giveUp'; readonly why: string };

/** What follows a failed try. `retryAfterMs`: what the server asked for, if it did. */
export function afterFailure(tries: Tries, madeProgress: boolean, retryAfterMs: number | undefined): Next {
  const { failed, waited } = madeProgress ? { failed: 0, waited: 0 } : { ...tries, failed: tries.failed + 1 };
  if (failed >= limits.downloadTries)
    return { kind: 'giveUp', why: `${failed} tries in a row without progress` };
  if (retryAfterMs !== undefined && retryAfterMs > limits.retryAfterMaxMs)
    return { kind: 'giveUp', why: `the server asks to come back in ${Math.round(retryAfterMs / 1000)} s` };
  const backoffMs = limits.downloadBackoffMs[Math.min(waited, limits.downloadBackoffMs.length - 1)] ?? 0;
  return {
    kind: 'wait',
    ms: Math.max(backoffMs, retryAfterMs ?? 0),
    tries: { failed, waited: waited + 1 },
  };
}

/**
 * Retry-After in ms: a number of seconds, or a date. A date is read against the server's own Date header where there
 * is one, because a device without a battery-backed clock may be decades off. Undefined when absent or not readable.
 */
export function retryAfterMs(
  headers: Readonly<Record<string, string | undefined>>,
  nowMs: number,
): number | undefined {
  const text = headers['retry-after']?.trim();
  if (text === undefined || text === '') return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const until = Date.parse(text);
  if (Number.isNaN(until)) return undefined;
  const serverNow = Date.parse(headers.date ?? '');
  return Math.max(0, until - (Number.isNaN(serverNow) ? nowMs : serverNow));
}
