/**
 * What ran before an update, as plain JSON for the journal, so that a restarted updater can start it again. Pure. No process
 * ids, which mean nothing after a restart. The environment may hold secrets: who writes this keeps the file to root.
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

/** A unit as it was; `triggers` and `dependents` are those that were active. */
const UnitBeforeSchema = v.object({
  unit: v.string(),
  /** LoadState, ActiveState, SubState and UnitFileState of systemctl(1). */
  load: v.string(),
  active: v.string(),
  sub: v.string(),
  file: v.string(),
  /** Sockets, timers and paths that start it. */
  triggers: v.array(v.string()),
  /** Units that systemd stops with it. */
  dependents: v.array(v.string()),
});
export type UnitBefore = v.InferOutput<typeof UnitBeforeSchema>;

/**
 * One service of an update. What was `running` is what an undo starts; the rest is of the target set, which the transaction
 * leads to (of a rollback: the older version). Optional fields are not in a journal of 0.1.0.
 */
const ServiceSnapshotSchema = v.object({
  /** The first of the modules that are this service: they share a process name, a unit or a command line. */
  module: v.string(),
  modules: v.optional(v.array(v.string()), []),
  /** What its processes are found by, in either set; null: it has none of its own. */
  processName: v.nullable(v.string()),
  moreNames: v.optional(v.array(v.string()), []),
  /** Lower starts first, null last (FR-014). */
  restartOrder: v.nullable(v.number()),
  /** The units the target set names, where systemd runs. */
  unit: v.nullable(v.string()),
  moreUnits: v.optional(v.array(v.string()), []),
  /** The command lines the target set names. */
  start: v.nullable(v.array(v.string())),
  moreStarts: v.optional(v.array(v.array(v.string())), []),
  /** Units that were active: those either set names, and those its processes belonged to. */
  runningUnits: v.array(v.string()),
  /** Processes outside of units, without those another one of them had started. */
  runningProcesses: v.array(CapturedProcessSchema),
  /** Of a service that did not run: how an earlier update saw it run, which says whose it is. */
  lastRan: v.optional(v.array(CapturedProcessSchema), []),
  /** Of a rollback: how it ran when the older version was the one that ran. */
  earlier: v.optional(
    v.object({
      units: v.array(UnitBeforeSchema),
      runningUnits: v.array(v.string()),
      runningProcesses: v.array(CapturedProcessSchema),
    }),
  ),
  /** Every unit concerned, as it was. */
  units: v.optional(v.array(UnitBeforeSchema), []),
  /** Units that the target set enables, and those that it does not enable any more. */
  enables: v.optional(v.array(v.string()), []),
  /** Of a rollback: units that come back with a module which an update took away, enabled as they were. */
  enablesAgain: v.optional(v.array(v.string()), []),
  disables: v.optional(v.array(v.string()), []),
  /** Units that only the set before names, where the target set says another way to start the service. */
  leaves: v.optional(v.array(v.string()), []),
  /** The target set has no such service: nothing is started. */
  goes: v.optional(v.boolean(), false),
});
export type ServiceSnapshot = v.InferOutput<typeof ServiceSnapshotSchema>;

export const ServiceSnapshotsSchema = v.array(ServiceSnapshotSchema);

/** Which set is started: the one that the transaction leads to, or the one that ran when the services were captured. */
export type WhichSet = 'target' | 'captured';

export function namesOf({ processName, moreNames }: ServiceSnapshot): string[] {
  return processName === null ? [] : [processName, ...moreNames];
}

export function unitsOfTarget({ unit, moreUnits }: ServiceSnapshot): string[] {
  return unit === null ? [] : [unit, ...moreUnits];
}

export function startsOfTarget({ start, moreStarts }: ServiceSnapshot): string[][] {
  return start === null ? [] : [start, ...moreStarts];
}

export function modulesOf({ module, modules }: ServiceSnapshot): string[] {
  return modules.length > 0 ? modules : [module];
}

/** Whether a unit was enabled when the service was captured. */
export function wasEnabled({ units }: Pick<ServiceSnapshot, 'units'>, name: string): boolean {
  return units.some(({ unit, file }) => unit === name && file === 'enabled');
}
