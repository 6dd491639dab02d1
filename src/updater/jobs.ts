/** The jobs: a download, an install, a rollback, the end of what an earlier run began. Each gives its last event; undefined: the daemon stops. */

import { posix } from 'node:path';
import type { AuditReport } from '../audit/audit-report.ts';
import { addToHistory, entryOfPlan } from '../deploy/history-file.ts';
import { installedVersion } from '../deploy/installed-version.ts';
import type { Journal } from '../deploy/journal.ts';
import { latestId } from '../deploy/past-updates.ts';
import { nextId } from '../deploy/update-id.ts';
import { obtainPackage } from '../download/obtain.ts';
import type { PackageRequest } from '../download/request.ts';
import type { ResumeInfo } from '../download/resume.ts';
import type { Traffic } from '../download/traffic.ts';
import type { VerifiedPackage } from '../download/verify.ts';
import { asUpdateError, errorText, type UpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import type { Notes } from '../notes.ts';
import { type EarlyPlan, planEarly } from '../operations/early-plan.ts';
import { downloadedAt, installPackage } from '../operations/install.ts';
import { prepared } from '../operations/preparation.ts';
import { repair } from '../operations/repair.ts';
import { rollBack } from '../operations/rollback.ts';
import { resumeForward, resumeUndo } from '../operations/transaction.ts';
import type { Outcome, TransactionContext } from '../operations/transaction-context.ts';
import type { Settings } from '../settings.ts';
import { candidatesFor } from './candidates.ts';
import type { Event, Operation } from './event.ts';
import type { Holds } from './hold.ts';
import { toldBecause } from './lookups.ts';
import type { ProgressKeeper } from './progress.ts';
import type { Decision } from './recover.ts';
import { readLeftoverJournal } from './startup.ts';
import { mayDowngrade, momentOf } from './waiting.ts';

export interface JobContext {
  readonly host: Host;
  readonly settings: Settings;
  readonly tmp: string;
  readonly backups: string;
  readonly cancel: AbortSignal;
  readonly shutdown: AbortSignal;
  readonly progress: ProgressKeeper;
  readonly holds: Holds;
  readonly publishAudit: (report: AuditReport) => Promise<void>;
  /** Applies an event in mid-job; rejects where the job is stopped meanwhile. */
  emit(event: Event): Promise<void>;
  /** Applies the last event, whatever happens around: it is durable when it resolves. */
  end(event: Event): Promise<void>;
  /** The last event has been applied. */
  hasEnded(): boolean;
  /** Files are switched from here on. */
  switching(): void;
  /** The plan that was made for the package that waits: kept until it is taken, or the package goes. */
  readonly early: { plan: EarlyPlan | undefined };
  saveResume(info: ResumeInfo): Promise<void>;
  /** What the download of the package at hand took; undefined: not known. */
  traffic(): Traffic | undefined;
  /** Why a rollback began that nobody asked for; undefined: somebody did. */
  because(): UpdateError | undefined;
  /** Removes state.json, durably. */
  forget(): Promise<void>;
}

/** `current`: what is downloaded, which may be asked for in another way meanwhile. `isTakenUp`: an earlier run began it, perhaps offline. */
export async function runDownload(
  context: JobContext,
  current: () => Operation | null,
  { resume, isTakenUp }: { readonly resume: ResumeInfo | undefined; readonly isTakenUp: boolean },
): Promise<Event | undefined> {
  const operation = current();
  if (operation?.kind !== 'update') throw new Error('a download without a package');
  const { host, settings, progress } = context;
  const { request } = operation;
  context.early.plan = undefined; // of the package before it
  host.memory.trim();
  const startedMs = host.clock.now();
  let bytesBefore = 0;
  const meter = progress.downloads(resume?.traffic);
  let verified: VerifiedPackage;
  try {
    verified = await obtainPackage(host, request, {
      directory: context.tmp,
      resume,
      onProgress: (bytes) => {
        if (bytes < bytesBefore) progress.restart();
        bytesBefore = bytes;
        const totalBytes = request.package_size;
        progress.advance((100 * bytes) / totalBytes, undefined, { bytes, totalBytes });
      },
      onReceived: meter.received,
      onReused: meter.reused,
      onRequest: meter.requested,
      candidates: settings.adaptiveDownload ? await candidatesFor(host, context.backups) : undefined,
      onRetry: progress.retried,
      onWaiting: progress.waiting,
      waitForNetworkMs: isTakenUp ? settings.networkWaitMs : undefined,
      saveResume: (info) => context.saveResume({ ...info, traffic: meter.traffic() }),
      signal: AbortSignal.any([context.cancel, context.shutdown]),
      allowHttp: settings.allowHttp,
      authorizationFor: settings.authorizationFor,
      deadlineMs: settings.downloadDeadlineMs,
      bytesPerSecond: settings.bytesPerSecond,
      onVerifying: () => context.emit({ kind: 'downloaded' }),
      onDownloadingAgain: () => context.emit({ kind: 'downloadingAgain' }),
    });
  } catch (thrown) {
    if (context.shutdown.aborted) return undefined;
    return { kind: 'failed', error: asUpdateError(thrown, 'DOWNLOAD_FAILED', request.package_name) };
  }
  host.memory.trim();
  const { bytes_fetched, bytes_reused, requests } = meter.traffic();
  host.log.info(
    `downloaded ${bytes_fetched} bytes in ${requests} requests; ${bytes_reused} of ${request.package_size} were here already`,
  );
  const { seal } = verified;
  let notes: Notes | undefined;
  try {
    const asked = { request, seal, mayDowngrade: () => mayDowngrade(current()) };
    const looked = await prepared(host.clock, 'planning the install', () =>
      planEarly(host, settings, context.backups, context.tmp, asked),
    );
    context.early.plan = looked.early;
    notes = looked.notes;
    host.memory.trim();
  } catch (thrown) {
    if (context.shutdown.aborted) return undefined;
    const error = asUpdateError(thrown, 'INVALID_PACKAGE', request.package_name);
    // A refused downgrade still waits for somebody's consent.
    if (error.code !== 'DOWNGRADE_REFUSED') await recordFailure(context, operation, startedMs, error);
    return { kind: 'refused', ...momentOf(host.clock), seal, error };
  }
  return { kind: 'verified', ...momentOf(host.clock), seal, notes };
}

/** An install or a rollback from its beginning. */
export async function runInstall(
  context: JobContext,
  operation: Operation | null,
): Promise<Event | undefined> {
  if (operation === null) throw new Error('an install of nothing');
  const startedMs = context.host.clock.now();
  let outcome: Outcome;
  try {
    await untilReleased(context);
    await undoWhatIsStuck(context);
    outcome = await runOperation(context, operation);
  } catch (thrown) {
    if (context.shutdown.aborted) return undefined;
    const error = asUpdateError(thrown, 'DEPLOYMENT_FAILED', 'preparing the install');
    await recordFailure(context, operation, startedMs, error);
    return { kind: 'failed', error };
  }
  return lastEvent(context, outcome);
}

/** Ends the transaction that an earlier run left, as decided, and installs again where that was decided too. */
export async function runRecovery(
  context: JobContext,
  journal: Journal | undefined,
  decision: Extract<Decision, { do: 'forward' | 'undo' }>,
  operation: Operation | null,
): Promise<Event | undefined> {
  if (journal === undefined) throw new Error('a recovery without a journal');
  if (decision.do === 'forward') {
    return lastEvent(context, await resumeForward(transactionContext(context), journal));
  }
  const goesOn = decision.thenInstall && operation !== null;
  const outcome = await resumeUndo(transactionContext(context, goesOn), journal, decision.error);
  if (goesOn && outcome.kind === 'undone') return runInstall(context, operation);
  return lastEvent(context, outcome);
}

/** Waits for those who say "not now"; the message tells whom it waits for. */
async function untilReleased({ host, holds, progress, cancel, shutdown }: JobContext): Promise<void> {
  let hasWaited = false;
  await holds.untilFree(AbortSignal.any([cancel, shutdown]), ({ owner, reason, expires_at }) => {
    hasWaited = true;
    const message = `waiting for ${owner}: ${reason} (until ${expires_at} at the latest)`;
    host.log.info(message);
    progress.advance(0, message);
  });
  if (hasWaited) progress.advance(0, 'preparing');
}

function runOperation(context: JobContext, operation: Operation): Promise<Outcome> {
  if (operation.kind === 'rollback') return rollBack(transactionContext(context), operation.version);
  if (operation.kind === 'repair') return repair(transactionContext(context), context.publishAudit);
  const place = downloadedAt(context.host, context.tmp, operation.request.package_name);
  const { plan } = context.early;
  context.early.plan = undefined; // it is used once
  return installPackage(transactionContext(context), context.settings, place, operation, plan);
}

/** An undo that failed earlier is tried again before anything new is begun. */
async function undoWhatIsStuck(context: JobContext): Promise<void> {
  const leftover = await readLeftoverJournal(context.host.files, context.backups);
  if (leftover.kind === 'none') return;
  if (leftover.kind === 'damaged') throw new Error(`backups/journal is damaged: ${leftover.why}`);
  const { journal } = leftover;
  const silent = transactionContext(context, true);
  const reason = asUpdateError(undefined, 'ROLLBACK_FAILED', 'an earlier undo did not end');
  const outcome =
    journal.state === 'committed'
      ? await resumeForward(silent, journal)
      : await resumeUndo(silent, journal, reason);
  if (outcome.kind === 'stuck') throw outcome.error;
}

function transactionContext(context: JobContext, isSilent = false): TransactionContext {
  const { host, settings, backups, cancel, shutdown, progress } = context;
  const goesOn = () => isSilent || shutdown.aborted;
  return {
    host,
    backupDirectory: backups,
    ownPaths: settings.ownPaths ?? [],
    executable: settings.executable,
    outputDirectory: posix.join(context.settings.workDirectory, 'logs'),
    cancel,
    shutdown,
    progress: progress.advance,
    onSwitching: context.switching,
    onRebooting: () => context.end({ kind: 'rebooting' }),
    forget: context.forget,
    goesOn,
    onEnd: async (plan, error) => {
      if (error !== null && goesOn()) return;
      const download = plan.kind === 'update' ? context.traffic() : undefined;
      const entry = { ...entryOfPlan(plan, error, host.clock.now(), download), ...updaterOf(settings) };
      const because =
        (isSilent ? undefined : context.because()) ?? (await toldBecause(host.files, backups, plan.id));
      await addToHistory(host.files, backups, { ...entry, error: entry.error ?? because?.message ?? null });
      if (isSilent) return;
      await context.end(error === null ? { kind: 'committed', because } : { kind: 'failed', error });
    },
  };
}

/** What is still to be told when a transaction has ended; most ends onEnd has told already. */
function lastEvent(context: JobContext, outcome: Outcome): Event | undefined {
  context.host.memory.trim();
  if (context.hasEnded()) return undefined;
  switch (outcome.kind) {
    case 'committed':
      return { kind: 'committed' };
    case 'undone':
      return context.shutdown.aborted ? undefined : { kind: 'failed', error: outcome.error };
    case 'stuck':
      return { kind: 'failed', error: outcome.error };
    case 'interrupted':
      return undefined;
    default:
      return outcome satisfies never;
  }
}

function updaterOf({ version }: Settings): { updater?: string } {
  return version === undefined ? {} : { updater: version };
}

/** An update that was refused before its transaction began is history too. */
async function recordFailure(
  context: JobContext,
  operation: Operation,
  startedMs: number,
  error: UpdateError,
): Promise<void> {
  const { host, settings, backups } = context;
  const request: PackageRequest | undefined = operation.kind === 'update' ? operation.request : undefined;
  try {
    const asked = request?.version ?? (operation.kind === 'rollback' ? operation.version : null);
    const installed = await installedVersion(host.files, backups);
    await addToHistory(host.files, backups, {
      id: nextId(startedMs, await latestId(host.files, backups)),
      kind: operation.kind,
      version: asked ?? installed ?? null,
      previous_version: installed ?? null,
      started_at: new Date(startedMs).toISOString(),
      ended_at: new Date(host.clock.now()).toISOString(),
      outcome: 'failed',
      error: error.message,
      bytes: 0,
      modules: [],
      ...updaterOf(settings),
      ...(operation.kind === 'update' && operation.action !== null ? { fleet_action: operation.action } : {}),
    });
  } catch (thrown) {
    host.log.error(`writing the history: ${errorText(thrown)}`);
  }
}
