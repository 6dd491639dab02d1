/** What earlier updates have deployed, by path, as the record that counts tells it (deployed-record.ts). */
import { UpdateError } from '../errors.ts';
import { breather } from '../host/breathing.ts';
import type { Files } from '../host/host.ts';
import { loadPacking, type PackedMap } from '../packed-list.ts';
import { besideSuffix } from '../release.ts';
import { currentRecord } from './current-record.ts';
import { type DeployedFile, type DeployedLink, type DeployedModule, openRecord } from './deployed-record.ts';
import type { Fingerprint } from './fingerprint.ts';

export interface Recorded {
  readonly files: Pick<PackedMap<RecordedFile>, 'get' | 'has'>;
  readonly links: Pick<PackedMap<RecordedLink>, 'get' | 'has'>;
  readonly directories: ReadonlySet<string>;
  readonly modules: ReadonlyMap<string, RecordedModule>;
}

/** What tells whether a file still is what was deployed. */
export type RecordedFile = Pick<DeployedFile, 'sizeBytes' | 'attributes' | 'isConfig' | 'isBeside'> &
  Fingerprint;
/** What it said of its service and its commands, and where it is. */
export type RecordedModule = Pick<DeployedModule, 'service' | 'commands'> & {
  /** Root of a tree, or the single file, resolved. */
  readonly place?: string;
};
export type RecordedLink = Pick<DeployedLink, 'to' | 'isConfig' | 'isBeside'>;

export const nothingRecorded: Recorded = {
  files: new Map(),
  links: new Map(),
  directories: new Set(),
  modules: new Map(),
};

/** Nothing where there is no record or a damaged one: then all that stands is somebody else's. */
export async function readRecorded(files: Files, backupDirectory: string): Promise<Recorded> {
  const id = await currentRecord(files, backupDirectory);
  if (id === undefined) return nothingRecorded;
  const packing = await loadPacking();
  const found = {
    files: packing.map<RecordedFile>(),
    links: packing.map<RecordedLink>(),
    directories: new Set<string>(),
    modules: new Map<string, RecordedModule>(),
  };
  const breathe = breather();
  try {
    for await (const line of (await openRecord(files, backupDirectory, id)).lines()) {
      if (line.kind === 'file') {
        found.files.set(line.path, recordedOf(line));
        const module = found.modules.get(line.module);
        if (module !== undefined && module.place === undefined)
          found.modules.set(line.module, { ...module, place: placeOf(line) });
      } else if (line.kind === 'link') found.links.set(line.path, linkOf(line));
      else if (line.kind === 'directory') found.directories.add(line.path);
      else found.modules.set(line.name, moduleOf(line));
      await breathe();
    }
    return found;
  } catch (thrown) {
    if (thrown instanceof UpdateError) return nothingRecorded;
    throw thrown;
  }
}

function moduleOf({ service, commands, tree }: DeployedModule): RecordedModule {
  return { service, ...(commands && { commands }), ...(tree !== null && { place: tree }) };
}

/** That of a module that is one file; the record of an edited one tells of what was put beside it alone. */
function placeOf({ path, isBeside }: DeployedFile): string {
  return isBeside ? path.slice(0, -besideSuffix.length) : path;
}

function linkOf({ to, isConfig, isBeside }: DeployedLink): RecordedLink {
  return { to, ...(isConfig && { isConfig }), ...(isBeside && { isBeside }) };
}

function recordedOf(line: DeployedFile): RecordedFile {
  const { sizeBytes, sha256, seal, attributes, isConfig, isBeside } = line;
  const people = { ...(isConfig && { isConfig }), ...(isBeside && { isBeside }) };
  const facts = { sizeBytes, ...(attributes && { attributes }), ...people };
  return sha256 === undefined ? { ...facts, seal } : { ...facts, sha256 };
}
