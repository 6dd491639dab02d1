/**
 * The Files port on a disk in memory that logs every change as micro-operations, so that crash-states.ts can make each
 * disk a power cut could leave behind.
 *
 * Invariants: a call takes effect whole and at once (the log is one order of events, as under one kernel lock); what is
 * read is always the volatile view, never the durable one.
 */
import { errno } from '../../src/errors.ts';
import type { FileOwner, Files } from '../../src/host/host.ts';
import { createEach } from '../../src/host/new-files.ts';
import { settleEach } from '../../src/host/settled.ts';
import { blockBytes } from './file-content.ts';
import { modelStat, openModelFile } from './model-file.ts';
import { type ModelLog, modelLog, type Recording } from './model-log.ts';
import { lookup, nodeAt } from './model-lookup.ts';
import { type ModelNode, type ModelState, rootInode } from './model-state.ts';
import { systemError } from './system-error.ts';

export interface ModelDisk {
  readonly files: Files;
  /** Notes in the log that the outside world has now seen `name` happen. */
  mark(name: string): void;
  recording(): Recording;
  /** The disk as the running program sees it. */
  state(): ModelState;
  /** sync(2). */
  syncMachine(): void;
  /** Files that were opened and not yet closed. */
  openCount(): number;
  /** See ModelLog. */
  fillUp: ModelLog['fillUp'];
}

/** A disk whose durable content is `base` (which stays as it is). `siteOf` names the code that asks for an fsync. */
export function modelDisk(base: ModelState, siteOf: () => string = () => ''): ModelDisk {
  const log = modelLog(base, siteOf);
  return {
    files: modelFiles(log),
    mark: log.mark,
    recording: log.recording,
    state: () => log.state,
    syncMachine() {
      const devices = new Set([...log.state.nodes.values()].map(({ device }) => device));
      for (const device of devices) log.syncAll(device, `sync of the filesystem ${device}`);
    },
    openCount: log.openCount,
    fillUp: log.fillUp,
  };
}

