/** How much room a plan needs on each filesystem. */
import { UpdateError } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import { limits } from '../limits.ts';
import type { Facts } from './make-plan.ts';
import { fileSteps, type Plan, summaryOf } from './plan.ts';

export interface Filesystem {
  /** A path on it, for the error's text. */
  readonly path: string;
  readonly device: bigint;
  readonly freeBytes: number;
  readonly blockBytes: number;
}

/**
 * Throws DISK_FULL naming the filesystem and both numbers where the staged files, the backups that must be copies
 * (another filesystem than backups/) and the reserve do not fit (spec section 6).
 * `filesystemOf` tells where a target's directory lies; `found` what stands at a target now.
 */
export async function checkSpace(
  plan: Plan,
  found: Facts['found'],
  filesystemOf: (target: string) => Filesystem,
  backups: Filesystem,
): Promise<void> {
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
  for (const { filesystem, bytes } of needed.values()) {
    if (bytes > filesystem.freeBytes) {
      throw new UpdateError(
        'DISK_FULL',
        `the update needs ${bytes} bytes on the filesystem of ${filesystem.path}, ${filesystem.freeBytes} are free`,
      );
    }
  }
}
