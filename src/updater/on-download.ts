/** What the state machine makes of the command to download, by what is known of an earlier one. Pure. */
import { isSamePackage, type PackageRequest } from '../download/request.ts';
import type { Effect, FleetOffer, Operation, State, Step, UpdateOperation } from './event.ts';
import { busy, otherDigest } from './refusal.ts';
import { isResting } from './state.ts';
import { go, refuseIfBlocked } from './transition.ts';
import { verifiedAt } from './waiting.ts';

/** The command to download: a new one, or the one at hand once more. Throws OPERATION_IN_PROGRESS. */
export function onDownload(state: State, request: PackageRequest, from: FleetOffer | undefined): Step {
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
  const anew: Effect[] = ['forgetPartial', 'save', 'enter', 'discardPackage', 'startDownload'];
  switch (state.stage) {
    case 'idle':
    case 'success':
    case 'failed':
      if (current !== undefined && !same) return go(state, begun, ...anew);
      return go(state, begun, 'save', 'enter', 'startDownload');
    case 'downloading':
      if (!same) throw busy(state);
      if (held.request.package_url === request.package_url) return takeOver(state, held, from);
      return go(state, begun, 'stopJob', 'save', 'enter', 'startDownload');
    case 'verifying':
      if (!same) throw busy(state);
      return takeOver(state, held, from);
    case 'toInstall':
      if (same) return takeOver(state, held, from);
      if (current !== undefined && isSamePackage(current, { ...request, package_sha256: undefined }))
        throw otherDigest(current, request);
      return go(state, begun, ...anew);
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
    return held === state.operation ? go(state, {}) : go(state, { operation: held }, 'save', 'enter');
  const operation = { ...held, action: from.action };
  if (state.stage !== 'toInstall') return go(state, { operation }, 'save', 'enter');
  return go(state, { operation: verifiedAt(operation, from) }, 'save', 'enter', 'armExpiry');
}

/** Who asks once more may have learned that it is a downgrade, and want it all the same. */
function withConsent(operation: UpdateOperation, asked: PackageRequest): UpdateOperation {
  const { request } = operation;
  const isNew = asked.allow_downgrade === true && request.allow_downgrade !== true;
  if (!isNew || !isSamePackage(request, asked)) return operation;
  return { ...operation, request: { ...request, allow_downgrade: true } };
}
