/** What the history says: what is installed, and what a rollback would take back. Pure. */
import type { Past } from './wire.ts';

/** The newest that succeeded, which tells the installed version. `past`: newest first. */
export function installed(past: readonly Past[]): Past | undefined {
  return past.filter(({ outcome }) => outcome === 'success')[0];
}

/** The update that a rollback would take back: the newest that no rollback has taken back already. */
export function toTakeBack(past: readonly Past[]): Past | undefined {
  let taken = 0;
  return past.filter(({ outcome, kind }) => {
    if (outcome !== 'success' || kind === 'repair') return false;
    if (kind !== 'rollback') return taken-- <= 0;
    taken += 1;
    return false;
  })[0];
}

/** The version of the updater, where it is another than at the entry before; `past`: newest first. */
export function newUpdater(past: readonly Past[], index: number): string | undefined {
  const now = past[index]?.updater;
  const before = past.slice(index + 1).filter(({ updater }) => updater)[0]?.updater;
  return before && now !== before ? now : undefined;
}

/** While nothing is installed there is no version; entries of 0.1.0 say 0.0.0 then. */
export function isKnown(version: string | null | undefined): version is string {
  return Boolean(version) && version !== '0.0.0';
}
