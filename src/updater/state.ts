/** The vocabulary of the state machine, and the schemas that requests, state.json and the OpenAPI document have in common. */
import * as v from 'valibot';
import type { AuditRequest, AuditState } from '../audit/audit-report.ts';
import type { PackageRequest } from '../download/request.ts';
import type { Traffic } from '../download/traffic.ts';
import type { UpdateError } from '../errors.ts';
import type { HistoryEntry, OperationKind } from '../history.ts';
import type { Versions } from '../installed.ts';
import { limits } from '../limits.ts';
import { VersionSchema } from '../version.ts';

export { type PackageRequest, PackageSchema } from '../download/request.ts';

export const stages = [
  'idle',
  'downloading',
  'verifying',
  'toInstall',
  'installing',
  'rebooting',
  'success',
  'failed',
] as const;
export type Stage = (typeof stages)[number];

/** Nothing is being done and nothing waits. */
export function isResting(stage: Stage): boolean {
  return stage === 'idle' || stage === 'success' || stage === 'failed';
}

/** What POST /update asks for. */
export const UpdateRequestSchema = v.object({
  version: VersionSchema,
  /** Installs a version lower than the installed one. */
  allow_downgrade: v.optional(v.boolean(), false),
});
export type UpdateRequest = v.InferOutput<typeof UpdateRequestSchema>;

/** What GET /progress answers and what every report carries. `error` is `CODE: text`, or null. */
export interface Progress {
  readonly stage: Stage;
  /** 0-100, never going down within a stage. */
  readonly progress: number;
  readonly message: string;
  readonly error: string | null;
  /** For those who watch (GET /events, GET /metrics); never part of /progress and of the reports. */
  readonly facts?: ProgressFacts;
}

/** What is known beyond the four fields above. */
export interface ProgressFacts {
  /** What is, or was last, being done; null: nothing since the start. */
  readonly kind: OperationKind | null;
  /** Of the package; null: not known. */
  readonly version: string | null;
  /** The fleet's order that it is done for; null: a caller on the device asked. */
  readonly action: string | null;
  /** The module whose files are being unpacked. */
  readonly module: string | null;
  /** Of the download or the unpacking at hand; 0 of 0 where nothing is counted. */
  readonly bytes: number;
  readonly totalBytes: number;
  /** Bytes that came over the network, and tries that failed and were followed by another, since the start. */
  readonly receivedBytes: number;
  /** Bytes of packages that were made of what the device has, and requests of downloads, since the start. */
  readonly reusedBytes: number;
  readonly requests: number;
  readonly retries: number;
  /** Questions that nobody answered, where the download waits for that. */
  readonly waits: number;
  /** What the download of the update takes, or took, over all runs; null: there is none, or nothing is known. */
  readonly download: Traffic | null;
}

const OwnerSchema = v.pipe(
  v.string(),
  v.minLength(1),
  v.maxLength(64),
  v.regex(/^[\x20-\x7e]*$/, 'must be printable ASCII'),
);

/** What POST /hold asks for: a lease on "no install now". */
export const HoldRequestSchema = v.object({
  owner: OwnerSchema,
  reason: v.pipe(v.string(), v.maxLength(200)),
  ttl_s: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(limits.holdMs / 1000)),
});
export type HoldRequest = v.InferOutput<typeof HoldRequestSchema>;

export const ReleaseRequestSchema = v.object({ owner: OwnerSchema });

/** A lease in force. */
export const HoldSchema = v.object({
  owner: v.string(),
  reason: v.string(),
  expires_at: v.pipe(v.string(), v.isoTimestamp()),
});
export type Hold = v.InferOutput<typeof HoldSchema>;

/** The updater as its drivers (HTTP, signals) see it. Refusals are UpdateErrors, thrown before anything changes. */
export interface Updater {
  /** Accepts a package; resolves with the stage it is now in, the work goes on in the background. */
  download(request: PackageRequest): Promise<Stage>;
  /** Installs the waiting package of that version. */
  update(request: UpdateRequest): Promise<Stage>;
  cancel(): Promise<Stage>;
  /** Reinstates what was there before the last update, or before the named one. */
  rollback(version: string | undefined): Promise<Stage>;
  /** Makes installs and rollbacks that have not begun wait; see hold.ts. All leases in force. */
  hold(request: HoldRequest): Promise<readonly Hold[]>;
  release(owner: string): Promise<readonly Hold[]>;
  /** Begins an audit, or a repair. A check alone leaves the stage as it is. */
  audit(request: AuditRequest): Promise<Stage>;
  auditState(): AuditState;
  /** From memory, never blocking. */
  progress(): Progress;
  /** Newest first. */
  history(): Promise<readonly HistoryEntry[]>;
  versions(): Promise<Versions>;
}

/** The commands of the fleet's client, each for an order: refused with OPERATION_IN_PROGRESS if a caller on the device came first. */
export interface OrderedCommands {
  /** The same package once more counts as verified now: the server still wants it. */
  download(request: PackageRequest, order: string): Promise<Stage>;
  update(request: UpdateRequest, order: string): Promise<Stage>;
  cancel(order: string): Promise<Stage>;
  /** What a screen shows while nothing is done: whom the next update waits for. */
  say(message: string): void;
}

/** The updater as whoever runs it has it. */
export interface RunningUpdater extends Updater {
  /** `order`: see OrderedCommands; undefined: the caller is on the device. */
  download(request: PackageRequest, order?: string): Promise<Stage>;
  update(request: UpdateRequest, order?: string): Promise<Stage>;
  cancel(order?: string): Promise<Stage>;
  /** `because`: nobody asked for it; its end is told as this. */
  rollback(version: string | null | undefined, because?: UpdateError): Promise<Stage>;
  /** Tells what a new updater has ended as that no transaction brought. */
  fellBack(error: UpdateError): Promise<void>;
  say: OrderedCommands['say'];
  /** Finds out what an earlier run left and goes on from there (recover.ts). Call once, before any command. */
  recover(): Promise<void>;
  /** FR-030: ends the running job at the next point that a later start can go on from. */
  stop(): Promise<void>;
  /** Resolves when no job runs. */
  settled(): Promise<void>;
}

/** Hears of every change, in order. `urgent`: a new stage or an error. Resolves when it has kept that durably, if it does; must not reject. */
export type ProgressListener = (
  progress: Progress,
  urgent: boolean,
  error: UpdateError | null,
) => void | Promise<void>;
