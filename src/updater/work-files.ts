/** The files of tmp/: which belong to the package at hand, which are leftovers. */

import { posix } from 'node:path';
import { currentRecord, keptPackagePath } from '../deploy/current-record.ts';
import { packagePath } from '../download/request.ts';
import { errorText } from '../errors.ts';
import { removeIfThere } from '../host/durable-file.ts';
import type { Files, Host } from '../host/host.ts';
import type { Operation } from './event.ts';
import { holdsFile } from './saved-holds.ts';

/** Removes the package of an operation and its partial download. Not synced: what comes back is removed or compared before its use. */
export async function removePackage(files: Files, tmp: string, operation: Operation | null): Promise<void> {
  if (operation?.kind !== 'update') return;
  const path = packagePath(tmp, operation.request.package_name);
  for (const one of [path, `${path}.part`, `${path}.tail`]) await removeIfThere(files, one);
}

/** Puts the package of an update that stands beside the record of what it deployed. */
export async function keepPackage(
  { files, log }: Pick<Host, 'files' | 'log'>,
  tmp: string,
  backups: string,
  operation: Operation | null,
): Promise<void> {
  const id = await currentRecord(files, backups);
  if (operation?.kind !== 'update' || id === undefined) return;
  try {
    await files.rename(packagePath(tmp, operation.request.package_name), keptPackagePath(backups, id));
  } catch (thrown) {
    log.warn(`the package is not kept: ${errorText(thrown)}`);
  }
}

/** Removes what no state knows of: earlier packages, temporaries of a cut write. Directories are nobody's leftovers. */
export async function removeLeftovers(
  host: Pick<Host, 'files' | 'log'>,
  tmp: string,
  keep: ReadonlySet<string>,
): Promise<void> {
  const known = new Set([
    'state.json',
    'state.json.damaged',
    'outbox.json',
    holdsFile,
    'fleet.json',
    'fleet.json.damaged',
    ...keep,
  ]);
  for (const name of await host.files.list(tmp)) {
    const path = posix.join(tmp, name);
    if (known.has(name) || (await host.files.stat(path))?.kind === 'directory') continue;
    host.log.info(`${path} is a leftover of an earlier run and is removed`);
    await host.files.remove(path);
  }
}
