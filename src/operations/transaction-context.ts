/** What a transaction is given and what comes of it. Types only. */
import type { JournalFile } from '../deploy/journal-file.ts';
import type { Plan } from '../deploy/plan.ts';
import type { OwnExecutable } from '../deploy/probation.ts';
import type { UpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import type { ServiceSnapshot } from '../services/snapshot.ts';

/** How far the work at hand is, in bytes, and what it is at. */
export interface Counted {
  readonly bytes: number;
  readonly totalBytes: number;
  readonly module?: string | undefined;
}

export interface TransactionContext {
  readonly host: Host;
  readonly backupDirectory: string;
  /** See Settings. */
  readonly ownPaths: readonly string[];
  /** See Settings. */
  readonly executable?: OwnExecutable | undefined;
  /** Where the output of restarted programs goes; undefined: nowhere. */
  readonly outputDirectory?: string | undefined;
  /** The tree is no running device: its services, commands and restart are left out, and what is written has no chance in it. */
  readonly isImage?: true;
  /** Aborted with an UpdateError: the transaction is undone if nothing was switched yet, else it goes on. */
  readonly cancel: AbortSignal;
  /** Aborted: ends at the next point a later start can go on from. */
  readonly shutdown: AbortSignal;
  /** `percent` 0-100; `message` undefined: as before. */
  readonly progress: (percent: number, message?: string, counted?: Counted) => void;
  /** From here on it cannot be cancelled. */
  readonly onSwitching: () => void;
  /** Everything is switched and the machine is about to restart; durable when it resolves. */
  readonly onRebooting: () => Promise<void>;
  /** Forgets the operation in state.json, durably: a start that finds a journal not committed takes it back then. */
  readonly forget: () => Promise<void>;
  /** Whether an undo is no end: the operation is tried again, at once or at the next start, and nobody is told. */
  readonly goesOn: () => boolean;
  /** Durable bookkeeping of the end (history, state, last report), before the journal goes. Must be repeatable. */
  readonly onEnd: (plan: Plan, error: UpdateError | null) => Promise<void>;
}

/** A transaction under way. */
export interface Run {
  readonly context: TransactionContext;
  readonly plan: Plan;
  readonly journal: JournalFile;
  /** As they were before they were stopped; empty until then. */
  readonly services: readonly ServiceSnapshot[];
  /** So many of the plan's commands have begun, also in the lives before; counted up while they run. */
  readonly begun: { commands: number };
}

export type Outcome =
  | { readonly kind: 'committed' }
  | { readonly kind: 'undone'; readonly error: UpdateError }
  /** The daemon is to stop; the journal tells the next start where to go on. */
  | { readonly kind: 'interrupted' }
  /** Neither finished nor undone: the journal stays, and with it the next start's or update's duty to undo. */
  | { readonly kind: 'stuck'; readonly error: UpdateError };
