/**
 * The order of a transaction: stage, back up, stop, switch, start, check, commit; or undo. Every step lives in
 * deploy/ and services/; what is durable before which step is decided here and nowhere else (see deploy/journal.ts).
 *
 * Invariants: the journal's record is durable before the step it announces; once `switching` is written the set is
 * made all new or all old, whatever fails; the journal goes last, when all that it guards is durable.
 */
import * as v from 'valibot';
import { saveBackups } from '../deploy/backup.ts';
import type { Journal } from '../deploy/journal.ts';
import { beginJournal, continueJournal, type JournalFile, journalPath } from '../deploy/journal-file.ts';
import { dropRecords, prunePastUpdates, recordPath } from '../deploy/past-updates.ts';
import { fileSteps, type Plan, stagedPath } from '../deploy/plan.ts';
import { makeDirectories, syncStaged } from '../deploy/stage.ts';
import { switchTargets } from '../deploy/switch.ts';
import { discardStaged, restoreTargets } from '../deploy/undo.ts';
import { asUpdateError, UpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { checkHealth } from '../services/health.ts';
import { captureServices, startServices, stopServices } from '../services/services.ts';
import { type ServiceSnapshot, ServiceSnapshotsSchema } from '../services/snapshot.ts';

export interface TransactionContext {
  readonly host: Host;
  readonly backupDirectory: string;
  /** Aborted with an UpdateError: the transaction is undone if nothing was switched yet, else it goes on. */
  readonly cancel: AbortSignal;
  /** Aborted: ends at the next point a later start can go on from. */
  readonly shutdown: AbortSignal;
  /** 0-100. */
  readonly progress: (percent: number, message: string) => void;
  /** From here on it cannot be cancelled. */
  readonly onSwitching: () => void;
  /** Durable bookkeeping of the end (history, state, last report), before the journal goes. Must be repeatable. */
  readonly onEnd: (plan: Plan, error: UpdateError | null) => Promise<void>;
}

export type Outcome =
  | { readonly kind: 'committed' }
  | { readonly kind: 'undone'; readonly error: UpdateError }
  /** The daemon is to stop; the journal tells the next start where to go on. */
  | { readonly kind: 'interrupted' }
  /** Neither finished nor undone: the journal stays, and with it the next start's or update's duty to undo. */
  | { readonly kind: 'stuck'; readonly error: UpdateError };

/** Runs a planned transaction; `stage` fills the staged files. Throws only where nothing was begun. */
export async function runTransaction(
  context: TransactionContext,
  plan: Plan,
  stage: () => Promise<void>,
): Promise<Outcome> {
  const { host, backupDirectory } = context;
  const journal = await attempt('beginning the journal', () => beginJournal(host, backupDirectory, plan));
  let services: readonly ServiceSnapshot[] = [];
  try {
    await makeDirectories(host, plan);
    await stage();
    stopIfAsked(context);
    await syncStaged(host, plan);
    context.progress(91, 'saving backups');
    await saveBackups(host, backupDirectory, plan);
    await journal.append({ state: 'staged' });
    stopIfAsked(context);
    services = await captureServices(host, plan.services);
    await journal.append({ state: 'stopping', services });
    context.progress(93, 'stopping services');
    await stopServices(host, services);
    stopIfAsked(context);
    context.onSwitching();
    await journal.append({ state: 'switching' });
  } catch (thrown) {
    return withdraw(
      context,
      plan,
      journal,
      services,
      asUpdateError(thrown, 'DEPLOYMENT_FAILED', 'preparing the update'),
    );
  }
  return finish(context, plan, journal, services, 'stopped');
}

/** Goes on with a transaction that an earlier run left: forward to its commit. */
export async function resumeForward(context: TransactionContext, found: Journal): Promise<Outcome> {
  const journal = await continueJournal(context.host.files, context.backupDirectory, found);
  const services = v.parse(ServiceSnapshotsSchema, found.services ?? []);
  context.onSwitching();
  if (found.state === 'committed') return tidyCommitted(context, found.plan, journal);
  return finish(
    context,
    found.plan,
    journal,
    services,
    found.state === 'switched' ? 'switched' : 'switching',
  );
}

/** Takes a transaction back that an earlier run left; `error` is why, unless the journal knows. */
export async function resumeUndo(
  context: TransactionContext,
  found: Journal,
  error: UpdateError,
): Promise<Outcome> {
  const { host } = context;
  const journal = await continueJournal(host.files, context.backupDirectory, found);
  const services = v.parse(ServiceSnapshotsSchema, found.services ?? []);
  const why = found.error === undefined ? error : UpdateError.parse(found.error);
  if (found.state === 'undone') return tidyUndone(context, found.plan, journal, services, why);
  if (await nothingSwitched(host, found)) return withdraw(context, found.plan, journal, services, why);
  return undo(context, found.plan, journal, services, why);
}

/** From stopped services (or where an earlier run was cut) to the commit. */
async function finish(
  context: TransactionContext,
  plan: Plan,
  journal: JournalFile,
  services: readonly ServiceSnapshot[],
  from: 'stopped' | 'switching' | 'switched',
): Promise<Outcome> {
  const { host } = context;
  try {
    if (from !== 'stopped') await stopServices(host, services); // what runs now may run old files
    if (from !== 'switched') {
      context.progress(94, 'replacing files');
      await switchTargets(host, plan);
      await journal.append({ state: 'switched' });
    }
    context.progress(95, 'starting services');
    await startServices(host, services, 'new', { signal: context.shutdown });
    context.progress(97, 'checking health');
    await checkHealth(host, plan.services, context.shutdown);
    await journal.append({ state: 'committed' });
  } catch (thrown) {
    if (context.shutdown.aborted) {
      await journal.close();
      return { kind: 'interrupted' };
    }
    return undo(context, plan, journal, services, asUpdateError(thrown, 'DEPLOYMENT_FAILED', 'installing'));
  }
  return tidyCommitted(context, plan, journal);
}

/** Nothing has been switched: the staged files go, the services come back. */
async function withdraw(
  context: TransactionContext,
  plan: Plan,
  journal: JournalFile,
  services: readonly ServiceSnapshot[],
  error: UpdateError,
): Promise<Outcome> {
  try {
    await journal.append({ state: 'undone', error: error.message });
  } catch (thrown) {
    return stuck(
      context,
      journal,
      services,
      asUpdateError(thrown, 'ROLLBACK_FAILED', `${error.message}; then the journal`),
    );
  }
  return tidyUndone(context, plan, journal, services, error);
}

async function undo(
  context: TransactionContext,
  plan: Plan,
  journal: JournalFile,
  services: readonly ServiceSnapshot[],
  error: UpdateError,
): Promise<Outcome> {
  const { host } = context;
  host.log.error(`${error.message}; everything is put back`);
  context.progress(97, 'putting everything back');
  try {
    await journal.append({ state: 'undoing', error: error.message });
    await stopServices(host, services).catch((thrown: unknown) =>
      host.log.error(`before undoing: ${text(thrown)}`),
    );
    // Once more before giving up: a passing fault must not leave the device between two versions.
    await restoreTargets(host, plan).catch(() => restoreTargets(host, plan));
    await journal.append({ state: 'undone', error: error.message });
  } catch (thrown) {
    return stuck(
      context,
      journal,
      services,
      asUpdateError(thrown, 'ROLLBACK_FAILED', `${error.message}; then undoing`),
    );
  }
  return tidyUndone(context, plan, journal, services, error);
}

async function stuck(
  context: TransactionContext,
  journal: JournalFile,
  services: readonly ServiceSnapshot[],
  error: UpdateError,
): Promise<Outcome> {
  await startOld(context, services);
  await journal.close();
  return { kind: 'stuck', error };
}

async function tidyCommitted(
  context: TransactionContext,
  plan: Plan,
  journal: JournalFile,
): Promise<Outcome> {
  await tidy(context, journal, async (files, directory) => {
    await context.onEnd(plan, null);
    if (plan.kind === 'update') {
      await files.rename(journalPath(directory), recordPath(directory, plan.id));
      await files.syncDirectory(directory);
      await prunePastUpdates(files, directory);
    } else {
      await dropRecords(files, directory, plan.consumes);
      await prunePastUpdates(files, directory);
      await removeJournal(files, directory);
    }
  });
  return { kind: 'committed' };
}

async function tidyUndone(
  context: TransactionContext,
  plan: Plan,
  journal: JournalFile,
  services: readonly ServiceSnapshot[],
  error: UpdateError,
): Promise<Outcome> {
  await startOld(context, services);
  await tidy(context, journal, async (files, directory) => {
    await discardStaged(context.host, plan);
    await context.onEnd(plan, error);
    await prunePastUpdates(files, directory);
    await removeJournal(files, directory);
  });
  return { kind: 'undone', error };
}

/** What is left to do when the outcome stands. A failure is logged: the journal stays and the next start repeats it. */
async function tidy(
  context: TransactionContext,
  journal: JournalFile,
  work: (files: Host['files'], backupDirectory: string) => Promise<void>,
): Promise<void> {
  const { host, backupDirectory } = context;
  try {
    await journal.close();
    await work(host.files, backupDirectory);
  } catch (thrown) {
    host.log.error(`tidying up after the transaction, repeated at the next start: ${text(thrown)}`);
  }
}

async function removeJournal(files: Host['files'], backupDirectory: string): Promise<void> {
  await files.remove(journalPath(backupDirectory));
  await files.syncDirectory(backupDirectory);
}

async function startOld(context: TransactionContext, services: readonly ServiceSnapshot[]): Promise<void> {
  try {
    await startServices(context.host, services, 'old', { signal: context.shutdown });
  } catch (thrown) {
    if (context.shutdown.aborted) return; // started, only not watched
    context.host.log.error(`restarting the old services: ${text(thrown)}`);
  }
}

/**
 * True where the journal proves that no target was touched. Its last record may have been lost to bad flash, so the
 * disk has a say too: a staged file that is missing was switched, a file to remove that is missing was removed.
 */
async function nothingSwitched(host: Host, found: Journal): Promise<boolean> {
  if (found.state === 'staging') return true;
  if (found.state !== 'staged' && found.state !== 'stopping') return false;
  for (const step of fileSteps(found.plan)) {
    const untouched = step.kind === 'put' ? stagedPath(step) : step.target;
    if ((await host.files.stat(untouched)) === undefined) return false;
  }
  return true;
}

function stopIfAsked(context: TransactionContext): void {
  context.cancel.throwIfAborted();
  context.shutdown.throwIfAborted();
}

async function attempt<T>(what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (thrown) {
    throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', what);
  }
}

function text(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
