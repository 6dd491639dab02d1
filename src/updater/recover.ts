/**
 * What a start does with what it finds: the decision table of self-healing (spec section 6, FR-024..026, FR-036). Pure.
 *
 *     journal                    saved stage   starts  decision
 *     damaged                    any           any     block: nothing is touched, a person must look
 *     committed                  any           any     forward (tidying only)
 *     undoing, undone, with why  any           any     undo (finish it)
 *     undoing, undone, without   installing    < 3     undo, then install again
 *     undoing, undone, without   else          any     undo
 *     switching .. handover      installing    < 3     forward: finish the switch, start, check, commit
 *     switching .. handover      else          any     undo
 *     staging, staged, stopping  installing    < 3     undo, then install again
 *     staging, staged, stopping  else          any     undo
 *     none, and a fallback       any           -       rest: prove.ts takes the update back that brought what has failed
 *     none                       downloading   -       download on (also verifying: the bytes are hashed anew)
 *     none                       verifying     -       download on
 *     none                       toInstall     -       wait, or expire after 24 h
 *     none                       installing    < 3     install again
 *     none                       installing    >= 3    fail
 *     none                       failed        -       remove the package, keep a partial download, rest
 *     none                       others        -       rest
 *
 * A new updater on trial (deploy/probation.ts): its launcher counts, so that the starts do not, as a power cut ends a start,
 * too. Where it has failed, the journal of the update that brought it is undone, whatever else is found.
 *
 * "installing" is also "rebooting": an install that waits for the machine's restart. "Starts" counts this one, but for the first after a restart that the
 * update asked for itself: the third start that finds the same unfinished install gives it up.
 */
import type { JournalState } from '../deploy/journal.ts';
import { UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Saved } from './store.ts';
import { isExpired, type Moment, verifiedOf } from './waiting.ts';

export interface Found {
  readonly saved: Saved | undefined;
  readonly journal: JournalState | 'none' | 'damaged';
  /** Of the journal's transaction, or of one that is committed; `failed`: this is the updater before it, to take it back. */
  readonly trial: 'none' | 'running' | 'failed';
  /** The journal says why the transaction is undone: that is the operation's end. */
  readonly isEnding: boolean;
  /** Of a damaged journal: what is wrong. */
  readonly damage: string | undefined;
  /** The verified package of the saved update is on the disk. */
  readonly packageThere: boolean;
  readonly now: Moment;
}

export type Decision =
  | { readonly do: 'rest' }
  /** Rest, but a partial download may be taken up by the next /download. */
  | { readonly do: 'restWithPartial' }
  | { readonly do: 'download' }
  | { readonly do: 'wait' }
  | { readonly do: 'expire' }
  | { readonly do: 'install' }
  | { readonly do: 'forward' }
  | { readonly do: 'undo'; readonly error: UpdateError; readonly thenInstall: boolean }
  | { readonly do: 'fail'; readonly error: UpdateError }
  | { readonly do: 'block'; readonly error: UpdateError };

export function decideRecovery(found: Found): Decision {
  switch (found.journal) {
    case 'none':
      return decideWithoutJournal(found);
    case 'damaged':
      return { do: 'block', error: blocked(found.damage ?? '') };
    case 'committed':
      return { do: 'forward' };
    case 'undoing':
    case 'undone':
      return {
        do: 'undo',
        error: found.trial === 'failed' ? condemned() : interrupted(found),
        thenInstall: !found.isEnding && found.trial !== 'failed' && mayGoOn(found),
      };
    case 'switching':
    case 'switched':
    case 'rebooting':
    case 'handover':
      if (found.trial === 'failed') return { do: 'undo', error: condemned(), thenInstall: false };
      return mayGoOn(found) || (found.trial === 'running' && isInstalling(found))
        ? { do: 'forward' }
        : { do: 'undo', error: interrupted(found), thenInstall: false };
    case 'staging':
    case 'staged':
    case 'stopping':
      return { do: 'undo', error: interrupted(found), thenInstall: mayGoOn(found) };
    default:
      return found.journal satisfies never;
  }
}

function decideWithoutJournal(found: Found): Decision {
  const { saved } = found;
  if (saved === undefined) return { do: 'rest' };
  // The update that brought what has failed is taken back first (prove.ts), whatever it was about.
  if (found.trial === 'failed') return { do: saved.operation === 'update' ? 'restWithPartial' : 'rest' };
  switch (saved.stage) {
    case 'success':
    case 'rebooting':
      return { do: 'rest' };
    case 'idle':
    case 'failed':
      return { do: saved.operation === 'update' ? 'restWithPartial' : 'rest' };
    case 'downloading':
    case 'verifying':
      return { do: saved.operation === 'update' ? 'download' : 'rest' };
    case 'toInstall': {
      if (saved.operation === 'update' && isExpired(verifiedOf(saved), found.now)) return { do: 'expire' };
      if (found.packageThere) return { do: 'wait' };
      return {
        do: 'fail',
        error: new UpdateError('DOWNLOAD_INCOMPLETE', 'the verified package is gone; download it again'),
      };
    }
    case 'installing':
      return mayGoOn(found) ? { do: 'install' } : { do: 'fail', error: interrupted(found) };
    default:
      return saved.stage satisfies never;
  }
}

function mayGoOn(found: Found): boolean {
  return isInstalling(found) && (found.saved?.install_starts ?? 0) < limits.installStarts;
}

function isInstalling({ saved }: Found): boolean {
  return saved?.stage === 'installing' || saved?.stage === 'rebooting';
}

/** What is told where a new updater has failed its probation. */
export function condemned(): UpdateError {
  return new UpdateError(
    'HEALTH_CHECK_FAILED',
    'the new updater ended or hung too often before it had proven itself: the one before runs again and takes its update back',
  );
}

function interrupted({ saved }: Found): UpdateError {
  const starts = saved?.install_starts ?? 0;
  return new UpdateError(
    'DEPLOYMENT_FAILED',
    `the install was interrupted${starts > 1 ? ` ${starts} times` : ''} and has been undone`,
  );
}

function blocked(damage: string): UpdateError {
  return new UpdateError(
    'DEPLOYMENT_FAILED',
    `the journal backups/journal is damaged (${damage}): nothing is touched and updates are refused until it is looked at and removed`,
  );
}
