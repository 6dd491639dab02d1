/**
 * The order of a transaction: stage, back up, stop, switch, start, check, commit; or undo. What is durable before which step is
 * decided here and nowhere else (deploy/journal.ts): the record before a step that changes a target, and before services run
 * that may change what was just put there; once `switching` is written the set is made all new or all old, whatever fails; the
 * journal goes last.
 */
import * as v from 'valibot';
import { retakeBackups, saveBackups } from '../deploy/backup.ts';
import { refuseOneFile } from '../deploy/folded.ts';
import type { Journal, JournalRecord } from '../deploy/journal.ts';
import { beginJournal, continueJournal } from '../deploy/journal-file.ts';
import { type Plan, stagedDirectories } from '../deploy/plan.ts';
import { withPlanGroup } from '../deploy/plan-group.ts';
import { makeDirectories, stageLinks } from '../deploy/stage.ts';
import { switchTargets } from '../deploy/switch.ts';
import { restoreTargets } from '../deploy/undo.ts';
import { isUntouched } from '../deploy/untouched.ts';
import { asUpdateError, errorText, UpdateError } from '../errors.ts';
import type { WriteGroup } from '../host/write-group.ts';
import { limits } from '../limits.ts';
import { checkHealth } from '../services/health.ts';
import { captureServices, startServices, stopServices } from '../services/services.ts';
import { type ServiceSnapshot, ServiceSnapshotsSchema } from '../services/snapshot.ts';
import {
  changesEnablement,
  endCommandsOf,
  runPlannedCommands,
  syncMachine,
  undoPlannedCommands,
} from './commands.ts';
import { prepared } from './preparation.ts';
import { restartMachine } from './reboot.ts';
import { beginProbation, mustHandOver, proveServing, trySelf } from './self-update.ts';
import { type ChangedServices, changedServices } from './service-changes.ts';
import { startCaptured, tidyCommitted, tidyUndone, withStartFailure } from './tidy.ts';
import type { Outcome, Run, TransactionContext } from './transaction-context.ts';

/** How services ran when earlier updates were made: see CaptureOptions. */
export interface PastServices {
  readonly known?: readonly ServiceSnapshot[];
  readonly earlier?: readonly ServiceSnapshot[];
}

/** Runs a planned transaction; `stage` fills the staged files. Throws only where nothing was begun. */
export async function runTransaction(
  context: TransactionContext,
  plan: Plan,
  stage: (group: WriteGroup) => Promise<void>,
  past: PastServices = {},
): Promise<Outcome> {
  const { host, backupDirectory } = context;
  const journal = await attempt('beginning the journal', () => beginJournal(host, backupDirectory, plan));
  let run: Run = { context, plan, journal, services: [], begun: { commands: 0 } };
  try {
    const services = await prepared(host.clock, 'making directories', async ({ begin, bounded }) => {
      await makeDirectories(host, plan);
      begin('staging');
      await withPlanGroup(host.files, plan, [backupDirectory], 'DEPLOYMENT_FAILED', async (group) => {
        await stageLinks(host, plan);
        await bounded(stage(group));
        await refuseOneFile(host.files, plan);
        begin('saving backups');
        stopIfAsked(context);
        context.progress(91, 'saving backups');
        const saved = await saveBackups(host, backupDirectory, plan, group);
        begin('making what was written durable');
        return [...saved, ...stagedDirectories(plan)];
      });
      begin('looking at the services');
      stopIfAsked(context);
      await trySelf(host, plan);
      const { target, before } = servicesOf(context, plan);
      return captureServices(host, target, { ...past, before });
    });
    run = { ...run, services };
    await journal.note({ state: 'stopping', services });
    context.progress(93, 'stopping services');
    await stopServices(host, services, { signal: context.shutdown });
    stopIfAsked(context);
    if (services.length > 0) await retakeBackups(host, backupDirectory, plan, false);
    context.onSwitching();
    await beginProbation(context, plan);
    await journal.append({ state: 'switching' });
  } catch (thrown) {
    return withdraw(run, asUpdateError(thrown, 'DEPLOYMENT_FAILED', 'preparing the update'));
  }
  return finish(run, 'stopped');
}

