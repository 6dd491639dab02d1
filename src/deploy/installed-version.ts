/**
 * The version that runs now, for the downgrade guard and `min_version`.
 *
 * Two sources that do not depend on each other: the history, of which the last success is never dropped, and, where it is lost,
 * the record of what is deployed (deployed-record.ts), which stands as long as anything is. Neither depends on a clock.
 */
import { UpdateError } from '../errors.ts';
import type { Files } from '../host/host.ts';
import { currentRecord } from './current-record.ts';
import { openRecord } from './deployed-record.ts';
import { lastSuccess, readHistory } from './history-file.ts';

/** Undefined where nothing is installed: nothing ever was, or the first update was taken back. */
export async function installedVersion(files: Files, backupDirectory: string): Promise<string | undefined> {
  const last = lastSuccess(await readHistory(files, backupDirectory));
  return last === undefined ? recordedVersion(files, backupDirectory) : (last.version ?? undefined);
}

async function recordedVersion(files: Files, backupDirectory: string): Promise<string | undefined> {
  const id = await currentRecord(files, backupDirectory);
  if (id === undefined) return undefined;
  try {
    return (await openRecord(files, backupDirectory, id)).header.version;
  } catch (thrown) {
    if (thrown instanceof UpdateError) return undefined; // damaged: nothing is known
    throw thrown;
  }
}
