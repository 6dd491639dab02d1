/** Where a path leads by its symlinks, and which of them are to be believed: what a link says is said by whoever may make one in its place. */
import { posix } from 'node:path';
import { accessList } from '../attribute-kinds.ts';
import type { FileStat, Files } from './host.ts';
import { systemError } from './system-error.ts';
import { isStranger, whoElse } from './trust.ts';

/** As many links in one path are a loop (ELOOP), as for the kernel. */
const mostLinks = 40;

/** A symlink on the way, the directory it stands in, and the place that it leads to, free of symlinks. */
export interface LinkOnTheWay {
  readonly path: string;
  readonly link: FileStat;
  readonly holder: FileStat;
  readonly leadsTo: string;
  readonly end: FileStat;
}

/** As realpath(3), by the port alone. `judge` is told of each symlink that is followed, and may throw. Rejects with ENOENT, ENOTDIR or ELOOP. */
export async function resolveLinks(
  files: Pick<Files, 'stat' | 'readLink'>,
  path: string,
  judge: (way: LinkOnTheWay) => void | Promise<void> = () => undefined,
): Promise<string> {
  let links = 0;
  return (await walk('/', path.split('/'))).place;

  async function walk(from: string, names: readonly string[]): Promise<{ place: string; stat: FileStat }> {
    let place = from;
    let stat = await existing(place);
    for (const name of names) {
      if (name === '' || name === '.') continue;
      if (stat.kind !== 'directory') throw systemError('ENOTDIR', path);
      const next = name === '..' ? posix.dirname(place) : posix.join(place, name);
      const found = await existing(next);
      if (found.kind !== 'symlink') {
        [place, stat] = [next, found];
        continue;
      }
      links += 1;
      if (links > mostLinks) throw systemError('ELOOP', path);
      const target = await files.readLink(next);
      const end = await walk(target.startsWith('/') ? '/' : place, target.split('/'));
      await judge({ path: next, link: found, holder: stat, leadsTo: end.place, end: end.stat });
      [place, stat] = [end.place, end.stat];
    }
    return { place, stat };
  }

  async function existing(place: string): Promise<FileStat> {
    const stat = await files.stat(place);
    if (stat === undefined) throw systemError('ENOENT', path);
    return stat;
  }
}

/**
 * Why a symlink is not to be believed, in words; undefined: it is. One in a directory that another user may write may lead to
 * what is that user's already, and nowhere else, or root would work where only root may (as systemd's CHASE_SAFE).
 */
export async function whyNotBelieved(
  files: Pick<Files, 'attributeNames'>,
  { path, link, holder, leadsTo, end }: LinkOnTheWay,
): Promise<string | undefined> {
  const isShared = isStranger(link.uid) || whoElse(holder) !== undefined || (await hasAccessList());
  const author = isStranger(link.uid) ? link.uid : holder.uid;
  if (!isShared || end.uid === author) return undefined;
  const whose = `it leads to ${leadsTo}, which belongs to user ${end.uid}, not ${author}`;
  return `${path} is a symlink that another user may have put there, and ${whose}`;

  async function hasAccessList(): Promise<boolean> {
    const directory = posix.dirname(path);
    return (await files.attributeNames([directory])).get(directory)?.includes(accessList) ?? false;
  }
}
