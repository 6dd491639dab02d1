/** Tells of changes in a directory as they happen (inotify(7)). */
import { watch } from 'node:fs';
import type { WatchDirectory } from './host.ts';

/** A directory that cannot be watched tells nothing: who needs to know for certain looks from time to time, too. */
export const watchDirectory: WatchDirectory = (directory, changed) => {
  try {
    const watcher = watch(directory, { persistent: false }, (_, name) => {
      if (name !== null) changed(name);
    });
    watcher.on('error', () => watcher.close());
    return () => watcher.close();
  } catch {
    return () => undefined;
  }
};
