/** Of a package that was verified: whether it waits, whether it may be a downgrade, and how long it is good for. Pure. */
import { limits } from '../limits.ts';
import type { Operation, State } from './event.ts';

/** A verified package is there that an /update may ask for. */
export function isWaiting(state: State): boolean {
  return state.stage === 'toInstall' || isRefusedDowngrade(state);
}

/** Whoever asked for the package has said that its version may be lower than the installed one. */
export function mayDowngrade(operation: Operation | null): boolean {
  return operation?.kind === 'update' && operation.request.allow_downgrade === true;
}

/** Its version is lower than the installed one, and nobody has said that it may be: an /update still can. */
export function isRefusedDowngrade({ stage, error, operation }: State): boolean {
  const isVerified = operation?.kind === 'update' && operation.verifiedMs !== null;
  return stage === 'failed' && error?.code === 'DOWNGRADE_REFUSED' && isVerified;
}

/** FR-036. A clock that has gone back (no RTC) makes no package expire. */
export function isExpired(verifiedMs: number | null, nowMs: number): boolean {
  return verifiedMs !== null && nowMs - verifiedMs > limits.packageAgeMs;
}

/** In ms, from which on 0 or less isExpired; what was never verified has the whole time before it. */
export function untilExpiryMs(operation: Operation | null, nowMs: number): number {
  const verifiedMs = operation?.kind === 'update' ? operation.verifiedMs : null;
  return (verifiedMs ?? nowMs) + limits.packageAgeMs + 1 - nowMs;
}
