/**
 * Manifest and ZIP entries together become a Release: which file goes where, with what digest and mode. Pure.
 *
 * Everything of spec section 4 that can be refused without looking at the device's disk is refused here. When it
 * returns, every target lies strictly inside an allowed root and outside the work directory, no module's target is
 * inside another's, and every file has an entry of the size the manifest tells.
 */
import { UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Release, ReleaseFile, ReleaseModule } from '../release.ts';
import { checkLinks } from './links.ts';
import type { CompleteManifest } from './listed-files.ts';
import { invalidManifest as invalid } from './manifest.ts';
import { withoutSlash } from './manifest-fields.ts';
import type { ListedFile as FileFacts, ListedLink } from './manifest-schema.ts';
import { moduleFacts, whenThere } from './module-facts.ts';
import { quoted } from './path-fault.ts';
import { type PlacedModule, placeModules, type SelfRule } from './self-module.ts';
import { checkTargets, parents, type TargetRules } from './targets.ts';

/** What is needed to know of a ZIP entry; archive.ts gives more. */
export interface PackageEntry {
  /** Without the "/" at the end of a directory's name. */
  readonly name: string;
  readonly isDirectory: boolean;
  readonly sizeBytes: number;
  readonly mode: number | undefined;
  /** Of a symlink: where it leads to. */
  readonly link?: string | undefined;
}

export interface ReleaseRules extends TargetRules {
  /** The version asked for; undefined when any will do (a package is only looked at). */
  readonly expectedVersion: string | undefined;
  /** Undefined: the updater is not for packages here. */
  readonly self?: SelfRule | undefined;
}

const noSelf: SelfRule = { refusal: 'this device does not take its updater from packages' };

/** Resolves a manifest against the package's entries. Throws INVALID_MANIFEST or INVALID_PACKAGE with the facts. */
export function resolveRelease(
  manifest: CompleteManifest,
  entries: readonly PackageEntry[],
  rules: ReleaseRules,
): Release {
  if (rules.expectedVersion !== undefined && manifest.version !== rules.expectedVersion)
    throw invalid(`version: is ${manifest.version}, but ${rules.expectedVersion} was asked for`);
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  const fileNames = new Set(entries.flatMap(({ name, isDirectory }) => (isDirectory ? [] : [name])));
  const placed = placeModules(manifest.modules, fileNames, rules.self ?? noSelf);
  checkTargets(placed, rules);

  const listed = checkListedFiles(manifest.files ?? [], byName);
  checkListedDirectories(manifest.directories ?? [], byName);
  checkListedLinks(manifest.links ?? [], byName);
  const trees = treeEntries(placed, entries);
  const modules: ReleaseModule[] = [];
  let planned = 0;
  placed.forEach((module, index) => {
    const source = withoutSlash(module.src);
    const entry = byName.get(source);
    const tree = trees.get(source);
    checkDeltas(module, byName, `modules[${index}]`);
    let resolved: ReleaseModule;
    if (entry !== undefined && !entry.isDirectory) resolved = fileModule(module, index, entry, listed);
    else if (entry !== undefined || tree !== undefined)
      resolved = treeModule(module, index, tree ?? [], listed);
    else throw invalid(`modules[${index}].src: ${quoted(source)} is not in the package`);
    // Counted as we go: the same source may be deployed to many targets.
    planned += resolved.files.length + resolved.directories.length;
    if (planned > 2 * limits.archiveEntries)
      throw invalid(`modules: more than ${2 * limits.archiveEntries} files and directories to deploy`);
    modules.push(resolved);
  });
  return {
    version: manifest.version,
    modules,
    compatible: manifest.compatible,
    minVersion: manifest.min_version,
    reboot: manifest.reboot ?? false,
  };
}

/** The manifest's `files` by path, each one checked to be in the package with the size it tells. */
function checkListedFiles(
  files: readonly FileFacts[],
  byName: ReadonlyMap<string, PackageEntry>,
): Map<string, FileFacts> {
  const listed = new Map<string, FileFacts>();
  files.forEach((file, index) => {
    if (listed.has(file.path)) throw invalid(`files[${index}].path: ${quoted(file.path)} is listed twice`);
    const entry = byName.get(file.path);
    if (entry === undefined || entry.isDirectory || entry.link !== undefined)
      throw invalid(`files[${index}].path: ${quoted(file.path)} is not a file in the package`);
    checkSize(entry, file.size, `files[${index}].size`);
    checkDeltas(file, byName, `files[${index}]`);
    listed.set(file.path, file);
  });
  return listed;
}

/** A patch that is named is in the package; what it makes is for a download to judge. */
function checkDeltas(
  { deltas }: Pick<FileFacts, 'deltas'>,
  byName: ReadonlyMap<string, PackageEntry>,
  place: string,
): void {
  deltas?.forEach(({ entry }, index) => {
    if (byName.get(entry)?.isDirectory !== false)
      throw invalid(`${place}.deltas[${index}].entry: ${quoted(entry)} is not a file in the package`);
  });
}

