/**
 * Planning: from what is wanted and what is on the disk to the list of steps that leads there. Pure.
 *
 * Invariants: every step names its own temporary, unique to this transaction, in the target's own directory (same
 * filesystem, so that rename is atomic); a step that replaces or removes something names a backup of its own; what has
 * the set-uid or set-gid bit gets no second name that others can reach.
 */
import { UpdateError } from '../errors.ts';
import type { FileOwner } from '../host/host.ts';
import type { Found } from './findings.ts';
import { baseOf, below, directoryOf, inDirectory } from './paths.ts';
import type { DirectoryAttributes, DirectoryStep, Plan } from './plan.ts';
import type { StepList } from './step-list.ts';
import { placeAbove, steadyDirectory } from './turned.ts';
import type { Facts, FileWant, Want } from './want.ts';

export interface PlanHeader extends Omit<Plan, 'steps' | 'format'> {
  /** Absolute path of backups/. */
  readonly backupDirectory: string;
  /**
   * Root of each module's tree or its single file: names the backup inside `<module>.<id>.bak`. Without it backups have
   * numbers: those of a rollback live only as long as it runs, and on a full disk there is no room for directories.
   */
  readonly moduleRoots: ReadonlyMap<string, string>;
}

const newFileMode = 0o644;
/** Nothing looks at it. */
const linkMode = 0o777;
const newDirectoryMode = 0o755;
/** Set-uid and set-gid. */
const setIdBits = 0o6000;

/**
 * Makes the plan; its steps go into `list`, which must be empty. `wants`: where they are many, the caller's iterable gives way to
 * others (host/breathing.ts). Throws DEPLOYMENT_FAILED where a device, socket or pipe is in the way. Whether a directory may give way
 * to a file is the survey's to say (turned.ts).
 */
export async function makePlan(
  header: PlanHeader,
  wants: AsyncIterable<Want> | Iterable<Want>,
  facts: Facts,
  list: StepList,
): Promise<Plan> {
  const { backupDirectory: _directory, moduleRoots: _roots, ...rest } = header;
  const newDirectories = facts.missingParents.map((target) =>
    newDirectory(target, undefined, facts.parentOwners?.get(target), facts.self),
  );
  const holdDirectories: DirectoryStep[] = [];
  const becomeSteps: DirectoryStep[] = [];
  const removedDirectories: DirectoryStep[] = [];
  const made = new Set(facts.missingParents);
  const tempName = (beside: string, mode: number): string => {
    if ((mode & setIdBits) === 0) return beside;
    holdDirectories.push({ kind: 'holdDirectory', target: beside, mode: 0o700, ...facts.self });
    return inDirectory(beside, 'file');
  };

  let index = -1;
  for await (const want of wants) {
    index += 1;
    const found = facts.found.get(want.target);
    const beside = inDirectory(
      steadyDirectory(facts.turned, directoryOf(want.target)),
      `.tope-${header.id}.${index}`,
    );
    const backup = backupPath(header, want, index);
    switch (want.kind) {
      case 'file': {
        if (found?.kind === 'other')
          throw new UpdateError(
            'DEPLOYMENT_FAILED',
            `${want.target} is a device, socket or pipe, a file is due there`,
          );
        const replaced = found?.kind === 'file' ? found : undefined;
        const isOtherCase = facts.otherCases.has(want.target);
        if (!isOtherCase && isLeftAlone(want, found, facts)) break;
        const owner = ownerOf(want, found, facts.self);
        const attributes = facts.attributes?.get(want.target)?.values;
        const mode = want.link === undefined ? modeOf(want, replaced) : linkMode;
        const temp = tempName(beside, mode | (replaced?.mode ?? 0));
        list.add({
          kind: 'put',
          module: want.module,
          target: want.target,
          temp,
          backup: found && found.kind !== 'directory' && !isOtherCase ? backup : null,
          source: want.source,
          sizeBytes: want.sizeBytes,
          mode,
          uid: owner.uid,
          gid: owner.gid,
          md5: want.md5 ?? null,
          sha256: want.sha256 ?? null,
          ...(want.link !== undefined && { link: want.link }),
          ...(want.crc32 !== undefined && { crc32: want.crc32 }),
          ...(found?.kind === 'directory' && { replacesDirectory: attributesOf(found) }),
          ...(want.seal && { seal: want.seal }),
          ...(attributes && { attributes }),
        });
        break;
      }
      case 'directory':
        if (found?.kind === 'other')
          throw new UpdateError(
            'DEPLOYMENT_FAILED',
            `${want.target} is a device, socket or pipe, a directory is due there`,
          );
        if (placeAbove(facts.turned, want.target) !== undefined) {
          if (found && found.kind !== 'directory') {
            const temp = tempName(beside, found.kind === 'file' ? found.mode : 0);
            list.add({ kind: 'remove', module: want.module, target: want.target, temp, backup });
          }
          const step = newDirectory(want.target, want.mode, want.owner, facts.self);
          becomeSteps.push({ ...step, kind: 'becomeDirectory', staged: `${beside}.new` });
        } else if (found === undefined) {
          if (!made.has(want.target))
            newDirectories.push(newDirectory(want.target, want.mode, want.owner, facts.self));
          made.add(want.target);
        }
        break;
      case 'absent':
        if (facts.otherCases.has(want.target)) break; // it is what is wanted
        if (found?.kind === 'directory') {
          removedDirectories.push({ kind: 'removeDirectory', target: want.target, ...attributesOf(found) });
        } else if (found?.kind === 'file' || found?.kind === 'symlink') {
          const temp = tempName(beside, found.kind === 'file' ? found.mode : 0);
          list.add({ kind: 'remove', module: want.module, target: want.target, temp, backup });
        }
        break;
      default:
        want satisfies never;
    }
  }
  // Parents first: of a rollback they come as they were removed, the deepest first.
  newDirectories.sort((a, b) => a.target.length - b.target.length);
  for (const step of newDirectories) list.addFirst(step);
  for (const step of holdDirectories) list.addFirst(step);
  for (const step of inEachOther(becomeSteps)) list.addFirst(step);
  removedDirectories.sort((a, b) => b.target.length - a.target.length);
  for (const step of removedDirectories) list.add(step);
  const known = facts.foldsApart === true ? ({ foldsApart: true } as const) : {};
  return { format: 1, keepsNames: true, ...rest, ...known, steps: list.steps };
}

