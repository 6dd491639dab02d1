/**
 * The gate: local services may say "not now" (a print is running), and installs and rollbacks that have not begun wait. A hold
 * is a lease that ends by itself, so a service that dies holds nothing for ever; a restart within the boot keeps it
 * (saved-holds.ts).
 */

import { UpdateError } from '../errors.ts';
import type { Clock } from '../host/host.ts';
import { limits } from '../limits.ts';
import { type Lease, loadHolds, type SavedHoldsHost, saveHolds } from './saved-holds.ts';
import type { Hold, HoldRequest, Updater } from './state.ts';

export interface Holds {
  /** Takes over what an earlier run of this boot held. */
  restore(leases: readonly Lease[]): void;
  /** Leases in force with their ends, to be restored. */
  leases(): readonly Lease[];
  /** Takes or renews the lease of an owner. OPERATION_IN_PROGRESS where limits.holds owners hold already. */
  hold(request: HoldRequest): Hold;
  /** Ends an owner's lease. False where it has none. */
  release(owner: string): boolean;
  /** Leases in force, oldest first. */
  current(): Hold[];
  /** Resolves when nobody holds; `onWait` hears of each hold waited for. Rejects with the signal's reason. */
  untilFree(signal: AbortSignal, onWait: (hold: Hold) => void): Promise<void>;
}

export function createHolds(clock: Clock): Holds {
  const leases = new Map<string, Lease>();
  let changed = new AbortController();

  const current = () => {
    for (const [owner, { endsMs }] of leases) if (endsMs <= clock.elapsed()) leases.delete(owner);
    return [...leases.values()];
  };
  const tellChange = () => {
    changed.abort(new Error('the holds have changed'));
    changed = new AbortController();
  };

  return {
    restore: (earlier) => {
      for (const lease of earlier) leases.set(lease.hold.owner, lease);
    },
    leases: current,
    hold: ({ owner, reason, ttl_s }) => {
      if (!leases.has(owner) && current().length >= limits.holds) {
        throw new UpdateError('OPERATION_IN_PROGRESS', `${limits.holds} others hold updates already`);
      }
      const ttlMs = ttl_s * 1000;
      const hold = { owner, reason, expires_at: new Date(clock.now() + ttlMs).toISOString() };
      leases.set(owner, { hold, endsMs: clock.elapsed() + ttlMs });
      tellChange();
      return hold;
    },
    release: (owner) => {
      const isHeld = current().some(({ hold }) => hold.owner === owner);
      leases.delete(owner);
      tellChange();
      return isHeld;
    },
    current: () => current().map(({ hold }) => hold),
    untilFree: async (signal, onWait) => {
      for (let [first] = current(); first !== undefined; [first] = current()) {
        onWait(first.hold);
        const wake = AbortSignal.any([signal, changed.signal]);
        await clock
          .sleep(Math.max(1, first.endsMs - clock.elapsed()), wake)
          .catch(() => signal.throwIfAborted());
      }
      signal.throwIfAborted();
    },
  };
}

/** Takes over the holds of an earlier run of this boot. */
export async function restoreHolds(holds: Holds, host: SavedHoldsHost, tmp: string): Promise<void> {
  holds.restore(await loadHolds(host, tmp));
}

/** POST /hold and POST /release over them; the log tells who holds, `tmp` keeps it for a restart. */
export function holdCommands(
  holds: Holds,
  host: SavedHoldsHost,
  tmp: string,
): Pick<Updater, 'hold' | 'release'> {
  const { log } = host;
  const save = () => saveHolds(host, tmp, holds.leases());
  return {
    hold: async (request) => {
      const hold = holds.hold(request);
      log.info(`updates are held by ${hold.owner} until ${hold.expires_at}: ${hold.reason}`);
      await save();
      return holds.current();
    },
    release: async (owner) => {
      if (holds.release(owner)) log.info(`${owner} holds updates no more`);
      await save();
      return holds.current();
    },
  };
}
