/**
 * The Files port of a tree that is not this machine's own: `/x` is `ROOT/x`, and links lead where they would lead on the device
 * that will have the tree as its root. For `install --root`, which makes factory images.
 *
 * Owners are those of the image (tree-owners.ts): whoever makes it need not be root. Every file that is written gets the
 * modification time `writtenMs`, so that two images of the same sources are the same.
 */
import { posix } from 'node:path';
import type { FileStat, Files, OpenFile, OpenHow } from './host.ts';
import { createEach } from './new-files.ts';
import { resolveLinks } from './resolve-links.ts';
import type { TreeOwners } from './tree-owners.ts';

export interface RootedOptions {
  /** Absolute, free of symlinks. */
  readonly root: string;
  /** The machine's own port. */
  readonly files: Files;
  /** Undefined: those of the disk. */
  readonly owners: TreeOwners | undefined;
  /** Epoch milliseconds. */
  readonly writtenMs: number;
}

export function rootedFiles({ root, files, owners, writtenMs }: RootedOptions): Files {
  const at = (path: string) => posix.join(root, path);
  const seen = (stat: FileStat): FileStat => ({ ...stat, ...owners?.of(stat) });
  const rooted: Files = {
    open: async (path, how) => dressed(await files.open(at(path), how), how),
    createMany: (wanted) => createEach(rooted, wanted),
    list: (path) => files.list(at(path)),
    stat: async (path) => {
      const stat = await files.stat(at(path));
      return stat && seen(stat);
    },
    statMany: async (paths) => (await files.statMany(paths.map(at))).map((stat) => stat && seen(stat)),
    realPath: (path) => resolveLinks(rooted, path),
    readLink: (path) => files.readLink(at(path)),
    attributeNames: async () => new Map(), // of a tree that is made, nobody has set any
    makeDirectory: async (path, mode, owner) => {
      await files.makeDirectory(at(path), mode, owners === undefined ? owner : undefined);
      if (owner !== undefined) await owners?.giveByName(files, at(path), owner);
    },
    removeDirectory: (path) => files.removeDirectory(at(path)),
    rename: (from, to) => files.rename(at(from), at(to)),
    renameMany: (renames) => files.renameMany(renames.map(([from, to]) => [at(from), at(to)] as const)),
    hardLink: (existing, newPath) => files.hardLink(at(existing), at(newPath)),
    symbolicLink: async (target, path, owner) => {
      await files.symbolicLink(target, at(path), owners === undefined ? owner : undefined);
      if (owner !== undefined) await owners?.giveByName(files, at(path), owner);
    },
    remove: (path) => files.remove(at(path)),
    syncDirectory: (path) => files.syncDirectory(at(path)),
    mountPoints: async () => {
      const below = [...(await files.mountPoints())].filter((point) => point.startsWith(`${root}/`));
      return new Set(below.map((point) => point.slice(root.length)));
    },
    openFilesystem: (directory) => files.openFilesystem(at(directory)),
    space: (path) => files.space(at(path)),
  };
  return rooted;

  function dressed(file: OpenFile, how: OpenHow): OpenFile {
    return {
      ...file,
      stat: async () => seen(await file.stat()),
      setOwner: async (uid, gid) => {
        const change = () => file.setOwner(uid, gid);
        await (owners?.give(await file.stat(), { uid, gid }, change) ?? change());
      },
      close: async () => {
        if (how !== 'read') await file.setModified(writtenMs);
        await file.close();
      },
    };
  }
}
