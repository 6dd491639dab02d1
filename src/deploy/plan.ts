/** The plan of a transaction: the steps from what stands to what shall stand, and the names that each uses. Pure, and plain JSON for the journal. */

import type { Attributes } from '../host/host.ts';
import type { List } from '../packed-list.ts';
import type { ServiceSpec } from '../release.ts';
import type { Seal } from '../seal.ts';
import { directoryOf } from './paths.ts';

/** Replaces or creates one file or symlink. */
export interface PutStep {
  readonly kind: 'put';
  readonly module: string;
  readonly target: string;
  /** See stagedPath, keptPath, restorePath. */
  readonly temp: string;
  /** Absolute path of the saved old file; null where nothing was there. */
  readonly backup: string | null;
  /** ZIP entry name of an update, backup path of a rollback. */
  readonly source: string;
  readonly sizeBytes: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly md5: string | null;
  readonly sha256: string | null;
  /** Of a symlink that an update or a repair brings: where it leads to. A rollback takes it from the backup. */
  readonly link?: string | undefined;
  /** The directory that it takes the place of, with its attributes: empty by then, and kept under keptPath until the commit. */
  readonly replacesDirectory?: DirectoryAttributes | undefined;
  /** Of the package's entry, for the record of what is deployed. */
  readonly crc32?: number;
  /** Of a repair, whose file was remembered by its seal. */
  readonly seal?: Seal | undefined;
  /** Its extended attributes, where it is to have any (carried-attributes.ts). Not of a rollback: there the backup has them. */
  readonly attributes?: Attributes | undefined;
}

export interface RemoveStep {
  readonly kind: 'remove';
  readonly module: string;
  readonly target: string;
  readonly temp: string;
  readonly backup: string;
}

export interface DirectoryAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * A directory that comes or goes. A `holdDirectory` lives as long as the transaction: it keeps the names of a set-uid file out
 * of others' reach. `becomeDirectory`: at its place, or above, stands a file until the switch (turned.ts).
 */
export interface DirectoryStep extends DirectoryAttributes {
  readonly kind: 'makeDirectory' | 'removeDirectory' | 'holdDirectory' | 'becomeDirectory';
  readonly target: string;
  /** Of `becomeDirectory`: where it is made, to be renamed, with those in it, when the file has gone. */
  readonly staged?: string;
}

export type FileStep = PutStep | RemoveStep;
export type Step = FileStep | DirectoryStep;

/** What is run for one module of a transaction, and what takes it back. Command lines; either may be empty. */
export interface PlannedCommands {
  readonly module: string;
  /** Of the update that brought the commands, and what was installed before it. */
  readonly version: string;
  readonly previousVersion: string | null;
  /** Id of that update, where this transaction is another one. */
  readonly update?: string;
  /** After the switch, before services start. */
  readonly run: readonly (readonly string[])[];
  /** Where `run` had begun: after everything is back as it was. */
  readonly undo: readonly (readonly string[])[];
  readonly timeoutMs: number;
}

export interface Plan {
  readonly format: 1;
  /** UTC time to the millisecond, `20261123T200204123Z`; unique and rising, also where the clock goes back. */
  readonly id: string;
  readonly kind: 'update' | 'rollback' | 'repair';
  /** What is installed when it is committed; null: nothing (the first update is taken back). */
  readonly version: string | null;
  readonly previousVersion: string | null;
  /** Epoch milliseconds. */
  readonly startedMs: number;
  readonly modules: readonly string[];
  /** Modules of the device that an update takes away; absent where none goes. */
  readonly removed?: readonly string[];
  /** Of the set that the transaction leads to; `servicesBefore` of the one that is there (not in a plan of 0.1.0). */
  readonly services: readonly ServiceSpec[];
  readonly servicesBefore?: readonly ServiceSpec[] | undefined;
  /** The machine is restarted between the switch and the services' start. */
  readonly reboot: boolean;
  /** The fleet's order that brought the package, for the history. */
  readonly action?: string;
  /** The path of the updater's own executable, where the transaction replaces it. */
  readonly self?: string;
  /** Ids of the updates that a rollback takes back. */
  readonly consumes: readonly string[];
  /** What is put beside files that somebody has edited, the first limits.besideNames of it; absent where nothing is. */
  readonly beside?: readonly string[];
  /** Likewise, where it would be put and something else stays. */
  readonly notBeside?: readonly string[];
  /** In the order in which they run; absent where there are none, and in journals of 0.1.0. */
  readonly commands?: readonly PlannedCommands[];
  /** Every old file had its kept name (keptPath) before the switch; absent in journals of 0.1.0, which made some only. */
  readonly keepsNames?: true;
  /** Of a rollback: its staged files are other names of the backups, as the disk has no room for copies. */
  readonly sharesBackups?: boolean;
  /** No two targets are the same but for upper and lower case; absent in journals of 0.1.0, which did not tell. */
  readonly foldsApart?: true;
  /** Directories parents first, then files; removed directories deepest first at the end. */
  readonly steps: Steps;
}

