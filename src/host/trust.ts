/** Whether only root (or whoever runs the updater) decides what is at a path: what is trusted there can be nobody else's. */
import { lstat, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errno } from '../errors.ts';

/** Who else could change what is at `path`, or replace it: `PLACE belongs to user 1000`. Undefined: nobody, or nothing is there. No ACLs. */
export async function strangerAt(path: string): Promise<string | undefined> {
  // A link decides too: where it stands, and every place on the way to where it leads.
  for (const start of new Set([dirname(path), await unlessGone(realpath(path))])) {
    for (let place: string | undefined = start; place !== undefined; place = above(place)) {
      const fault = await faultOf(place, place === start && start !== dirname(path));
      if (fault !== undefined) return `${place} ${fault}`;
    }
  }
  return undefined;
}

function above(place: string): string | undefined {
  return place === '/' ? undefined : dirname(place);
}

async function faultOf(place: string, isThePathItself: boolean): Promise<string | undefined> {
  const stat = await unlessGone(lstat(place));
  return stat === undefined || stat.isSymbolicLink() ? undefined : whoElse(stat, isThePathItself);
}

/** Who else may change what has those attributes; undefined: nobody. Of a directory on the way: who may exchange what is in it. */
export function whoElse(
  { uid, gid, mode }: { readonly uid: number; readonly gid: number; readonly mode: number },
  isThePathItself = false,
): string | undefined {
  if (isStranger(uid)) return `belongs to user ${uid}`;
  // In a sticky directory (/tmp) everybody may make names, and only their owner may change them.
  if ((mode & 0o1000) !== 0 && !isThePathItself) return undefined;
  if ((mode & 0o002) !== 0) return 'may be written by everybody';
  return (mode & 0o020) !== 0 && gid !== 0 && gid !== process.getegid?.()
    ? `may be written by group ${gid}`
    : undefined;
}

/** Neither root nor whoever runs the updater. */
export function isStranger(uid: number): boolean {
  return uid !== 0 && uid !== process.geteuid?.();
}

async function unlessGone<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (thrown) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errno(thrown) ?? '')) return undefined;
    throw thrown;
  }
}
