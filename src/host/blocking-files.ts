/**
 * The Files port of a command that reads very many small files and has nothing else to do meanwhile: what takes microseconds is done at once,
 * as a trip to libuv's worker and back takes longer. Never for the daemon: a call here blocks the event loop for as long as the disk does.
 */
import fs from 'node:fs';
import { limits } from '../limits.ts';
import { groupReader } from './acl.ts';
import { attributeCalls } from './attributes.ts';
import { isAbsence, toFileStat } from './file-stat.ts';
import { openedFile, openFlags, plainFiles, withoutMask } from './files.ts';
import type { FileStat, Files } from './host.ts';
import { pathBytes, rawText } from './raw-text.ts';

/** As plainFiles: symlinks in directories are followed. Reads of more than a small file, writes and syncs go to the worker as there. */
export function blockingFiles(): Files {
  const files = plainFiles();
  const reader = groupReader();
  // For 100 000 files it costs a second, whatever the way.
  const calls = { groups: reader && { ...reader, isCostly: true }, attributes: attributeCalls() };
  return {
    ...files,
    list: async (path) => {
      const names = fs.readdirSync(pathBytes(path), 'utf8');
      // As bytes only where one may be no UTF-8.
      return names.some((each) => each.includes('\ufffd'))
        ? fs.readdirSync(pathBytes(path), 'buffer').map(rawText)
        : names;
    },
    stat: async (path) => {
      const name = pathBytes(path);
      const found = statNow(name);
      return found && withoutMask(found, calls.groups, (reader) => reader.ofName(name));
    },
    open: async (path, how) => {
      if (how !== 'read') return files.open(path, how);
      const fd = fs.openSync(pathBytes(path), openFlags.read);
      const file = openedFile(fd, how, calls);
      const { read } = file;
      return Object.assign(file, {
        read: async (buffer: Uint8Array, offset: number, length: number, position: number) =>
          length <= limits.readAtOnceBytes
            ? fs.readSync(fd, buffer, offset, length, position)
            : read(buffer, offset, length, position),
        close: async () => fs.closeSync(fd),
      });
    },
  };
}

function statNow(name: string | Buffer): FileStat | undefined {
  try {
    const found = fs.lstatSync(name, { bigint: true, throwIfNoEntry: false });
    return found && toFileStat(found);
  } catch (thrown) {
    if (isAbsence(thrown)) return undefined;
    throw thrown;
  }
}
