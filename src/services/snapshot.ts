/**
 * What ran before an update, as plain JSON: the transaction's journal keeps it, so that a restarted updater can start
 * again what the one before it had stopped. Pure.
 *
 * Invariant: no process ids. They mean nothing after a restart of the device; what has to be stopped is looked for by
 * name each time. The environment may hold secrets: who writes this keeps the file to root.
 */
import * as v from 'valibot';

const CapturedProcessSchema = v.object({
  argv: v.pipe(v.array(v.string()), v.minLength(1)),
  /** What the exe link showed; runs where argv[0] names no program. */
  program: v.nullable(v.string()),
  cwd: v.string(),
  env: v.record(v.string(), v.string()),
  uid: v.number(),
  gid: v.number(),
  groups: v.array(v.number()),
  /** Not in a journal of 0.1.0. */
  traits: v.optional(
    v.object({
      umask: v.number(),
      nice: v.number(),
      oomScoreAdj: v.number(),
      cpus: v.optional(v.string()),
      limits: v.record(v.string(), v.tuple([v.string(), v.string()])),
      ambientCapabilities: v.optional(v.string()),
      boundingCapabilities: v.optional(v.string()),
      noNewPrivileges: v.optional(v.boolean()),
    }),
  ),
  /** Files or devices; a pipe or socket cannot be had again. */
  stdout: v.optional(v.string()),
  stderr: v.optional(v.string()),
});
export type CapturedProcess = v.InferOutput<typeof CapturedProcessSchema>;

const ServiceSnapshotSchema = v.object({
  module: v.string(),
  /** What its processes are found by; null: it has none of its own. */
  processName: v.nullable(v.string()),
  /** Lower starts first, null last (FR-014). */
  restartOrder: v.nullable(v.number()),
  /** The unit the manifest names, where systemd runs. */
  unit: v.nullable(v.string()),
  /** The command line the manifest names. */
  start: v.nullable(v.array(v.string())),
  /** Units that were active: the manifest's, and those its processes belonged to. */
  runningUnits: v.array(v.string()),
  /** Processes outside of units, without those another one of them had started. */
  runningProcesses: v.array(CapturedProcessSchema),
});
export type ServiceSnapshot = v.InferOutput<typeof ServiceSnapshotSchema>;

export const ServiceSnapshotsSchema = v.array(ServiceSnapshotSchema);
