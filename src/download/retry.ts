/**
 * When a failed try of a download is followed by another, and after how long. Pure but for the jitter's dice.
 *
 * Invariant: every chain of tries ends. Retries without progress in a row are counted; a try is progress only when it
 * left more bytes on disk than it found, and starting over is counted separately, so a server that always breaks
 * at the same byte, or changes its file with each answer, cannot keep a device busy forever. Where nobody answers, time is
 * counted instead, if somebody gave the download that time.
 * Source: spec sections 6 and 13, RFC 9110 section 10.2.3 (Retry-After).
 */
import { limits } from '../limits.ts';

/** A try that failed in a way that may pass. */
export interface Failure {
  readonly why: string;
  readonly retryAfterMs?: number | undefined;
  /** What is waited for, where nobody answered, or somebody else than the store. */
  readonly waitsFor?: string | undefined;
  /** Of the answer; undefined: there was none, or it broke off. */
  readonly status?: number;
}

/** Retries since the last progress. */
export type Retries = number;

export type Next =
  | { readonly kind: 'wait'; readonly ms: number; readonly retries: Retries }
  | { readonly kind: 'giveUp'; readonly why: string };

/** What follows a failed try. `retryAfterMs`: what the server asked for, if it did. */
export function afterFailure(retries: Retries, madeProgress: boolean, retryAfterMs?: number): Next {
  const made = madeProgress ? 0 : retries;
  const backoffMs = limits.downloadBackoffMs[made];
  if (backoffMs === undefined) return { kind: 'giveUp', why: `${made} retries in a row without progress` };
  if (retryAfterMs !== undefined && retryAfterMs > limits.retryAfterMaxMs)
    return { kind: 'giveUp', why: `the server asks to come back in ${Math.round(retryAfterMs / 1000)} s` };
  return { kind: 'wait', ms: Math.max(backoffMs, retryAfterMs ?? 0), retries: made + 1 };
}

/**
 * How long to wait for a network: 1 s, doubled with each try up to limits.networkWaitMostMs, half of it by chance, as all
 * devices of a building come back together. `asked`: tries since somebody answered.
 */
export function networkWaitMs(asked: number, chance: number = Math.random()): number {
  const fullMs = Math.min(limits.networkWaitLeastMs * 2 ** Math.min(asked, 16), limits.networkWaitMostMs);
  return Math.round(fullMs * (0.5 + chance / 2));
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
