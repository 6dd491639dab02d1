/**
 * The records of what is deployed as files of backups/: which one counts, which go. One is durable before its journal says
 * `switching`, and goes before the journal where its update is undone or taken back: so the newest counts. `<id>.zip` beside it
 * is the package that it came from, where it is kept; it is compared before its use.
 */
import { posix } from 'node:path';
import type { Files } from '../host/host.ts';

const recordName = /^(\d{8}T\d{9}Z)\.deployed$/;
const packageName = /^(\d{8}T\d{9}Z)\.zip$/;
const journalName = /^(\d{8}T\d{9}Z)\.journal$/;

export function deployedPath(backupDirectory: string, id: string): string {
  return posix.join(backupDirectory, `${id}.deployed`);
}

export function keptPackagePath(backupDirectory: string, id: string): string {
  return posix.join(backupDirectory, `${id}.zip`);
}

/** Id of the record of what is deployed now, while no transaction runs. Undefined: nothing is, or an updater without records installed it. */
export async function currentRecord(files: Files, backupDirectory: string): Promise<string | undefined> {
  const names = await files.list(backupDirectory);
  const newest = idsIn(names, recordName).at(-1);
  const lastUpdate = idsIn(names, journalName).at(-1);
  return newest !== undefined && (lastUpdate === undefined || newest >= lastUpdate) ? newest : undefined;
}

/** Id of the newest record older than the update of `id`: what was deployed before it. */
export async function recordBefore(
  files: Files,
  backupDirectory: string,
  id: string,
): Promise<string | undefined> {
  return idsIn(await files.list(backupDirectory), recordName)
    .filter((each) => each < id)
    .at(-1);
}

/** Keeps the records that a rollback of `keptUpdates` may lead to, and the current one with its package. Not synced. */
export async function pruneDeployed(
  files: Files,
  backupDirectory: string,
  keptUpdates: readonly string[],
): Promise<void> {
  const names = await files.list(backupDirectory);
  const ids = idsIn(names, recordName);
  const oldest = [...keptUpdates].sort()[0];
  const before = ids.filter((id) => oldest === undefined || id < oldest);
  for (const id of before.slice(0, -1)) await files.remove(deployedPath(backupDirectory, id));
  for (const id of idsIn(names, packageName))
    if (id !== ids.at(-1)) await files.remove(keptPackagePath(backupDirectory, id));
}

function idsIn(names: readonly string[], pattern: RegExp): string[] {
  return names.flatMap((name) => pattern.exec(name)?.[1] ?? []).sort();
}
