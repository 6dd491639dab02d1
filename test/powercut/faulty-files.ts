/**
 * Any Files port, with every call numbered and written down, and one of them made to fail or to be the last.
 *
 * Invariant: a call that fails or kills has no effect on the files behind; after a kill nothing has any more.
 */
import type { Files, Filesystem, OpenFile } from '../../src/host/host.ts';
import { createEach } from '../../src/host/new-files.ts';
import { settleEach } from '../../src/host/settled.ts';
import { systemError } from './system-error.ts';

export type FaultCode = 'ENOSPC' | 'EIO' | 'EACCES' | 'EMFILE';

export interface FileCall {
  /** Counts from 1. */
  readonly number: number;
  readonly name: CallName;
  readonly path: string;
}

export type Fault =
  | { readonly kind: 'none' }
  /** The n-th call fails with `code`, if it can. */
  | { readonly kind: 'fail'; readonly at: number; readonly code: FaultCode }
  /** The n-th call and all after it throw Crash: the process is gone. */
  | { readonly kind: 'kill'; readonly at: number };

/** What stands for the death of the process; product code must never treat it as an expected failure. */
export class Crash extends Error {
  override readonly name = 'Crash';
}

type CallName =
  | Exclude<keyof Files, 'open' | 'createMany' | 'renameMany'>
  | 'open'
  | 'create'
  | `file.${keyof OpenFile}`
  | `filesystem.${keyof Filesystem}`;

/** Calls that take space on the disk. fsync too: blocks are allocated as late as that. */
const growing: readonly CallName[] = [
  'create',
  'file.write',
  'file.sync',
  'filesystem.sync',
  'file.truncate',
  'file.setAttribute',
  'makeDirectory',
  'rename',
  'hardLink',
  'symbolicLink',
];

/** Calls that use up a descriptor. */
const opening: readonly CallName[] = ['open', 'create', 'list', 'syncDirectory', 'openFilesystem'];

/** Whether the kernel could answer this call with that error. */
export function canFail(call: Pick<FileCall, 'name'>, code: FaultCode): boolean {
  switch (code) {
    case 'ENOSPC':
      return growing.includes(call.name);
    case 'EMFILE':
      return opening.includes(call.name);
    case 'EACCES':
      return !/^file(system)?\./.test(call.name);
    case 'EIO':
      return call.name !== 'file.close' && call.name !== 'filesystem.close';
    default:
      return code satisfies never;
  }
}

/** Wraps `files`. `calls` grows as they come; `onCall` hears of each before it takes effect. */
export function faultyFiles(
  files: Files,
  fault: Fault = { kind: 'none' },
  onCall: (call: FileCall) => void = () => undefined,
): { readonly files: Files; readonly calls: readonly FileCall[] } {
  const calls: FileCall[] = [];

  const through = async <T>(name: CallName, path: string, action: () => Promise<T>): Promise<T> => {
    const call = { number: calls.length + 1, name, path };
    calls.push(call);
    onCall(call);
    if (fault.kind === 'kill' && call.number >= fault.at)
      throw new Crash(`killed at ${name} ${path} (call ${call.number})`);
    if (fault.kind === 'fail' && call.number === fault.at && canFail(call, fault.code))
      throw systemError(fault.code, name, path);
    return action();
  };

  const openFile = (file: OpenFile, path: string): OpenFile => ({
    read: (buffer, offset, length, position) =>
      through('file.read', path, () => file.read(buffer, offset, length, position)),
    write: (bytes, position) => through('file.write', path, () => file.write(bytes, position)),
    sync: () => through('file.sync', path, () => file.sync()),
    syncData: () => through('file.syncData', path, () => file.syncData()),
    truncate: (sizeBytes) => through('file.truncate', path, () => file.truncate(sizeBytes)),
    setMode: (mode) => through('file.setMode', path, () => file.setMode(mode)),
    setOwner: (uid, gid) => through('file.setOwner', path, () => file.setOwner(uid, gid)),
    setModified: (epochMs) => through('file.setModified', path, () => file.setModified(epochMs)),
    stat: () => through('file.stat', path, () => file.stat()),
    attributes: () => through('file.attributes', path, () => file.attributes()),
    setAttribute: (name, value) => through('file.setAttribute', path, () => file.setAttribute(name, value)),
    close: () => through('file.close', path, () => file.close()),
  });

  const openFilesystem = (filesystem: Filesystem, path: string): Filesystem => ({
    sync: () => through('filesystem.sync', path, () => filesystem.sync()),
    close: () => through('filesystem.close', path, () => filesystem.close()),
  });

  const open: Files['open'] = (path, how) =>
    through(how === 'create' || how === 'append' ? 'create' : 'open', path, async () =>
      openFile(await files.open(path, how), path),
    );
  const rename: Files['rename'] = (from, to) =>
    through('rename', `${from} -> ${to}`, () => files.rename(from, to));
  return {
    calls,
    files: {
      open,
      // Call by call, so that each of them can fail.
      createMany: (wanted) => createEach({ open }, wanted),
      renameMany: (renames) => settleEach(renames, ([from, to]) => rename(from, to)),
      list: (path) => through('list', path, () => files.list(path)),
      stat: (path) => through('stat', path, () => files.stat(path)),
      statMany: (paths) => through('statMany', paths.join(' '), () => files.statMany(paths)),
      realPath: (path) => through('realPath', path, () => files.realPath(path)),
      attributeNames: (paths) => files.attributeNames(paths),
      readLink: (path) => through('readLink', path, () => files.readLink(path)),
      makeDirectory: (path, mode, owner) =>
        through('makeDirectory', path, () => files.makeDirectory(path, mode, owner)),
      removeDirectory: (path) => through('removeDirectory', path, () => files.removeDirectory(path)),
      rename,
      hardLink: (from, to) => through('hardLink', `${from} -> ${to}`, () => files.hardLink(from, to)),
      symbolicLink: (target, path, owner) =>
        through('symbolicLink', path, () => files.symbolicLink(target, path, owner)),
      remove: (path) => through('remove', path, () => files.remove(path)),
      syncDirectory: (path) => through('syncDirectory', path, () => files.syncDirectory(path)),
      openFilesystem: (path) =>
        through('openFilesystem', path, async () => {
          const filesystem = await files.openFilesystem(path);
          return filesystem && openFilesystem(filesystem, path);
        }),
      mountPoints: () => through('mountPoints', '', () => files.mountPoints()),
      space: (path) => through('space', path, () => files.space(path)),
    },
  };
}