function modelFiles(log: ModelLog): Files {
  const changeOwner = (inode: number, path: string, owner: FileOwner | undefined): void => {
    if (owner === undefined || (owner.uid === 0 && owner.gid === 0)) return;
    log.change({ kind: 'owner', inode, uid: owner.uid, gid: owner.gid }, `chown ${path}`);
  };
  const stat = (path: string) => {
    try {
      const { inode, node } = log.find(path, 'lstat');
      return modelStat(node, inode, log.changeCount());
    } catch (thrown) {
      if (errno(thrown) === 'ENOENT' || errno(thrown) === 'ENOTDIR') return undefined;
      throw thrown;
    }
  };
  const files: Files = {
    createMany: (wanted) => createEach(files, wanted),
    renameMany: (renames) => settleEach(renames, ([from, to]) => files.rename(from, to)),
    async open(path, how) {
      const { inode } = lookup(log.state, path, false, 'open');
      if (inode === undefined) {
        if (how === 'read' || how === 'update') throw systemError('ENOENT', 'open', path);
        return openModelFile(log, log.add(path, 'open', { kind: 'file' }), path, how);
      }
      const node = nodeAt(log.state, inode);
      if (how === 'create') throw systemError('EEXIST', 'open', path);
      if (node.kind === 'symlink') throw systemError('ELOOP', 'open', path);
      if (node.kind === 'directory' && how !== 'read') throw systemError('EISDIR', 'open', path);
      return openModelFile(log, inode, path, how);
    },
    async list(path) {
      const { node } = log.find(path, 'scandir');
      if (node.kind !== 'directory') throw systemError('ENOTDIR', 'scandir', path);
      return [...node.entries.keys()];
    },
    stat: async (path) => stat(path),
    statMany: async (paths) => paths.map(stat),
    async realPath(path) {
      return log.find(path, 'realpath', true).realPath;
    },
    async readLink(path) {
      const { node } = log.find(path, 'readlink');
      if (node.kind !== 'symlink') throw systemError('EINVAL', 'readlink', path);
      return node.target;
    },
    async attributeNames(paths) {
      const found = new Map<string, string[]>();
      for (const path of paths) {
        const { inode } = lookup(log.state, path, false, 'llistxattr');
        const names = inode === undefined ? [] : Object.keys(nodeAt(log.state, inode).named ?? {});
        if (names.length > 0) found.set(path, names);
      }
      return found;
    },
    async makeDirectory(path, mode, owner) {
      // As the real port does it: mkdir(2), cut by the umask, then what differs.
      const inode = log.add(path, 'mkdir', { kind: 'directory', mode: mode & ~0o022 });
      changeOwner(inode, path, owner);
      if ((mode & 0o022) !== 0) log.change({ kind: 'mode', inode, mode }, `chmod ${path}`);
    },
    async removeDirectory(path) {
      const { directory, name, inode, node } = log.find(path, 'rmdir');
      if (node.kind !== 'directory') throw systemError('ENOTDIR', 'rmdir', path);
      if (node.device !== nodeAt(log.state, directory).device) throw systemError('EBUSY', 'rmdir', path);
      if (node.entries.size > 0 || inode === rootInode) throw systemError('ENOTEMPTY', 'rmdir', path);
      log.change({ kind: 'unlink', directory, name }, `rmdir ${path}`);
    },
    async rename(from, to) {
      const source = log.find(from, 'rename');
      const target = lookup(log.state, to, false, 'rename');
      if (nodeAt(log.state, target.directory).device !== source.node.device)
        throw systemError('EXDEV', 'rename', `${from}' -> '${to}`);
      if (`${target.realPath}/`.startsWith(`${source.realPath}/`) && source.node.kind === 'directory')
        throw systemError('EINVAL', 'rename', `${from}' -> '${to}`);
      // POSIX: two names of the same file, and rename does nothing: both stay.
      if (target.inode === source.inode) return;
      if (target.inode === undefined) log.takeName(target.directory, 'rename', to);
      else refuseReplacement(source.node, nodeAt(log.state, target.inode), to);
      log.change(
        {
          kind: 'rename',
          directory: source.directory,
          name: source.name,
          toDirectory: target.directory,
          toName: target.name,
          inode: source.inode,
        },
        `rename ${from} -> ${to}`,
      );
    },
    async hardLink(existing, newPath) {
      const source = log.find(existing, 'link');
      const target = lookup(log.state, newPath, false, 'link');
      if (source.node.kind === 'directory') throw systemError('EPERM', 'link', existing);
      if (target.inode !== undefined) throw systemError('EEXIST', 'link', newPath);
      if (nodeAt(log.state, target.directory).device !== source.node.device)
        throw systemError('EXDEV', 'link', `${existing}' -> '${newPath}`);
      const { directory, name } = target;
      log.takeName(directory, 'link', newPath);
      log.change({ kind: 'link', directory, name, inode: source.inode }, `link ${existing} -> ${newPath}`);
    },
    async symbolicLink(target, path, owner) {
      changeOwner(log.add(path, 'symlink', { kind: 'symlink', target }), path, owner);
    },
    async remove(path) {
      const { directory, name, node } = log.find(path, 'unlink');
      if (node.kind === 'directory') throw systemError('EISDIR', 'unlink', path);
      log.change({ kind: 'unlink', directory, name }, `unlink ${path}`);
    },
    async syncDirectory(path) {
      const { inode, node } = log.find(path, 'fsync');
      if (node.kind !== 'directory') throw systemError('ENOTDIR', 'fsync', path);
      log.sync(inode, false, `fsync directory ${path}`);
    },
    async openFilesystem(path) {
      const { inode, node } = log.find(path, 'open', true);
      if (!log.state.syncsWhole) return undefined;
      const release = log.hold(inode);
      return {
        sync: async () => log.syncAll(node.device, `syncfs of the filesystem ${node.device}`),
        close: async () => release(),
      };
    },
    async mountPoints() {
      const points = new Set(['/']);
      const root = nodeAt(log.state, rootInode);
      if (root.kind === 'directory')
        for (const [name, inode] of root.entries) if (log.state.mounts.has(inode)) points.add(`/${name}`);
      return points;
    },
    async space(path) {
      const { device } = log.find(path, 'statfs').node;
      return { device: BigInt(device), freeBytes: Math.max(0, log.freeBytes(device)), blockBytes };
    },
  };
  return files;
}

function refuseReplacement(source: ModelNode, target: ModelNode, path: string): void {
  if (target.kind !== 'directory') {
    if (source.kind === 'directory') throw systemError('ENOTDIR', 'rename', path);
    return;
  }
  if (source.kind !== 'directory') throw systemError('EISDIR', 'rename', path);
  if (target.entries.size > 0) throw systemError('ENOTEMPTY', 'rename', path);
}
