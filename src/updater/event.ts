/** What the state machine works on: its states, the events that move it, the effects it asks for. Types only. */

import type { PackageRequest } from '../download/request.ts';
import type { UpdateError } from '../errors.ts';
import type { BootTime } from '../host/host.ts';
import type { Notes } from '../notes.ts';
import type { Seal } from '../seal.ts';
import type { Stage } from './state.ts';

export interface UpdateOperation {
  readonly kind: 'update';
  readonly request: PackageRequest;
  /** Both null until the package was verified. */
  readonly verifiedMs: number | null;
  readonly seal: Seal | null;
  /** Of the package, once it was verified. */
  readonly notes?: Notes | undefined;
  /** When that was, in the boot's own time; undefined: an updater of before did it. */
  readonly verifiedBoot?: BootTime | undefined;
  /** The fleet's order that brought it; null: a caller on the device. */
  readonly action: string | null;
}

export type Operation =
  | UpdateOperation
  | {
      readonly kind: 'rollback';
      readonly version: string | null;
      /** Nobody asked for it: what the device is told as the end of it, in place of success. */
      readonly because?: UpdateError | undefined;
    }
  | { readonly kind: 'repair' };

export interface State {
  readonly stage: Stage;
  /** What is being done, waits, or rests as a partial download; null: nothing is known of any package. */
  readonly operation: Operation | null;
  /** True once files are being switched: from then on nothing is cancelled. */
  readonly switching: boolean;
  readonly error: UpdateError | null;
  /** Why updates are refused altogether (damaged journal); null: they are not. */
  readonly blocked: string | null;
}

/** Of a download that the fleet's server orders. */
export interface FleetOffer {
  readonly action: string;
  readonly nowMs: number;
  readonly boot?: BootTime;
}

export type Event =
  | { readonly kind: 'download'; readonly request: PackageRequest; readonly from?: FleetOffer }
  | { readonly kind: 'update'; readonly version: string }
  | { readonly kind: 'cancel' }
  | { readonly kind: 'rollback'; readonly version: string | null; readonly because?: UpdateError }
  /** A new updater that an installer brought has failed, and the one before stands there again. */
  | { readonly kind: 'fellBack'; readonly error: UpdateError }
  | { readonly kind: 'repair' }
  | { readonly kind: 'downloaded' }
  | { readonly kind: 'downloadingAgain' }
  | {
      readonly kind: 'verified';
      readonly nowMs: number;
      readonly boot?: BootTime;
      readonly seal: Seal;
      readonly notes?: Notes | undefined;
    }
  /** It is verified, and cannot be installed here. */
  | {
      readonly kind: 'refused';
      readonly nowMs: number;
      readonly boot?: BootTime;
      readonly seal: Seal;
      readonly error: UpdateError;
    }
  | { readonly kind: 'expired' }
  | { readonly kind: 'switching' }
  | { readonly kind: 'rebooting' }
  /** `because`: nobody asked for it; its end is told as this. */
  | { readonly kind: 'committed'; readonly because?: UpdateError | undefined }
  | { readonly kind: 'failed'; readonly error: UpdateError }
  | { readonly kind: 'successShown' };

/**
 * enter: the new state counts, and is told. What comes before it may still fail, and nothing has changed then.
 * save/forget: state.json written (as the new state) or removed. discardPackage: package and partial file of the state before removed.
 * forgetPartial: what is known of a partial download counts no more; firstStart: no start of the daemon has begun this install.
 * start...: the job of the new stage begins. stopJob: the running job is aborted, waited for and heard no more;
 * abortJob: it is aborted and ends by an event of its own.
 */
export type Effect =
  | 'enter'
  | 'save'
  | 'forget'
  | 'discardPackage'
  | 'forgetPartial'
  | 'firstStart'
  | 'stopJob'
  | 'abortJob'
  | 'startDownload'
  | 'startInstall'
  | 'startRollback'
  | 'startRepair'
  | 'armExpiry'
  | 'armIdle';

export interface Step {
  readonly state: State;
  readonly effects: readonly Effect[];
}
