/**
 * The state machine: (state, event) -> (state, effects). Pure; runner.ts carries the effects out, in their order.
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

import { isSamePackage, type PackageRequest } from '../download/request.ts';
import { UpdateError } from '../errors.ts';
import type { Effect, Event, FleetOffer, Operation, State, Step, UpdateOperation } from './event.ts';
import { busy, describe, expiry, otherDigest } from './refusal.ts';
import type { Stage } from './state.ts';
import { isRefusedDowngrade, isWaiting, verifiedAt, verifiedBy } from './waiting.ts';

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
      return go(state, { stage: 'failed', operation: null, error: event.error }, 'forget');
    case 'repair':
      return onPutBack(state, { kind: 'repair' }, 'startRepair');
    case 'downloaded':
      expect(state, event, 'downloading', 'verifying');
      return go(state, { stage: 'verifying' }, 'save');
    case 'downloadingAgain':
      expect(state, event, 'verifying');
      return go(state, { stage: 'downloading' }, 'save');
    case 'verified':
      expect(state, event, 'downloading', 'verifying');
      return go(
        state,
        { stage: 'toInstall', operation: verifiedBy(state.operation, event) },
        'save',
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
        'discardPackage',
        'forget',
      );
    case 'switching':
      expect(state, event, 'installing', 'rebooting');
      return go(state, { switching: true });
    case 'rebooting':
      expect(state, event, 'installing', 'rebooting');
      return go(state, { stage: 'rebooting' }, 'save');
    case 'committed':
      expect(state, event, 'installing', 'rebooting');
      return onCommitted(state);
    case 'failed':
      expect(state, event, 'downloading', 'verifying', 'toInstall', 'installing', 'rebooting');
      return onFailed(state, event.error);
    case 'successShown':
      return state.stage === 'success' ? go(state, { stage: 'idle' }) : go(state, {});
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

function onDownload(state: State, request: PackageRequest, from: FleetOffer | undefined): Step {
  refuseIfBlocked(state);
  const held = state.operation?.kind === 'update' ? withConsent(state.operation, request) : undefined;
  const current = held?.request;
  const same = held !== undefined && current !== undefined && isSamePackage(current, request);
  // First come, first served: the fleet takes nothing from a caller on the device, and its own stays its own.
  if (from !== undefined && held?.action === null && !isResting(state.stage)) throw busy(state);
  // What is told of a package is told for its order, whoever goes on with it; a cancelled one has none any more.
  const action = from?.action ?? (same && state.stage !== 'idle' ? held.action : null);
  // A fresh URL of what is being downloaded changes that alone: the caller may have left the SHA-256 out this time.
  const wanted =
    same && state.stage === 'downloading' ? { ...current, package_url: request.package_url } : request;
  const operation: Operation = { kind: 'update', request: wanted, verifiedMs: null, seal: null, action };
  const begun = { stage: 'downloading', operation, error: null } as const;
  const startOver: Effect[] = current !== undefined && !same ? ['discardPackage'] : [];
  switch (state.stage) {
    case 'idle':
    case 'success':
    case 'failed':
      return go(state, begun, ...startOver, 'save', 'startDownload');
    case 'downloading':
      if (!same) throw busy(state);
      if (held.request.package_url === request.package_url) return takeOver(state, held, from);
      return go(state, begun, 'stopJob', 'save', 'startDownload');
    case 'verifying':
      if (!same) throw busy(state);
      return takeOver(state, held, from);
    case 'toInstall':
      if (same) return takeOver(state, held, from);
      if (current !== undefined && isSamePackage(current, { ...request, package_sha256: undefined }))
        throw otherDigest(current, request);
      return go(state, begun, 'discardPackage', 'save', 'startDownload');
    case 'installing':
    case 'rebooting':
      throw busy(state);
    default:
      return state.stage satisfies never;
  }
}

/** The same package once more: nothing to do but for the fleet, whose newest order it now is, and still wanted. */
function takeOver(state: State, held: UpdateOperation, from: FleetOffer | undefined): Step {
  if (from === undefined)
    return held === state.operation ? go(state, {}) : go(state, { operation: held }, 'save');
  const operation = { ...held, action: from.action };
  if (state.stage !== 'toInstall') return go(state, { operation }, 'save');
  return go(state, { operation: verifiedAt(operation, from) }, 'save', 'armExpiry');
}

