/**
 * The HTTP API as data: every endpoint with its schemas, as on the wire (spec section 2). routes.ts checks requests with it,
 * openapi.ts makes the document of it, and the tests check every reply against that.
 */
import * as v from 'valibot';
import { AuditRequestSchema, AuditStateSchema } from '../audit/audit-report.ts';
import { PackageSchema } from '../download/request.ts';
import { TrafficSchema } from '../download/traffic.ts';
import { type ErrorCode, errorCodes } from '../errors.ts';
import { HistoryEntrySchema, operationKinds } from '../history.ts';
import { VersionsSchema } from '../installed.ts';
import { FleetRequestSchema, FleetStateSchema } from '../updater/fleet-state.ts';
import {
  HoldRequestSchema,
  HoldSchema,
  ReleaseRequestSchema,
  stages,
  UpdateRequestSchema,
} from '../updater/state.ts';
import { VersionSchema } from '../version.ts';

const StageSchema = v.picklist(stages);
const PercentSchema = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(100));
const ByteCountSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const ErrorTextSchema = v.pipe(v.string(), v.regex(new RegExp(`^(${errorCodes.join('|')}): `)));

export const RollbackRequestSchema = v.object({ version: v.optional(VersionSchema) });
/** Accepts any object: there is nothing to say. */
export const CancelRequestSchema = v.object({});

export const StatusSchema = v.object({ status: StageSchema });

export const ProgressSchema = v.object({
  stage: StageSchema,
  progress: PercentSchema,
  message: v.string(),
  error: v.nullable(ErrorTextSchema),
});

/** What GET /events tells: the same, and what a screen shows beside it. */
export const EventSchema = v.object({
  ...ProgressSchema.entries,
  kind: v.nullable(v.picklist(operationKinds)),
  version: v.nullable(VersionSchema),
  /** Whose files are being unpacked. */
  module: v.nullable(v.string()),
  /** Of the download or the unpacking; 0 of 0 where nothing is counted. */
  bytes: ByteCountSchema,
  total_bytes: ByteCountSchema,
  /** Null where nothing is counted, or not long enough. */
  bytes_per_second: v.nullable(ByteCountSchema),
  /** What the download of the update takes, or took. */
  download: v.nullable(TrafficSchema),
});

export const HealthSchema = v.object({
  status: v.literal('ok'),
  version: v.string(),
  stage: StageSchema,
  uptime_s: v.pipe(v.number(), v.integer(), v.minValue(0)),
});

/** All leases in force. */
export const HoldsSchema = v.object({ holds: v.array(HoldSchema) });

export const HistorySchema = v.object({ updates: v.array(HistoryEntrySchema) });

/** A refusal on an endpoint: HTTP 200, the error's code and words in the envelope. */
export const RefusalSchema = v.object({
  code: v.picklist([400, 404, 409, 410, 500]),
  msg: ErrorTextSchema,
});

/** GET /progress in the failed stage: the error in the envelope, stage and progress at the root and in `data`. */
export const FailedProgressSchema = v.object({
  code: v.literal(500),
  msg: ErrorTextSchema,
  stage: v.literal('failed'),
  progress: PercentSchema,
  data: ProgressSchema,
});

/** A request that reached no endpoint; `code` repeats the HTTP status. */
export const HttpErrorSchema = v.object({
  code: v.pipe(v.number(), v.integer(), v.minValue(400), v.maxValue(599)),
  msg: v.pipe(v.string(), v.regex(/^[A-Z_]+: /)),
});

/** A successful reply that carries `data`. */
export function successSchema<Data extends v.GenericSchema>(data: Data) {
  return v.object({ code: v.literal(200), msg: v.literal('success'), data });
}

export interface Endpoint {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly summary: string;
  /** Absent: the endpoint takes no body. */
  readonly request?: v.GenericSchema<unknown, object>;
  /** True: a request without a body counts as `{}`. */
  readonly bodyIsOptional?: boolean;
  readonly data: v.GenericSchema;
  /** What it may refuse with; INTERNAL_ERROR is understood. */
  readonly refusals: readonly ErrorCode[];
}

