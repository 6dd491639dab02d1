/**
 * The manifest as an engineer writes it, with `//` comments, and as it goes into the package. Pure. Sizes and digests that the
 * source leaves out are filled in; those it gives must be true. Keys keep their order; each module and each file has a line of
 * its own.
 */
import { featuresUsed } from '../package/features.ts';
import type { CompleteManifest } from '../package/listed-files.ts';
import { invalidManifest, parseManifest } from '../package/manifest.ts';
import { withoutSlash } from '../package/manifest-fields.ts';
import type { ListedFile } from '../package/manifest-schema.ts';
import { withModuleName } from '../package/module-names.ts';
import { quoted } from '../package/path-fault.ts';
import { parseStrictJson } from '../package/strict-json.ts';
import { manifestFaults } from './manifest-faults.ts';
import type { SourceLink, Sources } from './sources.ts';

export interface ManifestSource {
  readonly manifest: Omit<CompleteManifest, 'files'> & {
    readonly files?: readonly ListedFile[] | undefined;
  };
  /** The same as written: with every key, also those of its engineer (`x-...`). */
  readonly written: Readonly<Record<string, unknown>>;
}

/** Size and digests of a file that goes into the package. */
export interface FileFacts {
  readonly sizeBytes: number;
  readonly md5: string;
  readonly sha256: string;
}

/** A patch in the package: from the SHA-256 of the old file to a file of the package. */
export interface DeltaName {
  readonly from: string;
  readonly entry: string;
}

/** By the name of the file that they make. */
export type Deltas = ReadonlyMap<string, readonly DeltaName[]>;

/** Reads the source with the device's own checks, and refuses unknown keys. Throws INVALID_MANIFEST naming every fault. */
export function readManifestSource(bytes: Uint8Array): ManifestSource {
  const source = Buffer.from(bytes).toString('utf8');
  // A byte order mark does not go into the package; no device would take it.
  const text = withoutComments(source.replace(/^\ufeff/, ''));
  // What is not UTF-8 goes to the device's reader as it is: it says so.
  const isUtf8 = Buffer.from(source).equals(bytes);
  const plain = isUtf8 ? Buffer.from(text) : bytes;
  const faults = manifestFaults(plain);
  if (faults.length > 0) throw invalidManifest(faults.join('; '));
  const { manifest } = parseManifest(plain);
  const { files, ...rest } = manifest;
  const patched = [...manifest.modules, ...(Array.isArray(files) ? files : [])].some(({ deltas }) => deltas);
  if (patched) throw invalidManifest('deltas: pack --delta-from makes them; name none here');
  if (files !== undefined && !Array.isArray(files))
    throw invalidManifest(
      'files: pack makes the entry by itself where it is needed; list files here, or nothing',
    );
  const written = parseStrictJson(text) as Record<string, unknown>;
  return { manifest: files === undefined ? rest : { ...rest, files }, written };
}

/** The package's manifest, whose list of files goes into it or into an entry of its own. */
export interface FilledManifest {
  readonly files: readonly object[];
  /** `entry`: where the list is instead. */
  text(entry?: { readonly entry: string; readonly sha256: string }): string;
}

/** The package's manifest. `facts`: of each file, by its name in the package. Throws INVALID_MANIFEST where the source says otherwise. */
export function filledManifest(
  source: ManifestSource,
  facts: ReadonlyMap<string, FileFacts>,
  rest: Partial<Pick<Sources, 'emptyDirectories' | 'links'>> & { readonly deltas?: Deltas } = {},
): FilledManifest {
  const writtenModules = listOf(source.written.modules);
  const deltasOf = (entry: string) => {
    const deltas = rest.deltas?.get(entry);
    return deltas === undefined ? {} : { deltas };
  };
  const modules = source.manifest.modules.map((module, index) => {
    const found = facts.get(withoutSlash(module.src));
    if (found === undefined) return writtenModules[index] ?? {};
    const place = withModuleName(`modules[${index}]`, source.manifest.modules);
    const given = { size: module.size, md5: module.md5, sha256: module.sha256 };
    return {
      ...writtenModules[index],
      ...agreed(place, given, wanted(found)),
      ...deltasOf(withoutSlash(module.src)),
    };
  });
  const files = listedFiles(source, facts, deltasOf);
  const directories = listedDirectories(source, rest.emptyDirectories ?? []);
  const links = listedLinks(source, rest.links ?? []);
  return {
    files,
    text: (entry) => {
      const root = {
        ...source.written,
        modules,
        ...(files.length === 0 ? {} : { files: entry ?? files }),
        ...(directories.length === 0 ? {} : { directories }),
        ...(links.length === 0 ? {} : { links }),
      };
      const requires = requiredBy(source, root);
      return manifestText({ ...root, ...(requires.length === 0 ? {} : { requires }) });
    },
  };
}

