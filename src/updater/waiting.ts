/** Of a package that was verified: whether it waits, whether it may be a downgrade, and how long it is good for. Pure. */
import { buildMs } from '../build-date.ts';
import type { BootTime, Clock } from '../host/host.ts';
import type { Versions } from '../installed.ts';
import { limits } from '../limits.ts';
import type { Notes } from '../notes.ts';
import type { Seal } from '../seal.ts';
import type { Operation, State, UpdateOperation } from './event.ts';
import type { SavedUpdate } from './store.ts';

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

/** Both clocks of the machine, read at once. */
export interface Moment {
  /** Of the wall clock, epoch milliseconds. */
  readonly nowMs: number;
  readonly boot?: BootTime;
}

export function momentOf(clock: Pick<Clock, 'now' | 'boot'>): Required<Moment> {
  return { nowMs: clock.now(), boot: clock.boot() };
}

/** The operation whose package was found good at that moment. */
export function verifiedAt(operation: UpdateOperation, { nowMs, boot }: Moment): UpdateOperation {
  return { ...operation, verifiedMs: nowMs, ...(boot && { verifiedBoot: boot }) };
}

/** When the package of an update was verified, by both clocks. */
export function verifiedOf({
  verified_at,
  verified_boot,
}: SavedUpdate): Pick<UpdateOperation, 'verifiedMs' | 'verifiedBoot'> {
  if (verified_at === null) return { verifiedMs: null };
  const verifiedMs = Date.parse(verified_at);
  if (verified_boot?.at !== verified_at) return { verifiedMs };
  const { id, ms } = verified_boot;
  return { verifiedMs, verifiedBoot: { id, ms } };
}

/** The same with the seal that was made meanwhile. */
export function verifiedBy(
  operation: Operation | null,
  event: Moment & { readonly seal: Seal; readonly notes?: Notes | undefined },
): Operation | null {
  if (operation?.kind !== 'update') return operation;
  const { seal, notes } = event;
  return { ...verifiedAt(operation, event), seal, ...(notes !== undefined && { notes }) };
}

/** What waits, as GET /versions tells it. */
export function waitingVersion(state: State): Versions['waiting'] {
  const { operation } = state;
  if (!isWaiting(state) || operation?.kind !== 'update') return null;
  return { version: operation.request.version, notes: operation.notes ?? null };
}

type Verified = Pick<UpdateOperation, 'verifiedMs' | 'verifiedBoot'>;

/**
 * FR-036. Within the boot that verified it a package's age is counted by the boot's own clock. Over boots the wall clock counts,
 * where it has been set since the start; else nothing expires, and nothing is younger than the boot after its verification.
 */
export function isExpired(verified: Verified, now: Moment): boolean {
  return ageMs(verified, now) > limits.packageAgeMs;
}

/** In ms, from which on 0 or less isExpired; what was never verified has the whole time before it. */
export function untilExpiryMs(operation: Operation | null, now: Moment): number {
  const age = operation?.kind === 'update' ? ageMs(operation, now) : 0;
  return limits.packageAgeMs + 1 - age;
}

function ageMs({ verifiedMs, verifiedBoot }: Verified, { nowMs, boot }: Moment): number {
  if (verifiedMs === null) return 0;
  if (boot !== undefined && verifiedBoot?.id === boot.id) return boot.ms - verifiedBoot.ms;
  const ofBoot = boot === undefined || verifiedBoot === undefined ? 0 : boot.ms;
  const areClocks = verifiedMs >= buildMs && nowMs >= buildMs;
  return areClocks ? Math.max(nowMs - verifiedMs, ofBoot) : ofBoot;
}
