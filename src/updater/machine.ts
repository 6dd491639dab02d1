/**
 * The state machine: (state, event) -> (state, effects). Pure; runner.ts carries the effects out, in their order; the state is the new one from `enter` on.
 *
 *     stage        leaves by
 *     idle         download -> downloading; rollback, repair -> installing
 *     downloading  downloaded -> verifying; failed -> failed; cancel -> idle (partial file kept)
 *     verifying    verified -> toInstall; again -> downloading; failed -> failed; cancel -> idle
 *     toInstall    update -> installing; expired -> failed; download of another -> downloading; cancel -> idle
 *     installing   rebooting -> rebooting; committed -> success; undone -> failed; cancelled before the switch -> idle
 *     rebooting    committed -> success; undone -> failed
 *     success      download, rollback, repair; after 60 s -> idle
 *     failed       download, rollback, repair
 *
 * A command that a stage does not take is refused with an UpdateError before anything changes.
 */

import { UpdateError } from '../errors.ts';
import type { Event, Operation, State, Step } from './event.ts';
import { onDownload } from './on-download.ts';
import { busy, describe, expiry } from './refusal.ts';
import { expect, go, refuseIfBlocked } from './transition.ts';
import { isRefusedDowngrade, isWaiting, verifiedBy } from './waiting.ts';

export const initialState: State = {
  stage: 'idle',
  operation: null,
  switching: false,
  error: null,
  blocked: null,
};

/** The transition, or the refusal thrown as an UpdateError. An event a job can't have sent in this stage is a bug. */
export function step(state: State, event: Event): Step {
  switch (event.kind) {
    case 'download':
      return onDownload(state, event.request, event.from);
    case 'update':
      return onUpdate(state, event.version);
    case 'cancel':
      return onCancel(state);
    case 'rollback':
      return onPutBack(
        state,
        { kind: 'rollback', version: event.version, because: event.because },
        'startRollback',
      );
    case 'fellBack':
      expect(state, event, 'idle', 'success', 'failed');
      return go(state, { stage: 'failed', operation: null, error: event.error }, 'enter', 'forget');
    case 'repair':
      return onPutBack(state, { kind: 'repair' }, 'startRepair');
    case 'downloaded':
      expect(state, event, 'downloading', 'verifying');
      return go(state, { stage: 'verifying' }, 'save', 'enter');
    case 'downloadingAgain':
      expect(state, event, 'verifying');
      return go(state, { stage: 'downloading' }, 'save', 'enter');
    case 'verified':
      expect(state, event, 'downloading', 'verifying');
      return go(
        state,
        { stage: 'toInstall', operation: verifiedBy(state.operation, event) },
        'save',
        'enter',
        'armExpiry',
      );
    case 'refused':
      expect(state, event, 'downloading', 'verifying');
      return onRefused(state, event);
    case 'expired':
      if (!isWaiting(state)) throw new Error(`nothing waits in stage ${state.stage}`);
      return go(
        state,
        { stage: 'failed', operation: null, error: expiry(state.operation) },
        'enter',
        'discardPackage',
        'forget',
      );
    case 'switching':
      expect(state, event, 'installing', 'rebooting');
      return go(state, { switching: true }, 'enter');
    case 'rebooting':
      expect(state, event, 'installing', 'rebooting');
      return go(state, { stage: 'rebooting' }, 'save', 'enter');
    case 'committed':
      expect(state, event, 'installing', 'rebooting');
      return onCommitted(state, event);
    case 'failed':
      expect(state, event, 'downloading', 'verifying', 'toInstall', 'installing', 'rebooting');
      return onFailed(state, event.error);
    case 'successShown':
      return state.stage === 'success' ? go(state, { stage: 'idle' }, 'enter') : go(state, {});
    default:
      return event satisfies never;
  }
}

/** An audit reads what other work changes. Throws OPERATION_IN_PROGRESS. */
export function checkAudit(state: State): void {
  refuseIfBlocked(state);
  if (!mayAudit(state)) throw busy(state);
}

export function mayAudit({ stage, blocked }: State): boolean {
  return blocked === null && ['idle', 'toInstall', 'success', 'failed'].includes(stage);
}