/** What the source requires, and what its keys do. */
function requiredBy(
  { manifest }: ManifestSource,
  root: Parameters<typeof featuresUsed>[0],
): readonly string[] {
  return [...new Set([...(manifest.requires ?? []), ...featuresUsed(root)])];
}

function listedDirectories(source: ManifestSource, empty: readonly string[]): readonly string[] {
  const given = source.manifest.directories ?? [];
  const index = given.findIndex((path) => !empty.includes(withoutSlash(path)));
  if (index >= 0)
    throw invalidManifest(
      `directories[${index}]: ${quoted(given[index] ?? '')} is not an empty directory of a module`,
    );
  return empty;
}

function listedLinks(source: ManifestSource, found: readonly SourceLink[]): readonly object[] {
  const places = new Map(found.map(({ entry, to }) => [entry, to]));
  (source.manifest.links ?? []).forEach(({ path, to }, index) => {
    const place = places.get(path);
    if (place === undefined)
      throw invalidManifest(`links[${index}].path: ${quoted(path)} is not a symlink of a module`);
    agreed(`links[${index}]`, { to }, { to: place });
  });
  return found.map(({ entry, to }) => ({ path: entry, to }));
}

/** `files`: those of the source, completed, and every file that no module names by itself. By name. */
function listedFiles(
  source: ManifestSource,
  facts: ReadonlyMap<string, FileFacts>,
  deltasOf: (entry: string) => object,
): object[] {
  const named = new Set(source.manifest.modules.map((module) => withoutSlash(module.src)));
  const given = new Map((source.manifest.files ?? []).map((file, index) => [file.path, { file, index }]));
  const missing = [...given.keys()].find((path) => !facts.has(path));
  if (missing !== undefined)
    throw invalidManifest(
      `files[${given.get(missing)?.index}].path: ${quoted(missing)} is not a file of a module`,
    );
  return [...facts]
    .filter(([path]) => given.has(path) || !named.has(path))
    .map(([path, found]) => {
      const { size, sha256 } = wanted(found);
      const written = given.get(path);
      if (written === undefined) return { path, size, sha256, ...deltasOf(path) };
      const { file, index } = written;
      agreed(`files[${index}]`, { size: file.size, sha256: file.sha256 }, { size, sha256 });
      return { ...listOf(source.written.files)[index], size, sha256, ...deltasOf(path) };
    });
}

function wanted({ sizeBytes, md5, sha256 }: FileFacts) {
  return { size: sizeBytes, md5, sha256 };
}

/** `actual`, after a look that nothing given differs from it. */
function agreed<Facts extends Readonly<Record<string, string | number>>>(
  place: string,
  given: { readonly [Key in keyof Facts]: Facts[Key] | undefined },
  actual: Facts,
): Facts {
  for (const [key, value] of Object.entries(given)) {
    if (value !== undefined && value !== actual[key])
      throw invalidManifest(`${place}.${key}: is ${value}, but the file's is ${actual[key]}`);
  }
  return actual;
}

function listOf(value: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value : [];
}

/** JSON with one line for each key of the root, and for each element of its lists of objects. */
function manifestText(root: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(root).map(([key, value]) => `  ${JSON.stringify(key)}: ${valueText(value)}`);
  return `{\n${lines.join(',\n')}\n}\n`;
}

function valueText(value: unknown): string {
  const isListOfObjects = Array.isArray(value) && value.some((item) => typeof item === 'object');
  if (!isListOfObjects) return JSON.stringify(value);
  return `[\n${value.map((item) => `    ${JSON.stringify(item)}`).join(',\n')}\n  ]`;
}

/** Comments become spaces: a position in an error message stays true. Strings are left alone. */
function withoutComments(text: string): string {
  return text.replace(/"(?:[^"\\\n]|\\.)*"|\/\/[^\n]*/g, (part) =>
    part.startsWith('"') ? part : ' '.repeat(part.length),
  );
}