/** Goes on with a transaction that an earlier run left: forward to its commit. */
export async function resumeForward(context: TransactionContext, found: Journal): Promise<Outcome> {
  const run = await takeUp(context, found);
  context.onSwitching();
  if (found.state === 'committed') return tidyCommitted(run, true);
  return finish(run, await whereToGoOn(context, found));
}

/** Takes a transaction back that an earlier run left; `error` is why, unless the journal knows. */
export async function resumeUndo(
  context: TransactionContext,
  found: Journal,
  error: UpdateError,
): Promise<Outcome> {
  const run = await takeUp(context, found);
  const why = found.error === undefined ? error : UpdateError.parse(found.error);
  if (found.state === 'undone') return tidyUndone(run, why);
  if (await isUntouched(context.host, found)) return withdraw(run, why);
  return undo(run, why);
}

async function takeUp(context: TransactionContext, found: Journal): Promise<Run> {
  const open = () => continueJournal(context.host.files, context.backupDirectory, found);
  const journal = await open().catch(open); // once more: a passing fault must not cost the recovery
  const run: Run = {
    context,
    plan: found.plan,
    journal,
    services: v.parse(ServiceSnapshotsSchema, found.services ?? []),
    begun: { commands: found.begun },
  };
  if (context.isImage !== true) await endCommandsOf(run);
  return run;
}

/** Where finish() goes on; `rebooted`: all is switched, the machine has restarted; `handedOver`: the updater before has checked everything. */
type From = 'stopped' | 'switching' | 'switched' | 'rebooted' | 'handedOver';

async function whereToGoOn({ host }: TransactionContext, found: Journal): Promise<From> {
  if (found.state === 'rebooting') {
    return (await host.processes.bootId()) === found.bootId ? 'switched' : 'rebooted';
  }
  if (found.state === 'handover') return 'handedOver';
  return found.state === 'switched' ? 'switched' : 'switching';
}

/** From stopped services (or where an earlier run was cut) to the commit. */
async function finish(run: Run, from: From): Promise<Outcome> {
  const { context, plan, journal } = run;
  const { shutdown } = context;
  let reached: Reached = 'not committed';
  try {
    if (from === 'handedOver') await checkHandedOver(run);
    else await activate(run, from);
    if (await mustHandOver(context, plan)) {
      context.progress(98, 'restarting the updater');
      // Where a power cut takes it, the new one starts from the switch, and checks all of it itself.
      if (from !== 'handedOver') await journal.note({ state: 'handover' });
      await journal.close();
      context.executable?.end();
      return { kind: 'interrupted' };
    }
    if (changesEnablement(run)) await syncMachine(run);
    if (plan.self !== undefined) await proveServing(context);
    reached = 'maybe committed';
    await journal.append({ state: 'committed' });
  } catch (thrown) {
    if (!shutdown.aborted)
      return undo(run, asUpdateError(thrown, 'DEPLOYMENT_FAILED', 'installing'), reached);
    await journal.close();
    return { kind: 'interrupted' };
  }
  return tidyCommitted(run);
}

/** None where there is no device to run them. */
function servicesOf({ isImage }: TransactionContext, plan: Plan): ChangedServices {
  return isImage === true ? { target: [], before: [] } : changedServices(plan);
}

/** Switches what is not switched yet, and brings the services of the new set up. */
async function activate(run: Run, from: Exclude<From, 'handedOver'>): Promise<void> {
  const { context, plan, journal, services } = run;
  const { host, shutdown, outputDirectory } = context;
  if (from !== 'stopped') await stopServices(host, services, { signal: shutdown }); // what runs now may run old files
  if (from === 'switching' && services.length > 0)
    await retakeBackups(host, context.backupDirectory, plan, true);
  if (from === 'stopped' || from === 'switching') {
    context.progress(94, 'replacing files');
    await switchTargets(host, plan);
    await journal.append({ state: 'switched' });
  }
  // Before a restart of the machine, too: the boot that comes starts the services by itself.
  if (from !== 'rebooted' && context.isImage !== true) await runPlannedCommands(run);
  if (plan.reboot && context.isImage !== true && from !== 'rebooted') await restartMachine(context, journal);
  context.progress(95, 'starting services');
  const { target } = servicesOf(context, plan);
  const isNew = plan.kind === 'update';
  await startServices(host, services, 'target', { signal: shutdown, ready: target, outputDirectory, isNew });
  context.progress(97, 'checking health');
  await checkHealth(host, target, shutdown);
}

