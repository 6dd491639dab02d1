/**
 * Who owns the files of a tree that becomes an image, where whoever makes it is not root: what is theirs on the disk is root's
 * in the image. Under fakeroot or pseudo, which sit in the C library that Node goes past, their table is read by find(1), once.
 */
import { lchown, readFileSync } from 'node:fs';
import type { FileOwner, FileStat, Files } from './host.ts';

export interface TreeOwners {
  /** The owner in the image. */
  of(stat: FileStat): FileOwner;
  /** Gives what `stat` tells of to `owner` by `change`. Rejects with EPERM where the image could not have it so. */
  give(stat: FileStat, owner: FileOwner, change: () => Promise<void>): Promise<void>;
  /** The same by name. */
  giveByName(files: Files, path: string, owner: FileOwner): Promise<void>;
}

const rootOwner: FileOwner = { uid: 0, gid: 0 };

/** Undefined for root: the owners are those of the disk. `root`: the tree. */
export async function treeOwners(root: string): Promise<TreeOwners | undefined> {
  const uid = Number(/^Uid:\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]);
  if (uid === 0) return undefined;
  const isFaked = process.geteuid?.() === 0;
  const table = isFaked ? await fakedOwners(root) : new Map<string, FileOwner>();
  const owners: TreeOwners = {
    of: (stat) => table.get(keyOf(stat)) ?? (stat.uid === uid ? rootOwner : { uid: stat.uid, gid: stat.gid }),
    give: async (stat, owner, change) => {
      const now = owners.of(stat);
      if (now.uid === owner.uid && now.gid === owner.gid) return;
      if (!isFaked)
        throw Object.assign(
          new Error(`EPERM: only root or fakeroot can give it to ${owner.uid}:${owner.gid}`),
          {
            code: 'EPERM',
          },
        );
      await change();
      table.set(keyOf(stat), owner);
    },
    giveByName: async (files, path, owner) => {
      const stat = await files.stat(path);
      if (stat === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
      await owners.give(
        stat,
        owner,
        () =>
          new Promise((resolve, reject) =>
            lchown(path, owner.uid, owner.gid, (error) => (error ? reject(error) : resolve())),
          ),
      );
    },
  };
  return owners;
}

/** What fakeroot says of the tree, but for what belongs to root. */
async function fakedOwners(root: string): Promise<Map<string, FileOwner>> {
  const { execFile } = await import('node:child_process');
  const notRoots = ['(', '!', '-uid', '0', '-o', '!', '-gid', '0', ')'];
  const argv = [root, '-xdev', ...notRoots, '-printf', '%D:%i %U %G\n'];
  const text = await new Promise<string>((resolve, reject) => {
    execFile('find', argv, { maxBuffer: Number.POSITIVE_INFINITY }, (error, stdout) =>
      error ? reject(new Error(`reading the owners of fakeroot: ${error.message}`)) : resolve(stdout),
    );
  });
  const lines = text.split('\n').map((line) => line.split(' '));
  return new Map(lines.map(([key = '', uid, gid]) => [key, { uid: Number(uid), gid: Number(gid) }]));
}

function keyOf({ device, inode }: FileStat): string {
  return `${device}:${inode}`;
}
