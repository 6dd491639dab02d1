/** The entries of a package that belong to one module of its manifest, as they come, and what the module is by them. */
import { UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Packing } from '../packed-list.ts';
import { besideSuffix, type ReleaseFile, type ReleaseModule } from '../release.ts';
import { checkLinks } from './links.ts';
import { invalidManifest as invalid } from './manifest.ts';
import { withoutSlash } from './manifest-fields.ts';
import type { ListedFile as FileFacts } from './manifest-schema.ts';
import { moduleAttributes } from './module-attributes.ts';
import { moduleFacts, whenThere } from './module-facts.ts';
import { quoted } from './path-fault.ts';
import type { PlacedModule } from './self-module.ts';
import { parents } from './targets.ts';

/** What is needed to know of a ZIP entry; archive.ts gives more. */
export interface PackageEntry {
  /** Without the "/" at the end of a directory's name. */
  readonly name: string;
  readonly isDirectory: boolean;
  readonly sizeBytes: number;
  readonly mode: number | undefined;
  /** Of a symlink: where it leads to. */
  readonly link?: string | undefined;
  readonly crc32?: number | undefined;
}

export interface ModuleParts {
  /** `src` without the slash at its end. */
  readonly source: string;
  /** Takes the entry that `src` names, or one below it; tells how many files and directories that adds. `facts`: of `files` in the manifest. */
  take(entry: PackageEntry, facts: FileFacts | undefined): number;
  /** All has been taken. */
  module(): ReleaseModule;
}

/** `index`: of the module in the manifest. All throw INVALID_MANIFEST or INVALID_PACKAGE with the place. */
export function moduleParts(module: PlacedModule, index: number, packing: Packing): ModuleParts {
  const source = withoutSlash(module.src);
  const target = withoutSlash(module.dst);
  const place = `modules[${index}]`;
  const directories = new Set<string>([target]);
  const files = packing.list<ReleaseFile>();
  const links = new Map<string, string>();
  const config = packing.map<true>();
  const news: string[] = [];
  const attributes = moduleAttributes(module);
  let own: { readonly entry: PackageEntry; readonly facts: FileFacts | undefined } | undefined;
  let isTree = false;

  const below = (entry: PackageEntry, facts: FileFacts | undefined): void => {
    const path = target + entry.name.slice(source.length);
    if (Buffer.byteLength(path) > limits.pathBytes)
      throw invalid(`${place}.dst: ${quoted(path)} is longer than ${limits.pathBytes} bytes`);
    // A parent that is known has brought its own parents, up to the target.
    for (const parent of parents(path)) {
      if (directories.has(parent)) break;
      directories.add(parent);
    }
    if (entry.isDirectory) {
      directories.add(path);
      return;
    }
    if (entry.link !== undefined) links.set(entry.name.slice(source.length + 1), entry.link);
    const name = path.slice(target.length + 1);
    const stated = entry.link === undefined ? attributes.of(name) : {};
    const file = {
      ...releaseFile(module, entry, path, facts),
      ...stated,
      whenThere: whenThere(module, name),
    };
    files.add(file);
    if (file.whenThere === 'config') config.set(path, true);
    if (module.config !== undefined && path.endsWith(besideSuffix)) news.push(path);
  };

  /** Of an edited file the package's own is put there. */
  const refuseBesides = (): void => {
    for (const path of [...news, ...directories]) {
      const edited = path.slice(0, -besideSuffix.length);
      if (!path.endsWith(besideSuffix) || !config.has(edited)) continue;
      const [one, other] = [edited, path].map((each) => quoted(source + each.slice(target.length)));
      const text = `${one} matches ${place}.config: where it is edited, the new one is put beside it as ${other}, which is in the package, too`;
      throw new UpdateError('INVALID_PACKAGE', text);
    }
  };

  return {
    source,
    take(entry, facts) {
      const before = files.length + directories.size;
      isTree ||= entry.isDirectory || entry.name !== source;
      if (entry.name === source && !entry.isDirectory) own = { entry, facts };
      else if (entry.name !== source) below(entry, facts);
      return files.length + directories.size - before;
    },
    module() {
      if (own !== undefined) return fileModule(module, place, own.entry, own.facts);
      if (!isTree) throw invalid(`${place}.src: ${quoted(source)} is not in the package`);
      for (const key of ['size', 'md5', 'sha256', 'deltas'] as const) {
        if (module[key] !== undefined)
          throw invalid(
            `${place}.${key}: ${quoted(source)} is a directory; list its files under files at the root instead`,
          );
      }
      checkLinks(source, links);
      attributes.checkAllUsed(place);
      refuseBesides();
      const facts = moduleFacts(module, true, place);
      return { ...facts, target, isTree: true, files, directories: [...directories].sort() };
    },
  };
}

function fileModule(
  module: PlacedModule,
  place: string,
  entry: PackageEntry,
  facts: FileFacts | undefined,
): ReleaseModule {
  for (const key of ['src', 'dst'] as const) {
    if (module[key].endsWith('/'))
      throw invalid(`${place}.${key}: ends with "/", but ${quoted(entry.name)} is a file in the package`);
  }
  if (entry.link !== undefined)
    throw invalid(
      `${place}.src: ${quoted(entry.name)} is a symlink; it can be deployed in a tree, where what it leads to is`,
    );
  if (facts !== undefined && module.sha256 !== undefined && facts.sha256 !== module.sha256)
    throw invalid(`${place}.sha256: differs from the one listed in files for ${quoted(entry.name)}`);
  checkSize(entry, module.size, `${place}.size`);
  const stated = moduleAttributes(module).of(undefined);
  const file = { ...releaseFile(module, entry, module.dst, facts), ...stated, md5: module.md5 };
  return {
    ...moduleFacts(module, false, place),
    target: module.dst,
    isTree: false,
    files: [{ ...file, sha256: module.sha256 ?? file.sha256, whenThere: whenThere(module, undefined) }],
    directories: [],
  };
}

function releaseFile(
  module: PlacedModule,
  entry: PackageEntry,
  target: string,
  facts: FileFacts | undefined,
): Omit<ReleaseFile, 'whenThere'> {
  const forced = facts?.mode ?? module.mode;
  return {
    entry: entry.name,
    target,
    sizeBytes: entry.sizeBytes,
    mode: forced ?? entry.mode,
    modeIsForced: forced !== undefined,
    md5: undefined,
    sha256: facts?.sha256,
    ...(entry.link !== undefined && { link: entry.link }),
    ...(entry.crc32 !== undefined && { crc32: entry.crc32 }),
  };
}

export function checkSize(entry: PackageEntry, sizeBytes: number | undefined, field: string): void {
  if (sizeBytes === undefined || sizeBytes === entry.sizeBytes) return;
  const text = `entry ${quoted(entry.name)} is ${entry.sizeBytes} bytes, but ${field} in manifest.json is ${sizeBytes}`;
  throw new UpdateError('INVALID_PACKAGE', text);
}