/** Who asks once more may have learned that it is a downgrade, and want it all the same. */
function withConsent(operation: UpdateOperation, asked: PackageRequest): UpdateOperation {
  const { request } = operation;
  const isNew = asked.allow_downgrade === true && request.allow_downgrade !== true;
  if (!isNew || !isSamePackage(request, asked)) return operation;
  return { ...operation, request: { ...request, allow_downgrade: true } };
}

function isResting(stage: Stage): boolean {
  return stage === 'idle' || stage === 'success' || stage === 'failed';
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
  return go(state, { stage: 'installing', switching: false, error: null }, 'save', 'startInstall');
}

function onCancel(state: State): Step {
  switch (state.stage) {
    case 'idle':
    case 'success':
    case 'failed':
      if (!isWaiting(state)) return go(state, {});
      return go(state, { stage: 'idle', operation: null, error: null }, 'discardPackage', 'forget');
    case 'downloading':
    case 'verifying':
      return go(state, { stage: 'idle' }, 'stopJob', 'save');
    case 'toInstall':
      return go(state, { stage: 'idle', operation: null }, 'discardPackage', 'forget');
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
        ...(state.operation === null ? [] : (['discardPackage'] as const)),
        'save',
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

/**
 * What another consent (/update with allow_downgrade) or another state of the device (room on the disk) could make good stays for
 * the next command; anything else cannot be installed here, and goes.
 */
function onRefused(state: State, event: Extract<Event, { kind: 'refused' }>): Step {
  const { error } = event;
  const failed = { stage: 'failed', error } as const;
  if (error.code === 'DOWNGRADE_REFUSED')
    return go(state, { ...failed, operation: verifiedBy(state.operation, event) }, 'save');
  if (error.code === 'DISK_FULL' || error.code === 'DEPLOYMENT_FAILED') return go(state, failed, 'save');
  return go(state, { ...failed, operation: null }, 'discardPackage', 'forget');
}

/** A rollback that nobody asked for is the end of what it took back, and is told as that. */
function onCommitted(state: State): Step {
  const ended = { operation: null, switching: false } as const;
  const because = state.operation?.kind === 'rollback' ? state.operation.because : undefined;
  if (because !== undefined)
    return go(state, { ...ended, stage: 'failed', error: because }, 'forget', 'discardPackage');
  return go(state, { ...ended, stage: 'success', error: null }, 'forget', 'discardPackage', 'armIdle');
}

/** A cancelled job rests as idle; a failed download keeps its partial file's description, for the next /download. */
function onFailed(state: State, error: UpdateError): Step {
  if (error.code === 'CANCELLED' && state.stage === 'installing') {
    return go(state, { stage: 'idle', operation: null, switching: false }, 'discardPackage', 'forget');
  }
  const operation = state.operation?.kind === 'update' ? state.operation : null;
  return go(
    state,
    { stage: 'failed', operation, switching: false, error },
    operation === null ? 'forget' : 'save',
  );
}

function go(state: State, change: Partial<State>, ...effects: Effect[]): Step {
  return { state: { ...state, ...change }, effects };
}

function expect(state: State, event: Event, ...allowed: Stage[]): void {
  if (!allowed.includes(state.stage)) throw new Error(`event ${event.kind} in stage ${state.stage}`);
}

function refuseIfBlocked(state: State): void {
  if (state.blocked !== null) throw new UpdateError('OPERATION_IN_PROGRESS', state.blocked);
}
