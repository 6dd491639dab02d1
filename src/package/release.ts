/**
 * Manifest and ZIP entries become a Release: which file goes where, with what digest and mode. All of spec section 4 that can be
 * refused without the disk is refused here: every target lies inside an allowed root and outside the work directory, none inside
 * another's, and every file has an entry of its size.
 */
import { breathing, breathingEach } from '../host/breathing.ts';
import { limits } from '../limits.ts';
import { type List, loadPacking, type Packing } from '../packed-list.ts';
import type { Release } from '../release.ts';
import type { CompleteManifest } from './listed-files.ts';
import { invalidManifest as invalid, ManifestError } from './manifest.ts';
import { withoutSlash } from './manifest-fields.ts';
import type { ListedFile as FileFacts } from './manifest-schema.ts';
import { withModuleName } from './module-names.ts';
import { checkSize, type ModuleParts, moduleParts, type PackageEntry } from './module-parts.ts';
import { quoted } from './path-fault.ts';
import { removalOf } from './removal.ts';
import { placeModules, type SelfRule } from './self-module.ts';
import { checkTargets, parents, type TargetRules } from './targets.ts';

export interface ReleaseRules extends TargetRules {
  /** The version asked for; undefined when any will do (a package is only looked at). */
  readonly expectedVersion: string | undefined;
  /** Undefined: the updater is not for packages here. */
  readonly self?: SelfRule | undefined;
}

const noSelf: SelfRule = { refusal: 'this device does not take its updater from packages' };

/** Resolves a manifest against the package's entries. Throws INVALID_MANIFEST or INVALID_PACKAGE with the facts. */
export async function resolveRelease(
  manifest: CompleteManifest,
  entries: List<PackageEntry>,
  rules: ReleaseRules,
): Promise<Release> {
  try {
    return await resolved(manifest, entries, rules);
  } catch (thrown) {
    if (!(thrown instanceof ManifestError)) throw thrown;
    throw invalid(withModuleName(thrown.fault, manifest.modules), thrown);
  }
}

async function resolved(
  manifest: CompleteManifest,
  entries: List<PackageEntry>,
  rules: ReleaseRules,
): Promise<Release> {
  if (rules.expectedVersion !== undefined && manifest.version !== rules.expectedVersion)
    throw invalid(`version: is ${manifest.version}, but ${rules.expectedVersion} was asked for`);
  const packing = await loadPacking();
  const placed = placeModules(manifest.modules, await selfNames(manifest, entries), rules.self ?? noSelf);
  checkTargets(placed, rules);
  const removal = removalOf(manifest);

  const deltas = namedDeltas();
  const listed = await listedFiles(manifest, packing, deltas);
  const others = listedOthers(manifest);
  placed.forEach((module, index) => {
    deltas.name(module, `modules[${index}]`);
  });
  const parts = placed.map((module, index) => moduleParts(module, index, packing));
  const partsOf = new Map<string, ModuleParts[]>();
  for (const part of parts) partsOf.set(part.source, [...(partsOf.get(part.source) ?? []), part]);
  let planned = 0;
  await breathingEach(entries, (entry) => {
    const facts = listed.take(entry);
    others.take(entry);
    deltas.take(entry);
    for (const source of [entry.name, ...parents(entry.name)])
      for (const part of partsOf.get(source) ?? []) planned += part.take(entry, facts);
    // Counted as we go: the same source may be deployed to many targets.
    if (planned > limits.treeEntries)
      throw invalid(`modules: more than ${limits.treeEntries} files and directories to deploy`);
  });
  await listed.end(entries);
  others.end();
  deltas.end();
  return {
    version: manifest.version,
    modules: parts.map((part) => part.module()),
    compatible: manifest.compatible,
    minVersion: manifest.min_version,
    reboot: manifest.reboot ?? false,
    ...(manifest.notes !== undefined && { notes: manifest.notes }),
    ...removal,
  };
}

/** The manifest's `files`: each one must be in the package with the size it tells. */
async function listedFiles({ files = [] }: CompleteManifest, packing: Packing, deltas: NamedDeltas) {
  const listed = packing.map<FileFacts & { readonly index: number }>();
  let index = 0;
  await breathingEach(files, (file) => {
    if (listed.has(file.path)) throw invalid(`files[${index}].path: ${quoted(file.path)} is listed twice`);
    deltas.name(file, `files[${index}]`);
    listed.set(file.path, { ...file, index });
    index += 1;
  });
  let found = 0;
  return {
    /** What is said of an entry. */
    take(entry: PackageEntry): FileFacts | undefined {
      if (entry.isDirectory || entry.link !== undefined) return undefined;
      const facts = listed.get(entry.name);
      if (facts === undefined) return undefined;
      checkSize(entry, facts.size, `files[${facts.index}].size`);
      found += 1;
      return facts;
    },
    async end(entries: Iterable<PackageEntry>): Promise<void> {
      if (found === listed.size) return;
      const names = new Set<string>();
      for await (const { name, isDirectory, link } of breathing(entries))
        if (!isDirectory && link === undefined) names.add(name);
      for await (const [path, { index: at }] of breathing(listed))
        if (!names.has(path))
          throw invalid(`files[${at}].path: ${quoted(path)} is not a file in the package`);
    },
  };
}

interface NamedDeltas {
  /** `place`: of what names them in the manifest. */
  name(of: Pick<FileFacts, 'deltas'>, place: string): void;
  take(entry: PackageEntry): void;
  end(): void;
}

/** A patch that is named is in the package; what it makes is for a download to judge. */
function namedDeltas(): NamedDeltas {
  const missing = new Map<string, string>();
  return {
    name: ({ deltas = [] }, place) => {
      deltas.forEach(({ entry }, index) => {
        if (!missing.has(entry)) missing.set(entry, `${place}.deltas[${index}].entry`);
      });
    },
    take: ({ name, isDirectory }) => {
      if (!isDirectory) missing.delete(name);
    },
    end: () => {
      for (const [name, place] of missing)
        throw invalid(`${place}: ${quoted(name)} is not a file in the package`);
    },
  };
}

/** The files of the package where one of them may be the updater itself. */
async function selfNames(
  { modules }: CompleteManifest,
  entries: Iterable<PackageEntry>,
): Promise<ReadonlySet<string>> {
  const names = new Set<string>();
  if (!modules.some((module) => module.self === true)) return names;
  for await (const { name, isDirectory } of breathing(entries)) if (!isDirectory) names.add(name);
  return names;
}

/** Its `directories` and `links`, likewise. */
function listedOthers({ directories = [], links = [] }: CompleteManifest) {
  const wanted = new Set([...directories.map(withoutSlash), ...links.map(({ path }) => path)]);
  const found = new Map<string, PackageEntry>();
  return {
    take: (entry: PackageEntry): void => {
      if (wanted.has(entry.name)) found.set(entry.name, entry);
    },
    end: (): void => {
      directories.forEach((path, index) => {
        if (found.get(withoutSlash(path))?.isDirectory !== true)
          throw invalid(`directories[${index}]: ${quoted(path)} is not a directory in the package`);
      });
      links.forEach(({ path, to }, index) => {
        const link = found.get(path)?.link;
        if (link === undefined)
          throw invalid(`links[${index}].path: ${quoted(path)} is not a symlink in the package`);
        if (link !== to)
          throw invalid(`links[${index}].to: is ${quoted(to)}, but ${quoted(path)} leads to ${quoted(link)}`);
      });
    },
  };
}
