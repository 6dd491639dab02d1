/**
 * When a device asks its server again. Pure. No two devices stay in step, whatever brought them there: ten thousand are never
 * more than twice the mean in any second (docs/fleet.md).
 */
import { limits } from '../limits.ts';

/** The wait before the first poll of a start. `sleepMs`: as last heard; undefined: of this server nothing is known. */
export function firstPollMs(sleepMs: number | undefined, isUrgent: boolean, random: number): number {
  if (sleepMs === undefined) return random * limits.fleetFirstPollMs;
  return random * Math.min(sleepMs, isUrgent ? limits.fleetActiveMs : limits.fleetSleepMs);
}

/** The wait after a poll that was answered. `isActive`: an order is being carried out. */
export function nextPollMs(sleepMs: number | undefined, isActive: boolean, random: number): number {
  const wished = sleepMs ?? limits.fleetSleepMs;
  const ms = isActive ? Math.min(wished, limits.fleetActiveMs) : wished;
  return ms * (0.9 + 0.2 * random);
}

/** The wait after the n-th failure in a row, from 1. `retryAfterMs`: what the server asked for, if it did. */
export function afterFailureMs(
  failures: number,
  sleepMs: number | undefined,
  retryAfterMs: number | undefined,
  random: number,
): number {
  const most = Math.max(sleepMs ?? 0, limits.fleetFailureMostMs);
  const ms = Math.min(most, limits.fleetFailureMs * 2 ** Math.min(30, failures - 1));
  return Math.max(ms * (0.5 + 0.5 * random), Math.min(retryAfterMs ?? 0, limits.fleetRetryAfterMs));
}

/** The wait before a failed download of an order is begun again, after the n-th failure without a new byte, from 1. */
export function retryMs(tries: number): number {
  const waits = limits.fleetRetryMs;
  return waits[Math.min(tries, waits.length) - 1] ?? 0;
}

/** How long the same id is left alone once it has ended, after it was taken up again so many times. */
export function sameIdMs(times: number): number {
  return Math.min(limits.fleetSameIdMostMs, limits.fleetSameIdMs * 2 ** Math.min(30, times));
}