function checkListedDirectories(
  directories: readonly string[],
  byName: ReadonlyMap<string, PackageEntry>,
): void {
  directories.forEach((path, index) => {
    if (byName.get(withoutSlash(path))?.isDirectory !== true)
      throw invalid(`directories[${index}]: ${quoted(path)} is not a directory in the package`);
  });
}

function checkListedLinks(links: readonly ListedLink[], byName: ReadonlyMap<string, PackageEntry>): void {
  links.forEach(({ path, to }, index) => {
    const link = byName.get(path)?.link;
    if (link === undefined)
      throw invalid(`links[${index}].path: ${quoted(path)} is not a symlink in the package`);
    if (link !== to)
      throw invalid(`links[${index}].to: is ${quoted(to)}, but ${quoted(path)} leads to ${quoted(link)}`);
  });
}

function checkSize(entry: PackageEntry, sizeBytes: number | undefined, field: string): void {
  if (sizeBytes === undefined || sizeBytes === entry.sizeBytes) return;
  const text = `entry ${quoted(entry.name)} is ${entry.sizeBytes} bytes, but ${field} in manifest.json is ${sizeBytes}`;
  throw new UpdateError('INVALID_PACKAGE', text);
}

/** For every `src` that is a directory with something in it: the entries below it. One walk over all entries. */
function treeEntries(
  modules: readonly PlacedModule[],
  entries: readonly PackageEntry[],
): Map<string, PackageEntry[]> {
  const sources = new Set(modules.map((module) => withoutSlash(module.src)));
  const trees = new Map<string, PackageEntry[]>();
  for (const entry of entries) {
    for (const parent of parents(entry.name)) {
      if (!sources.has(parent)) continue;
      const tree = trees.get(parent);
      if (tree === undefined) trees.set(parent, [entry]);
      else tree.push(entry);
    }
  }
  return trees;
}

function fileModule(
  module: PlacedModule,
  index: number,
  entry: PackageEntry,
  listed: ReadonlyMap<string, FileFacts>,
): ReleaseModule {
  for (const key of ['src', 'dst'] as const) {
    if (module[key].endsWith('/'))
      throw invalid(
        `modules[${index}].${key}: ends with "/", but ${quoted(entry.name)} is a file in the package`,
      );
  }
  if (entry.link !== undefined)
    throw invalid(
      `modules[${index}].src: ${quoted(entry.name)} is a symlink; it can be deployed in a tree, where what it leads to is`,
    );
  const facts = listed.get(entry.name);
  if (facts !== undefined && module.sha256 !== undefined && facts.sha256 !== module.sha256)
    throw invalid(`modules[${index}].sha256: differs from the one listed in files for ${quoted(entry.name)}`);
  checkSize(entry, module.size, `modules[${index}].size`);
  const file = { ...releaseFile(module, entry, module.dst, facts), md5: module.md5 };
  return {
    ...moduleFacts(module, false, `modules[${index}]`),
    target: module.dst,
    isTree: false,
    files: [{ ...file, sha256: module.sha256 ?? file.sha256, whenThere: whenThere(module, undefined) }],
    directories: [],
  };
}

function treeModule(
  module: PlacedModule,
  index: number,
  entries: readonly PackageEntry[],
  listed: ReadonlyMap<string, FileFacts>,
): ReleaseModule {
  const source = withoutSlash(module.src);
  const target = withoutSlash(module.dst);
  for (const key of ['size', 'md5', 'sha256', 'deltas'] as const) {
    if (module[key] !== undefined)
      throw invalid(
        `modules[${index}].${key}: ${quoted(source)} is a directory; list its files under files at the root instead`,
      );
  }
  const directories = new Set<string>([target]);
  const files: ReleaseFile[] = [];
  for (const entry of entries) {
    const path = target + entry.name.slice(source.length);
    if (Buffer.byteLength(path) > limits.pathBytes)
      throw invalid(`modules[${index}].dst: ${quoted(path)} is longer than ${limits.pathBytes} bytes`);
    // A parent that is known has brought its own parents, up to the target.
    for (const parent of parents(path)) {
      if (directories.has(parent)) break;
      directories.add(parent);
    }
    if (entry.isDirectory) directories.add(path);
    else {
      const file = releaseFile(module, entry, path, listed.get(entry.name));
      files.push({ ...file, whenThere: whenThere(module, path.slice(target.length + 1)) });
    }
  }
  checkLinks(source, linksBelow(source, entries));
  const facts = moduleFacts(module, true, `modules[${index}]`);
  return { ...facts, target, isTree: true, files, directories: [...directories].sort() };
}

function linksBelow(source: string, entries: readonly PackageEntry[]): Map<string, string> {
  const links = new Map<string, string>();
  for (const { name, link } of entries)
    if (link !== undefined) links.set(name.slice(source.length + 1), link);
  return links;
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
  };
}
