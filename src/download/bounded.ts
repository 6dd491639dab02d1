/**
 * What a download waits for beside its tries (transfer.ts watches those): the disk, which may never answer. Each such wait ends, by
 * name, after the time in which a try has to go on.
 */
import { UpdateError } from '../errors.ts';
import type { Clock } from '../host/host.ts';
import { StuckError, type Watched, watched } from '../host/watchdog.ts';
import { limits } from '../limits.ts';

export interface Bounds {
  readonly signal: AbortSignal;
  /** Longest time in which nothing is processed; twice the stall time unless given. */
  readonly stuckTimeoutMs?: number | undefined;
  /** Longest silence of the server; limits.downloadStallMs unless given. */
  readonly stallTimeoutMs?: number | undefined;
}

export function stuckAfterMs({ stuckTimeoutMs, stallTimeoutMs }: Omit<Bounds, 'signal'>): number {
  return stuckTimeoutMs ?? 2 * (stallTimeoutMs ?? limits.downloadStallMs);
}

/** Does `act`; DOWNLOAD_FAILED, which may pass, where it does not go on. `what`: of the disk, in words. */
export async function bounded<T>(
  clock: Clock,
  bounds: Bounds,
  what: string,
  act: (watch: Watched) => Promise<T>,
): Promise<T> {
  const part = () => `the disk (${what})`;
  try {
    return await watched(clock, { boundMs: stuckAfterMs(bounds), part, signal: bounds.signal }, act);
  } catch (thrown) {
    if (!(thrown instanceof StuckError)) throw thrown;
    throw new UpdateError('DOWNLOAD_FAILED', thrown.message, { cause: thrown, mayPass: 'outage' });
  }
}