export const endpoints = {
  download: {
    method: 'POST',
    path: '/api/v1.0/download',
    summary: 'Starts or resumes the download of a package; answers at once.',
    request: PackageSchema,
    data: StatusSchema,
    refusals: ['VALIDATION_ERROR', 'OPERATION_IN_PROGRESS'],
  },
  update: {
    method: 'POST',
    path: '/api/v1.0/update',
    summary: 'Installs the verified package of that version; answers at once.',
    request: UpdateRequestSchema,
    data: StatusSchema,
    refusals: [
      'VALIDATION_ERROR',
      'DOWNLOAD_INCOMPLETE',
      'MD5_NOT_VERIFIED',
      'OPERATION_IN_PROGRESS',
      'VERSION_MISMATCH',
      'PACKAGE_EXPIRED',
      'DOWNGRADE_REFUSED',
    ],
  },
  hold: {
    method: 'POST',
    path: '/api/v1.0/hold',
    summary: 'Makes installs wait: a lease that its owner renews or releases, and that ends by itself.',
    request: HoldRequestSchema,
    data: HoldsSchema,
    refusals: ['VALIDATION_ERROR', 'OPERATION_IN_PROGRESS'],
  },
  release: {
    method: 'POST',
    path: '/api/v1.0/release',
    summary: "Ends an owner's hold; one that has none is no error.",
    request: ReleaseRequestSchema,
    data: HoldsSchema,
    refusals: ['VALIDATION_ERROR'],
  },
  progress: {
    method: 'GET',
    path: '/api/v1.0/progress',
    summary: 'The current stage and its progress, from memory.',
    data: ProgressSchema,
    refusals: [],
  },
  cancel: {
    method: 'POST',
    path: '/api/v1.0/cancel',
    summary: 'Stops a download (its bytes are kept) or discards a waiting package.',
    request: CancelRequestSchema,
    bodyIsOptional: true,
    data: StatusSchema,
    refusals: ['VALIDATION_ERROR', 'OPERATION_IN_PROGRESS'],
  },
  rollback: {
    method: 'POST',
    path: '/api/v1.0/rollback',
    summary: 'Reinstates what was there before the last update, or before the named one.',
    request: RollbackRequestSchema,
    bodyIsOptional: true,
    data: StatusSchema,
    refusals: ['VALIDATION_ERROR', 'NO_BACKUP', 'OPERATION_IN_PROGRESS'],
  },
  history: {
    method: 'GET',
    path: '/api/v1.0/history',
    summary: 'Past updates and rollbacks, newest first.',
    data: HistorySchema,
    refusals: [],
  },
  versions: {
    method: 'GET',
    path: '/api/v1.0/versions',
    summary:
      'What is installed, with the version that brought each module, and which package waits; with release notes.',
    data: VersionsSchema,
    refusals: [],
  },
  audit: {
    method: 'GET',
    path: '/api/v1.0/audit',
    summary: 'What the last audit found, and whether one runs.',
    data: AuditStateSchema,
    refusals: [],
  },
  startAudit: {
    method: 'POST',
    path: '/api/v1.0/audit',
    summary:
      'Compares the deployed files with what was installed, and with `repair` restores what differs; answers at once.',
    request: AuditRequestSchema,
    bodyIsOptional: true,
    data: StatusSchema,
    refusals: ['VALIDATION_ERROR', 'NO_BACKUP', 'OPERATION_IN_PROGRESS'],
  },
  fleet: {
    method: 'GET',
    path: '/api/v1.0/fleet',
    summary:
      'What the server of the fleet wants of this device, and whether it answers. Nulls if there is none.',
    data: FleetStateSchema,
    refusals: [],
  },
  askFleet: {
    method: 'POST',
    path: '/api/v1.0/fleet',
    summary:
      'Asks the server of the fleet now (`poll`), or answers its question, or an order that waits for consent (`confirm`).',
    request: FleetRequestSchema,
    data: FleetStateSchema,
    refusals: ['VALIDATION_ERROR', 'OPERATION_IN_PROGRESS', 'PACKAGE_EXPIRED', 'DOWNGRADE_REFUSED'],
  },
  healthz: {
    method: 'GET',
    path: '/healthz',
    summary: 'The daemon is alive; needs no token.',
    data: HealthSchema,
    refusals: [],
  },
} as const satisfies Record<string, Endpoint>;

export type EndpointName = keyof typeof endpoints;

interface Document {
  readonly path: string;
  readonly contentType: string;
  readonly summary: string;
}

/** What is answered without the envelope, always to GET. */
export const documents = {
  screen: {
    path: '/',
    contentType: 'text/html; charset=utf-8',
    summary: 'A page that shows the progress, live; needs no token.',
  },
  events: {
    path: '/api/v1.0/events',
    contentType: 'text/event-stream',
    summary:
      'Server-sent events named `progress`: the current state at once, then every change. A comment every 15 s keeps the stream open.',
  },
  metrics: {
    path: '/metrics',
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    summary: 'Metrics in the text format of Prometheus.',
  },
  openapi: { path: '/openapi.json', contentType: 'application/json', summary: 'This document.' },
} as const satisfies Record<string, Document>;

export type DocumentName = keyof typeof documents;
