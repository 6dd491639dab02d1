/**
 * The version that runs now, for the downgrade guard and `min_version`: of the history, whose last success is never dropped, or,
 * where that is lost, of the record of what is deployed. No clock has a say.
 */
import { UpdateError } from '../errors.ts';
import type { Files } from '../host/host.ts';
import type { Installed } from '../installed.ts';
import { currentRecord, recordBefore } from './current-record.ts';
import { openRecord, type RecordHeader } from './deployed-record.ts';
import { lastSuccess, readHistory } from './history-file.ts';

/** Undefined where nothing is installed: nothing ever was, or the first update was taken back. */
export async function installedVersion(files: Files, backupDirectory: string): Promise<string | undefined> {
  const last = lastSuccess(await readHistory(files, backupDirectory));
  if (last !== undefined) return last.version ?? undefined;
  const id = await currentRecord(files, backupDirectory);
  return (await headerOf(files, backupDirectory, id))?.version;
}

/** The same with its modules and notes. They are not told where an updater that kept no record has installed what runs. */
export async function readInstalled(files: Files, backupDirectory: string): Promise<Installed> {
  const version = await installedVersion(files, backupDirectory);
  const header = version === undefined ? undefined : await headerFor(files, backupDirectory, version);
  return {
    version: version ?? null,
    modules: Object.entries(header?.modules ?? {})
      .sort()
      .map(([name, its]) => ({ name, version: its })),
    notes: header?.notes ?? null,
  };
}

/** While an update is under way the newest record is its own: then the one before it tells what is installed. */
async function headerFor(
  files: Files,
  backupDirectory: string,
  version: string,
): Promise<RecordHeader | undefined> {
  const id = await currentRecord(files, backupDirectory);
  for (const each of id === undefined ? [] : [id, await recordBefore(files, backupDirectory, id)]) {
    const header = await headerOf(files, backupDirectory, each);
    if (header?.version === version) return header;
  }
  return undefined;
}

/** Undefined where there is no such record, or where it is damaged. */
async function headerOf(
  files: Files,
  backupDirectory: string,
  id: string | undefined,
): Promise<RecordHeader | undefined> {
  if (id === undefined) return undefined;
  try {
    return (await openRecord(files, backupDirectory, id)).header;
  } catch (thrown) {
    if (thrown instanceof UpdateError) return undefined; // damaged: nothing is known
    throw thrown;
  }
}