/** The file is all that is wanted, its mode, owner and stated attributes too: it gets no step. `found`: what stands there. */
export function isLeftAlone(
  want: FileWant,
  found: Found | undefined,
  { self, attributes }: Pick<Facts, 'self' | 'attributes'>,
): boolean {
  if (want.stands !== true || found === undefined) return false;
  if (attributes?.get(want.target)?.isOther === true) return false;
  const mode = want.link === undefined ? modeOf(want, found) : linkMode;
  return isDressed(found, mode, want.owner ?? found ?? self);
}

/** Whom it belongs to in the end; `found`: what stands there now. */
export function ownerOf(want: FileWant, found: Found | undefined, self: FileOwner): FileOwner {
  const replaced = want.link !== undefined || found?.kind === 'file' ? found : undefined;
  return want.owner ?? replaced ?? self;
}

/** The mode that a file has in the end; `replaced`: what stands there now. */
export function modeOf(want: FileWant, replaced: Found | undefined): number {
  return (want.modeIsForced ? want.mode : (replaced?.mode ?? want.mode)) ?? newFileMode;
}

/** Parents first, and each staged in the one above it. */
function inEachOther(steps: readonly DirectoryStep[]): DirectoryStep[] {
  const stagedOf = new Map<string, string>();
  return steps
    .toSorted((a, b) => a.target.length - b.target.length)
    .map((step) => {
      const above = stagedOf.get(directoryOf(step.target));
      const staged =
        above === undefined ? (step.staged ?? step.target) : inDirectory(above, baseOf(step.target));
      stagedOf.set(step.target, staged);
      return { ...step, staged };
    });
}

function attributesOf({ mode, uid, gid }: Found): DirectoryAttributes {
  return { mode, uid, gid };
}

function isDressed(stands: Found, mode: number, { uid, gid }: FileOwner): boolean {
  return stands.mode === mode && stands.uid === uid && stands.gid === gid;
}

function newDirectory(
  target: string,
  mode: number | undefined,
  owner: FileOwner | undefined,
  self: FileOwner,
): DirectoryStep {
  const { uid, gid } = owner ?? self;
  return { kind: 'makeDirectory', target, mode: mode ?? newDirectoryMode, uid, gid };
}

/** A directory of its own also for a single file: what lies in it is out of others' reach. */
function backupPath(
  { backupDirectory, id, moduleRoots }: PlanHeader,
  { module, target }: Want,
  index: number,
): string {
  const root = moduleRoots.get(module);
  const own = inDirectory(backupDirectory, `${module}.${id}.bak`);
  const inside = root === undefined ? `${index}` : below(root, target);
  // A single file, or what is put beside one.
  return inDirectory(own, inside === undefined || inside === '' ? baseOf(target) : inside);
}
