/** Whether only root (or whoever runs the updater) decides what is at a path: what is trusted there can be nobody else's. */
import { lstat, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errno } from '../errors.ts';

/**
 * Who else could change what is at `path`, or put something else in its place: `PLACE belongs to user 1000`, or `PLACE may
 * be written by ...`. Undefined where nobody, or where nothing is there. Permission bits alone are looked at, no ACLs.
 */
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
  if (stat === undefined || stat.isSymbolicLink()) return undefined;
  if (stat.uid !== 0 && stat.uid !== process.geteuid?.()) return `belongs to user ${stat.uid}`;
  // In a sticky directory (/tmp) everybody may make names, and only their owner may change them.
  if ((stat.mode & 0o1000) !== 0 && !isThePathItself) return undefined;
  if ((stat.mode & 0o002) !== 0) return 'may be written by everybody';
  return (stat.mode & 0o020) !== 0 && stat.gid !== 0 && stat.gid !== process.getegid?.()
    ? `may be written by group ${stat.gid}`
    : undefined;
}

async function unlessGone<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (thrown) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errno(thrown) ?? '')) return undefined;
    throw thrown;
  }
}
