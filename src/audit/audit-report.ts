/** What an audit is asked for and what it tells: GET and POST /audit, and logs/audit.json. Pure: schemas and their types. */
import * as v from 'valibot';
import { differenceKinds } from '../deploy/compare.ts';

/** What POST /audit asks for. */
export const AuditRequestSchema = v.object({
  /** Also restores what differs and can be restored. */
  repair: v.optional(v.boolean(), false),
});
export type AuditRequest = v.InferOutput<typeof AuditRequestSchema>;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** One file that is not as it was deployed. */
export const AuditFindingSchema = v.object({
  path: v.string(),
  module: v.string(),
  kind: v.picklist(differenceKinds),
  text: v.string(),
  /** Null: nobody tried. */
  restored: v.nullable(v.boolean()),
  /** From what it was restored, or why it cannot be and what to do; null: nobody tried. */
  note: v.nullable(v.string()),
});
export type AuditFinding = v.InferOutput<typeof AuditFindingSchema>;

/** What an audit found. Times are ISO 8601. */
export const AuditReportSchema = v.object({
  /** What is deployed; null: not known. */
  version: v.nullable(v.string()),
  /** Why nothing could be compared; null: it was. */
  unknown: v.nullable(v.string()),
  started_at: v.pipe(v.string(), v.isoTimestamp()),
  ended_at: v.pipe(v.string(), v.isoTimestamp()),
  files: count,
  bytes: count,
  /** Files that are not as they were deployed, after a repair if there was one. */
  differing: count,
  /** The first of those that were found. */
  findings: v.array(AuditFindingSchema),
  /** Files below directory modules that are not compared, as others put them there or the manifest keeps them: no fault. */
  extra: count,
  extra_files: v.array(v.string()),
});
export type AuditReport = v.InferOutput<typeof AuditReportSchema>;

/** What GET /audit answers. */
export const AuditStateSchema = v.object({
  running: v.boolean(),
  /** Compared so far by the audit that runs. */
  files: count,
  /** Of the last audit that came to its end; null: there was none. */
  report: v.nullable(AuditReportSchema),
});
export type AuditState = v.InferOutput<typeof AuditStateSchema>;
