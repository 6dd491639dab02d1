/**
 * The runner: takes commands, lets the state machine decide, and carries the effects out. Every change of state goes through
 * apply(), one after another: state.json before the job that it announces, the listeners after. At most one job runs.
 */
import { posix } from 'node:path';
import { openCurrentRecord } from '../audit/audit.ts';
import { createAuditor } from '../audit/auditor.ts';
import { installedVersion } from '../deploy/installed-version.ts';
import type { ResumeInfo } from '../download/resume.ts';
import { packageAddress } from '../download/url-policy.ts';
import { asUpdateError, errorStack, UpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import { checkNoDowngrade } from '../operations/fit.ts';
import { updatesToTakeBack } from '../operations/rollback.ts';
import { launchGui } from '../services/gui.ts';
import type { Settings } from '../settings.ts';
import type { Effect, Event, State } from './event.ts';
import { createHolds, holdCommands, restoreHolds } from './hold.ts';
import { createJobSlot } from './job-slot.ts';
import { type JobContext, runDownload, runInstall, runRecovery } from './jobs.ts';
import { lookups } from './lookups.ts';
import { checkAudit, initialState, mayAudit, step } from './machine.ts';
import { atEachTenth, createProgress } from './progress.ts';
import { checkOrder } from './refusal.ts';
import { resumeOf, savedOf, stateOf } from './saved-state.ts';
import { findWhatIsLeft } from './startup.ts';
import { isResting, type ProgressListener, type RunningUpdater, type Stage } from './state.ts';
import { createStore } from './store.ts';
import { createTurns } from './turns.ts';
import { isWaiting, mayDowngrade, momentOf, untilExpiryMs } from './waiting.ts';
import { keepPackage, removePackage } from './work-files.ts';

/** The updater over a work directory whose tmp/ and backups/ exist. */
export function createUpdater(
  host: Host,
  settings: Settings,
  listeners: readonly ProgressListener[],
): RunningUpdater {
  const tmp = posix.join(settings.workDirectory, 'tmp');
  const backups = posix.join(settings.workDirectory, 'backups');
  const store = createStore(host, settings.workDirectory);
  const progress = createProgress([...listeners, atEachTenth(() => host.memory.releasePages())]);
  const holds = createHolds(host.clock);
  const early: JobContext['early'] = { plan: undefined };
  const shutdown = new AbortController();
  let state: State = initialState;
  let resume: ResumeInfo | undefined;
  let installStarts = 0;
  const { inTurn, inTurnUnless, open, settled } = createTurns();
  const job = createJobSlot((event, isHeard) =>
    inTurn(async () => {
      if (isHeard()) await applyLast(event);
    }).catch(logged),
  );
  const save = (next: State) => store.save(savedOf(next, resume, installStarts, host.clock.now()));
  let disarm: () => void = () => undefined;
  const auditor = createAuditor(host, {
    workDirectory: settings.workDirectory,
    intervalMs: settings.auditIntervalMs,
    mayBegin: () => mayAudit(state),
  });

  return {
    progress: progress.current,
    ...lookups(host.files, backups, () => state),
    download: (request, order) =>
      command(async () => {
        packageAddress(request.package_url, settings.allowHttp);
        const from = order === undefined ? {} : { from: { action: order, ...momentOf(host.clock) } };
        await apply({ kind: 'download', request, ...from });
      }),
    update: ({ version, allow_downgrade }, order) =>
      command(async () => {
        checkOrder(state, order);
        if (await expireIfDue()) throw state.error;
        step(state, { kind: 'update', version }); // a refusal by the stage comes first
        if (!allow_downgrade && !mayDowngrade(state.operation))
          checkNoDowngrade(version, await installedVersion(host.files, backups));
        await apply({ kind: 'update', version });
      }),
    cancel: async (order) => {
      await command(async () => {
        checkOrder(state, order);
        await apply({ kind: 'cancel' });
      });
      if (state.stage === 'installing') await job.allDone(); // it ends by undoing what it has begun
      return state.stage;
    },
    rollback: (version = null, because) =>
      command(async () => {
        step(state, { kind: 'rollback', version }); // a refusal by the stage comes first
        await updatesToTakeBack(host, backups, version);
        await apply({ kind: 'rollback', version, ...(because && { because }) });
      }),
    fellBack: (error) => inTurn(() => apply({ kind: 'fellBack', error })),
    audit: ({ repair }) =>
      command(async () => {
        if (!repair) {
          checkAudit(state);
          return auditor.begin();
        }
        step(state, { kind: 'repair' }); // a refusal by the stage comes first
        await openCurrentRecord(host.files, backups);
        await apply({ kind: 'repair' });
      }),
    auditState: auditor.state,
    say: (message) => {
      if (mayAudit(state)) progress.advance(0, message);
    },
    ...holdCommands(holds, host, tmp),
    recover: () => recover().then(auditor.open).finally(open),
    stop: async () => {
      shutdown.abort(new UpdateError('CANCELLED', 'the updater is shutting down'));
      disarm();
      await auditor.close();
      await job.allDone();
      await settled();
    },
    settled: async () => {
      await auditor.settled();
      await job.allDone();
      await settled();
    },
  };

  function command(action: () => Promise<void>): Promise<Stage> {
    return inTurn(async () => {
      if (shutdown.signal.aborted)
        throw new UpdateError('OPERATION_IN_PROGRESS', 'the updater is shutting down');
      // A job whose end has been told may still be tidying up: nothing new is begun beside it.
      if (isResting(state.stage)) await job.workDone();
      try {
        await action();
      } catch (thrown) {
        throw asUpdateError(thrown, 'INTERNAL_ERROR', 'writing the state');
      }
      return state.stage;
    });
  }

  /** One transition: its effects, one after another. Rejects with the refusal, or where state.json cannot be written: nothing changed then. */
  async function apply(event: Event): Promise<void> {
    const before = state;
    const { state: next, effects } = step(before, event);
    for (const effect of effects) await carryOut(effect, before, next);
  }

  async function carryOut(effect: Effect, before: State, next: State): Promise<void> {
    switch (effect) {
      case 'enter':
        return enter(before, next);
      case 'save':
        return save(next);
      case 'stopJob':
        return job.stop('the download was cancelled');
      case 'abortJob':
        return job.abort('the install was cancelled');
      case 'forgetPartial':
        resume = undefined;
        return;
      case 'firstStart':
        installStarts = 0;
        return;
      case 'forget':
        resume = undefined;
        return store.clear();
      case 'discardPackage':
        early.plan = undefined;
        if (settings.keepPackage && next.stage === 'success')
          await keepPackage(host, tmp, backups, before.operation);
        return removePackage(host.files, tmp, before.operation);
      case 'startDownload':
        return start((context) => runDownload(context, () => state.operation, { resume, isTakenUp: false }));
      case 'startInstall':
      case 'startRollback':
      case 'startRepair':
        if (effect !== 'startRepair') await launchGui(host, settings.guiPath);
        return start((context) => runInstall(context, next.operation));
      case 'armExpiry':
        return armExpiry();
      case 'armIdle':
        return later(limits.successMs, () => apply({ kind: 'successShown' }));
      default:
        effect satisfies never;
    }
  }

  async function enter(before: State, next: State): Promise<void> {
    state = next;
    if (next.stage !== before.stage || next.error !== before.error) {
      host.log.info(`stage ${before.stage} -> ${next.stage}${next.error ? `: ${next.error.message}` : ''}`);
      await progress.enter(next.stage, next.error, next.operation ?? before.operation, resume);
    } else if (next.operation !== null) progress.about(next.operation);
  }

  function start(work: (context: JobContext) => Promise<Event | undefined>): void {
    disarm();
    job.start(async (cancel) => {
      await auditor.cancel();
      return work(contextOf(cancel));
    });
  }

  /** The end of a job counts, also where it cannot be written down. */
  async function applyLast(event: Event): Promise<void> {
    try {
      await apply(event);
    } catch (thrown) {
      logged(thrown);
      state = step(state, event).state;
      // What cannot be written down must not stand there as unfinished: the next start would take it up again.
      await store.clear().catch(logged);
      await progress.enter(state.stage, state.error, state.operation);
    }
  }

  function contextOf(cancel: AbortSignal): JobContext {
    const stopped = AbortSignal.any([cancel, shutdown.signal]);
    return {
      ...{ host, settings, tmp, backups, cancel, progress, holds, early },
      shutdown: shutdown.signal,
      publishAudit: auditor.publish,
      emit: (event) => inTurnUnless(stopped, () => apply(event)),
      end: (event) => inTurn(() => apply(event)),
      hasEnded: () => state.stage !== 'installing' && state.stage !== 'rebooting',
      switching: () => {
        state = step(state, { kind: 'switching' }).state;
      },
      saveResume: (info) =>
        inTurnUnless(stopped, async () => {
          resume = info;
          await save(state);
        }),
      traffic: () => resume?.traffic,
      because: () => (state.operation?.kind === 'rollback' ? state.operation.because : undefined),
      forget: () => inTurn(() => store.clear()),
    };
  }

  /** FR-036: a package that has waited too long is removed, and whoever asks for it is told. */
  async function expireIfDue(): Promise<boolean> {
    if (!isWaiting(state) || untilExpiryMs(state.operation, momentOf(host.clock)) > 0) return false;
    await apply({ kind: 'expired' });
    return true;
  }

  function armExpiry(): void {
    later(Math.max(0, untilExpiryMs(state.operation, momentOf(host.clock))), expireIfDue);
  }

  /** In its turn, unless a job begins or something else is to be done later. */
  function later(ms: number, action: () => Promise<unknown>): void {
    disarm();
    disarm = host.clock.after(ms, () => void inTurn(action).catch(logged));
  }

  async function recover(): Promise<void> {
    await restoreHolds(holds, host, tmp);
    const found = await findWhatIsLeft(host, store, { tmp, backups, executable: settings.executable });
    installStarts = found.installStarts;
    resume = resumeOf(found.saved);
    state = stateOf(found.saved, found.decision);
    if (state.stage !== 'idle') await progress.enter(state.stage, state.error, state.operation, resume);
    const { decision } = found;
    switch (decision.do) {
      case 'rest':
        return store.clear();
      case 'restWithPartial':
        // What was written down by one that rested says the same to each start.
        return found.saved !== undefined && isResting(found.saved.stage) ? undefined : save(state);
      case 'download':
        return start((context) => runDownload(context, () => state.operation, { resume, isTakenUp: true }));
      case 'wait':
        return armExpiry();
      case 'expire':
        return apply({ kind: 'expired' });
      case 'install':
        return start((context) => runInstall(context, state.operation));
      case 'forward':
      case 'undo':
        return start((context) => runRecovery(context, found.journal, decision, state.operation));
      case 'fail':
        return apply({ kind: 'failed', error: decision.error });
      case 'block':
        return;
      default:
        decision satisfies never;
    }
  }

  function logged(thrown: unknown): void {
    host.log.error(errorStack(thrown));
  }
}
