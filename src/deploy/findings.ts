/** What a survey found at the places that a plan touches: packed, as there may be thousands. */
import type { FileStat } from '../host/host.ts';
import { loadPacking } from '../packed-list.ts';

/** As much as planning needs. */
export type Found = Pick<FileStat, 'kind' | 'sizeBytes' | 'mode' | 'uid' | 'gid'>;

export interface Findings {
  /** Undefined: nothing is there, or nobody has looked. */
  get(path: string): (Found & { readonly identity: string }) | undefined;
  /** Somebody has looked. */
  has(path: string): boolean;
  /** To be called once for each path. */
  set(path: string, stat: FileStat | undefined): void;
}

export async function openFindings(): Promise<Findings> {
  const found = (await loadPacking()).map<(Found & { readonly identity: string }) | null>();
  return {
    get: (path) => found.get(path) ?? undefined,
    has: (path) => found.has(path),
    set: (path, stat) => {
      if (stat === undefined) return found.set(path, null);
      const { kind, sizeBytes, mode, uid, gid } = stat;
      found.set(path, { kind, sizeBytes, mode, uid, gid, identity: identityOf(stat) });
    },
  };
}

/** The same for all names of one file, and for no other file. */
export function identityOf({ device, inode }: Pick<FileStat, 'device' | 'inode'>): string {
  return `${device}:${inode}`;
}
