/** How much room a plan needs on each filesystem. */
import { UpdateError } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import type { Files } from '../host/host.ts';
import { limits } from '../limits.ts';
import { directoryOf } from './paths.ts';
import { fileSteps, type Plan, summaryOf, touchedDirectories } from './plan.ts';
import { resolveExisting } from './territory.ts';
import { steadyDirectory } from './turned.ts';
import type { Facts } from './want.ts';

export interface Filesystem {
  /** A path on it, for the error's text. */
  readonly path: string;
  readonly device: bigint;
  readonly freeBytes: number;
  readonly blockBytes: number;
}

export interface Need {
  readonly filesystem: Filesystem;
  readonly bytes: number;
}

/** Throws DISK_FULL where the plan does not fit; gives what it needs. */
export async function checkPlanFits(
  files: Files,
  plan: Plan,
  facts: Facts,
  backupDirectory: string,
): Promise<readonly Need[]> {
  const measure = eachOnce(async (directory): Promise<Filesystem> => {
    return { path: directory, ...(await files.space(directory)) };
  });
  const homes = new Map<string, Filesystem>();
  for (const directory of touchedDirectories(plan)) {
    const steady = steadyDirectory(facts.turned, directory);
    homes.set(directory, await measure((await resolveExisting(files, steady)).real));
  }
  const backups = await measure(backupDirectory);
  return checkSpace(plan, facts.found, (target) => homes.get(directoryOf(target)) ?? backups, backups);
}

/**
 * Throws DISK_FULL naming the filesystem and both numbers where staged files, backups that must be copies and the reserve do not
 * fit (spec section 6). `filesystemOf`: of a target's directory; `found`: what stands at a target.
 */
export async function checkSpace(
  plan: Plan,
  found: Facts['found'],
  filesystemOf: (target: string) => Filesystem,
  backups: Filesystem,
): Promise<readonly Need[]> {
  // What takes back an update that has filled the disk may take the last of it.
  const reserveBytes = plan.kind === 'rollback' ? 0 : limits.reserveBytes;
  const needed = new Map<bigint, { filesystem: Filesystem; bytes: number }>();
  const need = (filesystem: Filesystem, bytes: number) => {
    const sum = needed.get(filesystem.device) ?? { filesystem, bytes: reserveBytes };
    const blocks = Math.ceil(bytes / filesystem.blockBytes) + 1;
    needed.set(filesystem.device, { filesystem, bytes: sum.bytes + blocks * filesystem.blockBytes });
  };
  for (const step of summaryOf(plan).directories)
    if (step.kind !== 'removeDirectory') need(filesystemOf(step.target), 1);
  for await (const step of breathing(fileSteps(plan))) {
    const home = filesystemOf(step.target);
    const isLink = plan.sharesBackups === true && home.device === backups.device;
    if (step.kind === 'put' && !isLink) need(home, step.sizeBytes);
    if (step.backup !== null && home.device !== backups.device)
      need(backups, found.get(step.target)?.sizeBytes ?? 0);
  }
  const needs = [...needed.values()];
  for (const need of needs) refuseNeed(need);
  return needs;
}

/** The same needs again, on the filesystems as they are now. False where one is another than it was. */
export async function checkNeeds(files: Files, needs: readonly Need[]): Promise<boolean> {
  for (const { filesystem, bytes } of needs) {
    const now = { path: filesystem.path, ...(await files.space(filesystem.path)) };
    if (now.device !== filesystem.device || now.blockBytes !== filesystem.blockBytes) return false;
    refuseNeed({ filesystem: now, bytes });
  }
  return true;
}

function refuseNeed({ filesystem, bytes }: Need): void {
  if (bytes <= filesystem.freeBytes) return;
  throw new UpdateError(
    'DISK_FULL',
    `the update needs ${bytes} bytes on the filesystem of ${filesystem.path}, ${filesystem.freeBytes} are free`,
  );
}

/** Asks only once for each directory: a tree has many files in few of them. */
function eachOnce<T>(ask: (directory: string) => Promise<T>): (directory: string) => Promise<T> {
  const known = new Map<string, T>();
  return async (directory) => {
    const before = known.get(directory);
    if (before !== undefined) return before;
    const answer = await ask(directory);
    known.set(directory, answer);
    return answer;
  };
}
