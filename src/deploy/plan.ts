/**
 * The plan of a transaction: from what is wanted and what is on the disk to the list of steps that leads there.
 * Pure; the plan is what the journal stores, so it is plain JSON.
 *
 * Invariants: every step names its own temporary, unique to this transaction, in the target's own directory (same
 * filesystem, so that rename is atomic); a step that replaces or removes something names a backup of its own.
 */
import { posix } from 'node:path';
import { UpdateError } from '../errors.ts';
import type { FileStat } from '../host/host.ts';
import type { ServiceSpec } from '../release.ts';
import type { Seal } from '../seal.ts';
import { below, directoryOf, inDirectory } from './paths.ts';

/** Replaces or creates one file (or symlink, when a rollback brings one back). */
export interface PutStep {
  readonly kind: 'put';
  readonly module: string;
  readonly target: string;
  /** `${temp}.new` is the staged file, `${temp}.kept` and `${temp}.old` serve the undo. */
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
  /** Of a repair, whose file was remembered by its seal. */
  readonly seal?: Seal | undefined;
}

export interface RemoveStep {
  readonly kind: 'remove';
  readonly module: string;
  readonly target: string;
  readonly temp: string;
  readonly backup: string;
}

/** A directory that is new, or that goes; `mode`, `uid`, `gid` are its attributes. */
export interface DirectoryStep {
  readonly kind: 'makeDirectory' | 'removeDirectory';
  readonly target: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export type FileStep = PutStep | RemoveStep;
export type Step = FileStep | DirectoryStep;

/** What is run for one module of a transaction, and what takes it back. Command lines; either may be empty. */
export interface PlannedCommands {
  readonly module: string;
  /** Of the update that brought the commands, and what was installed before it. */
  readonly version: string;
  readonly previousVersion: string | null;
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
  /** Of the set that the transaction leads to; `servicesBefore` of the one that is there (not in a plan of 0.1.0). */
  readonly services: readonly ServiceSpec[];
  readonly servicesBefore?: readonly ServiceSpec[] | undefined;
  /** The machine is restarted between the switch and the services' start. */
  readonly reboot: boolean;
  /** The fleet's order that brought the package, for the history. */
  readonly action?: string;
  /** Ids of the updates that a rollback takes back. */
  readonly consumes: readonly string[];
  /** In the order in which they run; absent where there are none, and in journals of 0.1.0. */
  readonly commands?: readonly PlannedCommands[];
  /** Directories parents first, then files; removed directories deepest first at the end. */
  readonly steps: readonly Step[];
}

/** One thing that shall be so when the transaction is committed. */
export type Want =
  | {
      readonly kind: 'file';
      readonly module: string;
      readonly target: string;
      readonly source: string;
      readonly sizeBytes: number;
      readonly mode: number | undefined;
      /** The wanted mode outranks the one of the file that is replaced. */
      readonly modeIsForced: boolean;
      readonly owner: Owner | undefined;
      readonly md5: string | undefined;
      readonly sha256: string | undefined;
      readonly seal?: Seal | undefined;
    }
  | {
      readonly kind: 'directory';
      readonly module: string;
      readonly target: string;
      readonly mode: number | undefined;
      readonly owner: Owner | undefined;
    }
  | { readonly kind: 'absent'; readonly module: string; readonly target: string };

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** What planning must know of the disk: made by survey.ts. */
export interface Facts {
  /** Of every wanted path and every directory above it that may be missing; undefined: nothing is there. */
  readonly found: ReadonlyMap<string, FileStat | undefined>;
  /** Missing directories above wanted paths, parents first. */
  readonly missingParents: readonly string[];
  /** The updater's own ids: what new files belong to unless something says otherwise. */
  readonly self: Owner;
}

export interface PlanHeader extends Omit<Plan, 'steps' | 'format'> {
  /** Absolute path of backups/. */
  readonly backupDirectory: string;
  /** Root of each module's tree or its single file: names the backup inside `<module>.<id>.bak`. */
  readonly moduleRoots: ReadonlyMap<string, string>;
}

const newFileMode = 0o644;
const newDirectoryMode = 0o755;

/**
 * Makes the plan. Throws DEPLOYMENT_FAILED where a directory stands at a file's place or a file at a directory's:
 * the one cannot be renamed over the other, and guessing would lose data.
 */
export function makePlan(header: PlanHeader, wants: readonly Want[], facts: Facts): Plan {
  const { backupDirectory, moduleRoots, ...rest } = header;
  const makeSteps: Step[] = facts.missingParents.map((target) =>
    newDirectory(target, undefined, undefined, facts.self),
  );
  const fileSteps: Step[] = [];
  const removedDirectories: DirectoryStep[] = [];
  const made = new Set(facts.missingParents);

  for (const [index, want] of wants.entries()) {
    const found = facts.found.get(want.target);
    const temp = inDirectory(directoryOf(want.target), `.tope-${header.id}.${index}`);
    const backup = backupPath(
      backupDirectory,
      want.module,
      header.id,
      moduleRoots.get(want.module),
      want.target,
    );
    switch (want.kind) {
      case 'file': {
        if (found?.kind === 'directory')
          throw new UpdateError('DEPLOYMENT_FAILED', `${want.target} is a directory, a file is due there`);
        if (found?.kind === 'other')
          throw new UpdateError(
            'DEPLOYMENT_FAILED',
            `${want.target} is a device, socket or pipe, a file is due there`,
          );
        const replaced = found?.kind === 'file' ? found : undefined;
        const owner = want.owner ?? replaced ?? facts.self;
        fileSteps.push({
          kind: 'put',
          module: want.module,
          target: want.target,
          temp,
          backup: found ? backup : null,
          source: want.source,
          sizeBytes: want.sizeBytes,
          mode: (want.modeIsForced ? want.mode : (replaced?.mode ?? want.mode)) ?? newFileMode,
          uid: owner.uid,
          gid: owner.gid,
          md5: want.md5 ?? null,
          sha256: want.sha256 ?? null,
          ...(want.seal && { seal: want.seal }),
        });
        break;
      }
      case 'directory':
        if (found === undefined) {
          if (!made.has(want.target))
            makeSteps.push(newDirectory(want.target, want.mode, want.owner, facts.self));
          made.add(want.target);
        } else if (found.kind !== 'directory') {
          throw new UpdateError('DEPLOYMENT_FAILED', `${want.target} is not a directory, one is due there`);
        }
        break;
      case 'absent':
        if (found?.kind === 'directory') {
          const { mode, uid, gid } = found;
          removedDirectories.push({ kind: 'removeDirectory', target: want.target, mode, uid, gid });
        } else if (found?.kind === 'file' || found?.kind === 'symlink') {
          fileSteps.push({ kind: 'remove', module: want.module, target: want.target, temp, backup });
        }
        break;
      default:
        want satisfies never;
    }
  }
  removedDirectories.sort((a, b) => b.target.length - a.target.length);
  return { format: 1, ...rest, steps: [...makeSteps, ...fileSteps, ...removedDirectories] };
}

/** The staged file of a put step. */
export function stagedPath(step: PutStep): string {
  return `${step.temp}.new`;
}

/** A second name of the old file on its own filesystem, where its backup had to be a copy: undo needs no room then. */
export function keptPath(step: FileStep): string {
  return `${step.temp}.kept`;
}

/** Where undo puts the old file before it is renamed over the target. */
export function restorePath(step: FileStep): string {
  return `${step.temp}.old`;
}

export function fileSteps(plan: Plan): FileStep[] {
  return plan.steps.filter((step) => step.kind === 'put' || step.kind === 'remove');
}

export function putSteps(plan: Plan): PutStep[] {
  return plan.steps.filter((step) => step.kind === 'put');
}

export function directorySteps(plan: Plan, kind: DirectoryStep['kind']): DirectoryStep[] {
  return plan.steps.filter((step): step is DirectoryStep => step.kind === kind);
}

/** The directories whose names a plan changes: those to sync, parents first, each once. */
export function touchedDirectories(plan: Plan): string[] {
  const touched = new Set<string>();
  for (const { target } of plan.steps) touched.add(directoryOf(target));
  return [...touched].sort();
}

/** A new id that is later than `latest`, also where the clock says otherwise. Ids sort as text. */
export function nextId(nowMs: number, latest: string | undefined): string {
  const id = idOf(nowMs);
  return latest === undefined || id > latest ? id : idOf(timeOf(latest) + 1);
}

function idOf(epochMs: number): string {
  return new Date(epochMs).toISOString().replace(/[-:.]/g, '');
}

function timeOf(id: string): number {
  return Date.parse(id.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z$/, '$1-$2-$3T$4:$5:$6.$7Z'));
}

function newDirectory(
  target: string,
  mode: number | undefined,
  owner: Owner | undefined,
  self: Owner,
): DirectoryStep {
  const { uid, gid } = owner ?? self;
  return { kind: 'makeDirectory', target, mode: mode ?? newDirectoryMode, uid, gid };
}

function backupPath(
  directory: string,
  module: string,
  id: string,
  root: string | undefined,
  target: string,
): string {
  const own = inDirectory(directory, `${module}.${id}.bak`);
  const inside = root === undefined ? '' : below(root, target);
  if (inside === undefined) return posix.join(own, posix.relative(root ?? '/', target));
  return inside === '' ? own : `${own}/${inside}`;
}
