/** Room on the disk for one purpose: that a rollback can begin when there is none left. Not synced: it is nothing but room. */

import { posix } from 'node:path';
import { removeIfThere } from '../host/durable-file.ts';
import type { Files } from '../host/host.ts';
import { limits } from '../limits.ts';

export interface DiskReserve {
  /** Makes the file where it is missing and the disk has room; a failure leaves none. */
  keep(): Promise<void>;
  /** Gives the room back. */
  release(): Promise<void>;
}

/** `reserve` in the work directory. */
export function diskReserve(files: Files, workDirectory: string): DiskReserve {
  const path = posix.join(workDirectory, 'reserve');
  let isKept = false;
  const release = async (): Promise<void> => {
    isKept = false;
    await removeIfThere(files, path);
  };
  return {
    release,
    keep: async () => {
      if (isKept) return;
      isKept = true;
      try {
        const found = await files.stat(path);
        if (found?.kind === 'file' && found.sizeBytes === limits.rollbackReserveBytes) return;
        if (found !== undefined) await files.remove(path);
        const file = await files.open(path, 'create');
        try {
          await file.write(new Uint8Array(limits.rollbackReserveBytes), 0);
        } finally {
          await file.close();
        }
      } catch {
        await release().catch(() => undefined);
      }
    },
  };
}
