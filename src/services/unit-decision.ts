/** Whether a unit is started, by what it was and what is wanted: the decision table of docs/services.md. Pure. */
import type { UnitBefore, WhichSet } from './snapshot.ts';

export interface UnitQuestion {
  /** As it was before it was stopped; of a rollback: as it was when the older version ran. Undefined: nobody looked (0.1.0). */
  readonly before: UnitBefore | undefined;
  /** LoadState after the switch. */
  readonly loadNow: string;
  /** The manifest says `"enable": true`. */
  readonly enable: boolean;
  readonly set: WhichSet;
}

export type UnitDecision =
  | { readonly do: 'start' }
  /** It stays as it was; `why` is for the log, which warns where nobody can have meant it. */
  | { readonly do: 'leave'; readonly why: string; readonly warns: boolean }
  | { readonly do: 'fail'; readonly why: string };

export function decideUnit({ before, loadNow, enable, set }: UnitQuestion): UnitDecision {
  const wasUp =
    before === undefined || isUp(before.active) || (set === 'target' && before.active === 'failed');
  if (loadNow === 'masked') {
    if (set === 'target' && enable) return { do: 'fail', why: 'is masked, and the manifest enables it' };
    return leave('is masked', before !== undefined && isUp(before.active));
  }
  if (loadNow === 'not-found') {
    if (set === 'target' && enable) return { do: 'fail', why: 'does not exist, and the manifest enables it' };
    if (before?.load === 'loaded' && wasUp) return { do: 'fail', why: 'is not there any more' };
    return leave('does not exist', true);
  }
  if (set === 'target' && enable) return { do: 'start' };
  if (before?.load === 'not-found') return set === 'target' ? { do: 'start' } : leave('was not there', false);
  return wasUp ? { do: 'start' } : leave('was stopped before', false);
}

/** `activating` is also a unit that crashes and is started again and again. */
export function isUp(activeState: string | undefined): boolean {
  return activeState === 'active' || activeState === 'activating' || activeState === 'reloading';
}

function leave(why: string, warns: boolean): UnitDecision {
  return { do: 'leave', why, warns };
}