/** Once more what the updater before has checked already, so it needs no long time: its launcher would take it for stuck. */
async function checkHandedOver({ context, plan }: Run): Promise<void> {
  const { host, shutdown } = context;
  context.progress(98, 'checking health');
  const timeout = new AbortController();
  const cancel = host.clock.after(limits.selfHealthMs, () =>
    timeout.abort(new UpdateError('HEALTH_CHECK_FAILED', 'the services are not healthy any more')),
  );
  const { target } = servicesOf(context, plan);
  await checkHealth(host, target, AbortSignal.any([shutdown, timeout.signal])).finally(cancel);
}

/** Nothing has been switched: the staged files go, the services come back. */
async function withdraw(run: Run, error: UpdateError): Promise<Outcome> {
  try {
    await announceUndo(run, undoRecord(run, 'undone', error));
  } catch (thrown) {
    return stuck(run, asUpdateError(thrown, 'ROLLBACK_FAILED', `${error.message}; then the journal`));
  }
  return tidyUndone(run, error);
}

/** `maybe committed`: the disk may hold a commit whose fsync failed, so that only a record over it may announce an undo. */
type Reached = 'not committed' | 'maybe committed';

async function undo(run: Run, error: UpdateError, reached: Reached = 'not committed'): Promise<Outcome> {
  const { context, plan, journal, services } = run;
  const { host } = context;
  host.log.error(`${error.message}; everything is put back`);
  context.progress(97, 'putting everything back');
  let told: UpdateError;
  try {
    const record = undoRecord(run, 'undoing', error);
    if (reached === 'maybe committed') await journal.append(record);
    else await announceUndo(run, record);
    const stop = (when: string) =>
      stopServices(host, services, { signal: context.shutdown, towards: 'captured' }).catch(
        (thrown: unknown) => host.log.error(`${when} undoing: ${errorText(thrown)}`),
      );
    await stop('before');
    // Once more before giving up: a passing fault must not leave the device between two versions.
    const unrestored = await restoreTargets(host, plan).catch(() => restoreTargets(host, plan));
    await stop('after'); // what something else has started meanwhile may run files of both sets
    told = withFailures(error, unrestored, await undoPlannedCommands(run));
  } catch (thrown) {
    if (thrown === context.shutdown.reason) {
      await journal.close();
      return { kind: 'interrupted' };
    }
    return stuck(run, asUpdateError(thrown, 'ROLLBACK_FAILED', `${error.message}; then undoing`));
  }
  await journal
    .append(undoRecord(run, 'undone', told))
    .catch((thrown: unknown) =>
      host.log.error(`all is put back, a next start will look once more: ${errorText(thrown)}`),
    );
  return tidyUndone(run, told);
}

/** What has failed on the way back belongs to the one error that is reported. `unrestored`: what somebody has taken away. */
function withFailures(
  error: UpdateError,
  unrestored: UpdateError | undefined,
  failures: readonly string[],
): UpdateError {
  if (unrestored !== undefined)
    return new UpdateError(
      'ROLLBACK_FAILED',
      [`${error.message}; then undoing: ${unrestored.message}`, ...failures].join('; '),
    );
  if (failures.length === 0) return error;
  return UpdateError.parse(`${error.message}; then, all is put back, ${failures.join('; ')}`);
}

/** The reason stands in the record of an end only: where there is none, a start that finds it tries again. */
function undoRecord({ context }: Run, state: 'undoing' | 'undone', error: UpdateError): JournalRecord {
  return context.goesOn() ? { state } : { state, error: error.message };
}

/** Makes it durable that a start goes back: by a record, or, on a full disk that copies on write, by removing state.json. */
async function announceUndo({ context, journal }: Run, record: JournalRecord): Promise<void> {
  try {
    await journal.append(record);
  } catch (thrown) {
    context.host.log.error(`the journal takes no record, state.json goes instead: ${errorText(thrown)}`);
    await context.forget();
  }
}

async function stuck(run: Run, error: UpdateError): Promise<Outcome> {
  const failure = await startCaptured(run);
  await run.journal.close();
  return { kind: 'stuck', error: withStartFailure(error, failure) };
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
