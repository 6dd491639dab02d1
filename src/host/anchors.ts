/**
 * Directories held open, so that what is done below one is done in that very directory, whatever becomes of its name: a
 * service that owns a directory may exchange it for a symlink at any moment, and the updater is root.
 *
 * Node has no openat(2); `/proc/self/fd/N/name` is the same: the kernel goes on from the open directory.
 *
 * Invariant: a directory is used only while it stands where its path says, with no symlink on the way; that is asked of
 * the kernel for every use, after the directory was opened.
 */
import fs from 'node:fs';
import { posix } from 'node:path';
import { errno } from '../errors.ts';
import { limits } from '../limits.ts';
import { pathBytes, rawText } from './raw-text.ts';
import { systemError } from './system-error.ts';

export interface Anchors {
  /**
   * Runs `action` with a name of `directory` (absolute, in its shortest form) that cannot be led elsewhere. Rejects with
   * ELOOP where a symlink is on the way, with ENOENT or ENOTDIR where there is no such directory; errors of the action
   * name the directory by its path.
   */
  within<T>(directory: string, action: (anchor: string) => Promise<T>): Promise<T>;
}

/** Of the kernel's ABI, the same on x86 and ARM; Node does not name it. Opens a place, not its content. */
const O_PATH = 0o10000000;
const { O_DIRECTORY } = fs.constants;

interface Anchor {
  readonly fd: number;
  users: number;
  /** Not in the table any more: closed by its last user. */
  isRetired: boolean;
}

/** A few of them stay open between two calls, for a moment: files come directory by directory. */
export function openAnchors(): Anchors {
  /** Least recently used first. */
  const held = new Map<string, Anchor>();
  let isClosing = false;

  const retire = (directory: string, anchor: Anchor): void => {
    if (held.get(directory) === anchor) held.delete(directory);
    if (anchor.isRetired) return;
    anchor.isRetired = true;
    if (anchor.users === 0) close(anchor.fd);
  };
  const retireUnused = (atMost: number): void => {
    for (const [directory, anchor] of held) {
      if (held.size <= atMost) return;
      if (anchor.users === 0) retire(directory, anchor);
    }
  };
  const take = async (directory: string): Promise<Anchor> => {
    const known = held.get(directory);
    if (known !== undefined) {
      if (placeOf(known.fd) === directory) {
        held.delete(directory);
        held.set(directory, known);
        known.users += 1;
        return known;
      }
      retire(directory, known);
    }
    const anchor = { fd: await openPlace(directory), users: 1, isRetired: false };
    const other = held.get(directory);
    if (other !== undefined) retire(directory, other);
    held.set(directory, anchor);
    retireUnused(limits.anchors);
    closeSoon();
    return anchor;
  };
  /** So that a filesystem can be unmounted, and nothing of an idle daemon is open. */
  const closeSoon = (): void => {
    if (isClosing) return;
    isClosing = true;
    setTimeout(() => {
      isClosing = false;
      retireUnused(0);
      if (held.size > 0) closeSoon();
    }, limits.anchorMs).unref();
  };

  return {
    async within(directory, action) {
      const anchor = await take(directory);
      const name = `/proc/self/fd/${anchor.fd}`;
      try {
        return await action(name);
      } catch (thrown) {
        nameByPath(thrown, name, directory);
        throw thrown;
      } finally {
        anchor.users -= 1;
        if (anchor.users === 0 && anchor.isRetired) close(anchor.fd);
      }
    },
  };
}

async function openPlace(directory: string): Promise<number> {
  const fd = await new Promise<number>((resolve, reject) => {
    fs.open(pathBytes(directory), O_PATH | O_DIRECTORY, (error, opened) =>
      error ? reject(error) : resolve(opened),
    );
  });
  const place = placeOf(fd);
  if (place === directory) return fd;
  close(fd);
  if (place === `${directory} (deleted)`) throw systemError('ENOENT', `${directory} was just removed`);
  throw systemError(
    'ELOOP',
    `${directory} was exchanged for a symlink or has one on the way: it leads to ${place}`,
  );
}

/** Where an open directory stands now. The kernel has that in memory: no disk is waited for. */
function placeOf(fd: number): string {
  return rawText(fs.readlinkSync(`/proc/self/fd/${fd}`, 'buffer'));
}

function close(fd: number): void {
  fs.close(fd, () => undefined);
}

/** Makes a system error what it would be for the path itself; `anchor`: the name that was used in place of the directory's. */
export function nameByPath(thrown: unknown, anchor: string, directory: string): void {
  if (!(thrown instanceof Error) || errno(thrown) === undefined) return;
  if (anchor === directory || !thrown.message.includes(anchor)) return;
  const prefix = directory === posix.sep ? '' : directory;
  const original = (text: string) =>
    text.replaceAll(`${anchor}/`, `${prefix}/`).replaceAll(anchor, directory);
  const error: NodeJS.ErrnoException & { dest?: string } = thrown;
  error.message = original(error.message);
  if (typeof error.path === 'string') error.path = original(error.path);
  if (typeof error.dest === 'string') error.dest = original(error.dest);
}