function onUpdate(state: State, version: string): Step {
  refuseIfBlocked(state);
  switch (state.stage) {
    case 'idle':
    case 'success':
    case 'failed':
      if (isRefusedDowngrade(state)) return begin(state, version);
      if (state.error?.code === 'PACKAGE_EXPIRED') throw state.error;
      throw new UpdateError('DOWNLOAD_INCOMPLETE', `no package of version ${version} has been downloaded`);
    case 'downloading':
      throw new UpdateError('DOWNLOAD_INCOMPLETE', `${describe(state.operation)} is still being downloaded`);
    case 'verifying':
      throw new UpdateError('MD5_NOT_VERIFIED', `${describe(state.operation)} is still being verified`);
    case 'installing':
    case 'rebooting':
      throw busy(state);
    case 'toInstall':
      return begin(state, version);
    default:
      return state.stage satisfies never;
  }
}

/** Of a package that waits. */
function begin(state: State, version: string): Step {
  const { operation } = state;
  if (operation?.kind !== 'update') throw new Error('nothing waits to be installed');
  if (operation.request.version !== version) {
    throw new UpdateError(
      'VERSION_MISMATCH',
      `${version} asked for, the package that waits is ${operation.request.version}`,
    );
  }
  return go(
    state,
    { stage: 'installing', switching: false, error: null },
    'firstStart',
    'save',
    'enter',
    'startInstall',
  );
}

function onCancel(state: State): Step {
  switch (state.stage) {
    case 'idle':
    case 'success':
    case 'failed':
      if (!isWaiting(state)) return go(state, {});
      return go(state, { stage: 'idle', operation: null, error: null }, 'enter', 'discardPackage', 'forget');
    case 'downloading':
    case 'verifying':
      return go(state, { stage: 'idle' }, 'stopJob', 'save', 'enter');
    case 'toInstall':
      return go(state, { stage: 'idle', operation: null }, 'enter', 'discardPackage', 'forget');
    case 'installing':
      if (state.switching)
        throw new UpdateError('OPERATION_IN_PROGRESS', 'files are being replaced, it is too late to cancel');
      return go(state, {}, 'abortJob');
    case 'rebooting':
      throw busy(state);
    default:
      return state.stage satisfies never;
  }
}

/** A rollback or a repair: what needs no package to be downloaded first. */
function onPutBack(state: State, operation: Operation, begin: 'startRollback' | 'startRepair'): Step {
  refuseIfBlocked(state);
  switch (state.stage) {
    case 'idle':
    case 'success':
    case 'failed':
      return go(
        state,
        { stage: 'installing', operation, switching: false, error: null },
        'firstStart',
        'save',
        'enter',
        ...(state.operation === null ? [] : (['discardPackage'] as const)),
        begin,
      );
    case 'toInstall':
      throw new UpdateError(
        'OPERATION_IN_PROGRESS',
        `${describe(state.operation)} waits to be installed: install or cancel it first`,
      );
    case 'downloading':
    case 'verifying':
    case 'installing':
    case 'rebooting':
      throw busy(state);
    default:
      return state.stage satisfies never;
  }
}

/** What another consent (/update with allow_downgrade) or more room could make good stays for the next command; anything else goes. */
function onRefused(state: State, event: Extract<Event, { kind: 'refused' }>): Step {
  const { error } = event;
  const failed = { stage: 'failed', error } as const;
  if (error.code === 'DOWNGRADE_REFUSED')
    return go(state, { ...failed, operation: verifiedBy(state.operation, event) }, 'save', 'enter');
  if (error.code === 'DISK_FULL' || error.code === 'DEPLOYMENT_FAILED')
    return go(state, failed, 'save', 'enter');
  return go(state, { ...failed, operation: null }, 'enter', 'discardPackage', 'forget');
}

/** A rollback that nobody asked for is the end of what it took back, and is told as that. */
function onCommitted(state: State, event: Extract<Event, { kind: 'committed' }>): Step {
  const ended = { operation: null, switching: false } as const;
  const because =
    event.because ?? (state.operation?.kind === 'rollback' ? state.operation.because : undefined);
  if (because !== undefined)
    return go(state, { ...ended, stage: 'failed', error: because }, 'enter', 'forget', 'discardPackage');
  return go(
    state,
    { ...ended, stage: 'success', error: null },
    'enter',
    'forget',
    'discardPackage',
    'armIdle',
  );
}

/** A cancelled job rests as idle; a failed download keeps its partial file's description, for the next /download. */
function onFailed(state: State, error: UpdateError): Step {
  if (error.code === 'CANCELLED' && state.stage === 'installing') {
    return go(
      state,
      { stage: 'idle', operation: null, switching: false },
      'enter',
      'discardPackage',
      'forget',
    );
  }
  const operation = state.operation?.kind === 'update' ? state.operation : null;
  return go(
    state,
    { stage: 'failed', operation, switching: false, error },
    ...(operation === null ? (['enter', 'forget'] as const) : (['save', 'enter'] as const)),
  );
}
