/** What is remembered of each operation that ended. The schema is the one source for the API, the file and the OpenAPI document. */
import * as v from 'valibot';
import { TrafficSchema } from './download/traffic.ts';

/** What the updater can be in the middle of. */
export const operationKinds = ['update', 'rollback', 'repair'] as const;
export type OperationKind = (typeof operationKinds)[number];

/** An order of a fleet's server, `ID@SERVER`: ids of two servers may be the same. Opaque but to fleet/. */
export const FleetActionSchema = v.pipe(v.string(), v.regex(/^[-\w]{1,64}@[0-9a-f]{8}$/));

/** One entry of the history, as GET /history answers it and as it stands in history.jsonl. Times are ISO 8601. */
export const HistoryEntrySchema = v.object({
  id: v.string(),
  kind: v.picklist(operationKinds),
  /** What was installed afterwards, or asked for; null: nothing, as after the first update was taken back. */
  version: v.nullable(v.string()),
  previous_version: v.nullable(v.string()),
  started_at: v.pipe(v.string(), v.isoTimestamp()),
  ended_at: v.pipe(v.string(), v.isoTimestamp()),
  outcome: v.picklist(['success', 'failed']),
  error: v.nullable(v.string()),
  bytes: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  modules: v.array(v.string()),
  /** Modules that the update took from the device; absent: none. */
  removed: v.optional(v.array(v.string())),
  /** Version of the updater that ended it; absent: one of before that wrote none. */
  updater: v.optional(v.string()),
  /** Of an update whose package was downloaded: what that took. */
  download: v.optional(TrafficSchema),
  /** Where the package's own was put beside a file that somebody has edited, which stays; not all where there are many. */
  put_beside: v.optional(v.array(v.string())),
  /** Where it would be put, and something else stays: the package's own is not there. */
  not_put_beside: v.optional(v.array(v.string())),
  /** The order of the fleet's server that brought the package; absent: nobody but the device's own callers. */
  fleet_action: v.optional(FleetActionSchema),
});
export type HistoryEntry = Readonly<
  Omit<v.InferOutput<typeof HistoryEntrySchema>, 'modules' | 'removed' | 'put_beside' | 'not_put_beside'>
> & {
  readonly modules: readonly string[];
  readonly removed?: readonly string[] | undefined;
  readonly put_beside?: readonly string[] | undefined;
  readonly not_put_beside?: readonly string[] | undefined;
};