/** Thousands of them are not held as objects; what of them is asked for often goes with them (step-list.ts). */
export type Steps = List<Step> & {
  readonly summary?: StepSummary;
  /** Undefined beyond the end. Neighbours are cheap. */
  at(index: number): Step | undefined;
};

export interface StepSummary {
  /** Steps that put or remove a file. */
  readonly fileCount: number;
  /** Of the files that are put. */
  readonly bytes: number;
  /** Of the steps: those that put a symlink, that remove, and that keep what stands there. */
  readonly links: number;
  readonly removes: number;
  readonly keeps: number;
  readonly directories: readonly DirectoryStep[];
  /** Where names change: each directory once. */
  readonly touched: ReadonlySet<string>;
  /** Places that change their kind, see turned.ts. */
  readonly turned: ReadonlySet<string>;
  /** With a file that is put or removed. */
  readonly modules: ReadonlySet<string>;
  /** Targets that have the name of a systemd unit's file, or lie where its drop-ins do. */
  readonly unitFiles: readonly string[];
}

/** The staged file of a put step. */
export function stagedPath(step: PutStep): string {
  return `${step.temp}.new`;
}

/** The old file's other name beside its target, made before the switch, or by it: undo renames it back, which takes no room. */
export function keptPath(step: FileStep): string {
  return `${step.temp}.kept`;
}

/** Where undo copies a backup to, where the kept name is gone, before it is renamed over the target. */
export function restorePath(step: FileStep): string {
  return `${step.temp}.old`;
}

export function* fileSteps(plan: Plan): Generator<FileStep> {
  for (const step of plan.steps) if (step.kind === 'put' || step.kind === 'remove') yield step;
}

export function* putSteps(plan: Plan): Generator<PutStep> {
  for (const step of plan.steps) if (step.kind === 'put') yield step;
}

export function directorySteps(plan: Plan, kind: DirectoryStep['kind']): DirectoryStep[] {
  return summaryOf(plan).directories.filter((step) => step.kind === kind);
}

export function summaryOf({ steps }: Pick<Plan, 'steps'>): StepSummary {
  if (steps.summary !== undefined) return steps.summary;
  const summing = newSummary();
  for (const step of steps) summing.add(step);
  return summing.summary;
}

/** Of systemd.unit(5). */
const unitFile = /\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)(\.d\/[^/]+)?$/;

/** A summary that grows. */
export function newSummary(): { readonly summary: StepSummary; add(step: Step): void } {
  const summary = {
    fileCount: 0,
    bytes: 0,
    links: 0,
    removes: 0,
    keeps: 0,
    directories: [] as DirectoryStep[],
    touched: new Set<string>(),
    turned: new Set<string>(),
    modules: new Set<string>(),
    unitFiles: [] as string[],
  };
  return {
    summary,
    add: (step) => {
      summary.touched.add(directoryOf(step.target));
      if (step.kind === 'put' || step.kind === 'remove') {
        summary.fileCount += 1;
        summary.modules.add(step.module);
        if (unitFile.test(step.target)) summary.unitFiles.push(step.target);
        if (step.backup !== null || (step.kind === 'put' && step.replacesDirectory !== undefined))
          summary.keeps += 1;
        if (step.kind === 'remove') summary.removes += 1;
        if (step.kind !== 'put') return;
        summary.bytes += step.sizeBytes;
        if (step.link !== undefined) summary.links += 1;
        if (step.replacesDirectory !== undefined) summary.turned.add(step.target);
        return;
      }
      summary.directories.push(step);
      if (step.kind === 'becomeDirectory') summary.turned.add(step.target);
    },
  };
}

/** The directories whose names a plan changes, to be synced, parents first; without those that only hold staged files. */
export function touchedDirectories(plan: Plan): string[] {
  return [...summaryOf(plan).touched].sort();
}

/** Directories made beside their targets, which are to be durable themselves before the switch. */
export function stagedDirectories(plan: Plan): string[] {
  return [
    ...directorySteps(plan, 'holdDirectory').map(({ target }) => target),
    ...directorySteps(plan, 'becomeDirectory').map(({ target, staged }) => staged ?? target),
  ];
}
