/**
 * Directories that somebody else has taken away: the user of a service owns its module's directory and may exchange it. That may
 * cost him his own update, and keeps nobody else's from its end: what cannot be reached through a directory that others may
 * write is given up, and told. Where root alone writes, it is a filesystem that is not mounted yet, say, and is tried again.
 */
import { errno, errorText } from '../errors.ts';
import type { Files, Host } from '../host/host.ts';
import { whoElse } from '../host/trust.ts';
import { directoryOf, inDirectory } from './paths.ts';

/** What root gets to hear where names are not what they were; never of a disk that is full or broken. */
const wrongNames: ReadonlySet<string | undefined> = new Set([
  'ELOOP',
  'ENOENT',
  'ENOTDIR',
  'EISDIR',
  'ENOTEMPTY',
  'EEXIST',
  'EXDEV',
  'EBUSY', // a mount point: users may mount FUSE
  'EACCES', // inside of such a mount
  'ENOTCONN', // its server has ended
]);

/** Whether what was done at `path` has failed by what others than root may do to the directories on its way. */
export async function isTakenAway(files: Files, path: string, thrown: unknown): Promise<boolean> {
  if (!wrongNames.has(errno(thrown))) return false;
  let at = '/';
  for (const name of directoryOf(path).split('/').filter(Boolean)) {
    at = inDirectory(at, name);
    const stat = await files.stat(at).catch(() => undefined);
    if (stat?.kind !== 'directory') return false;
    if (whoElse(stat) !== undefined) return true;
  }
  return false;
}

/** Runs what only clears up at `path`. What was taken away is left there, which is logged once for each directory. */
export function clearing({
  files,
  log,
}: Pick<Host, 'files' | 'log'>): (path: string, action: () => Promise<void>) => Promise<void> {
  const told = new Set<string>();
  return async (path, action) => {
    try {
      await action();
    } catch (thrown) {
      if (!(await isTakenAway(files, path, thrown))) throw thrown;
      const directory = directoryOf(path);
      if (told.has(directory)) return;
      told.add(directory);
      log.warn(
        `${path}: somebody has changed its directory, what was made there stays: ${errorText(thrown)}`,
      );
    }
  };
}

/** To sync with: a directory that is not where it was has no names of ours left to make durable, and keeps no other from it. */
export function forgivingFiles(files: Files): Files {
  const unless = async <T>(action: Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await action;
    } catch (thrown) {
      if (!wrongNames.has(errno(thrown))) throw thrown;
      return otherwise;
    }
  };
  return {
    ...files,
    stat: (path) => unless(files.stat(path), undefined),
    syncDirectory: (path) => unless(files.syncDirectory(path), undefined),
    openFilesystem: (path) => unless(files.openFilesystem(path), undefined),
  };
}
