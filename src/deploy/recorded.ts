/** What earlier updates have deployed, by path, as the record that counts tells it (deployed-record.ts). */
import { UpdateError } from '../errors.ts';
import type { Files } from '../host/host.ts';
import { currentRecord } from './current-record.ts';
import { type DeployedFile, type DeployedLink, openRecord } from './deployed-record.ts';

export interface Recorded {
  readonly files: ReadonlyMap<string, DeployedFile>;
  readonly links: ReadonlyMap<string, DeployedLink>;
  readonly directories: ReadonlySet<string>;
}

export const nothingRecorded: Recorded = { files: new Map(), links: new Map(), directories: new Set() };

/** Nothing where there is no record or a damaged one: then all that stands is somebody else's. */
export async function readRecorded(files: Files, backupDirectory: string): Promise<Recorded> {
  const id = await currentRecord(files, backupDirectory);
  if (id === undefined) return nothingRecorded;
  const found = {
    files: new Map<string, DeployedFile>(),
    links: new Map<string, DeployedLink>(),
    directories: new Set<string>(),
  };
  try {
    for await (const line of (await openRecord(files, backupDirectory, id)).lines()) {
      if (line.kind === 'file') found.files.set(line.path, line);
      else if (line.kind === 'link') found.links.set(line.path, line);
      else if (line.kind === 'directory') found.directories.add(line.path);
    }
    return found;
  } catch (thrown) {
    if (thrown instanceof UpdateError) return nothingRecorded;
    throw thrown;
  }
}
