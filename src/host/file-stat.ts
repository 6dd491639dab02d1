/** What lstat(2) tells as the port tells it, of one name and of many at once. */
import fs from 'node:fs';
import { errno } from '../errors.ts';
import { directoryRuns } from './directory-runs.ts';
import type { FileStat } from './host.ts';
import { pathBytes } from './raw-text.ts';

export function toFileStat(stats: fs.BigIntStats): FileStat {
  const kind = stats.isFile()
    ? 'file'
    : stats.isDirectory()
      ? 'directory'
      : stats.isSymbolicLink()
        ? 'symlink'
        : 'other';
  return {
    kind,
    sizeBytes: Number(stats.size),
    allocatedBytes: Number(stats.blocks) * 512,
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    device: stats.dev,
    inode: stats.ino,
    modifiedMs: Number(stats.mtimeNs) / 1e6,
    changedNs: stats.ctimeNs,
  };
}

/** Each directory is opened once, and of each file no more is done than the call itself. */
export async function statMany(
  paths: readonly string[],
  inside: <T>(directory: string, action: (name: string | Buffer) => Promise<T>) => Promise<T>,
): Promise<(FileStat | undefined)[]> {
  const found: (FileStat | undefined)[] = [];
  for (const { directory, names } of directoryRuns(paths)) {
    try {
      found.push(
        ...(await inside(directory, (name) => {
          // A name that is no UTF-8 comes as bytes: there nothing is held open, and the path is as good.
          const base = typeof name === 'string' ? name : directory;
          return statAll(names.map((each) => `${base}${each}`));
        })),
      );
    } catch (thrown) {
      if (!isAbsence(thrown)) throw thrown;
      found.push(...names.map(() => undefined));
    }
  }
  return found;
}

function statAll(names: readonly string[]): Promise<(FileStat | undefined)[]> {
  return new Promise((resolve, reject) => {
    const found: (FileStat | undefined)[] = new Array(names.length);
    let left = names.length;
    names.forEach((name, index) => {
      fs.lstat(pathBytes(name), { bigint: true }, (error, stats) => {
        if (error === null) found[index] = toFileStat(stats);
        else if (!isAbsence(error)) reject(error);
        left -= 1;
        if (left === 0) resolve(found);
      });
    });
  });
}

/** Nothing is there. */
export function isAbsence(thrown: unknown): boolean {
  return errno(thrown) === 'ENOENT' || errno(thrown) === 'ENOTDIR';
}
