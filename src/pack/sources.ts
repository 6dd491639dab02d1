/**
 * Which files of a folder go into the package: those that a module's `src` names, never a key or a note beside them. Sorted by
 * name, so that the same folder gives the same package. Symlinks are packed as such, and never followed; special files are
 * refused.
 */
import { posix } from 'node:path';
import { asUpdateError, UpdateError } from '../errors.ts';
import type { Files } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { CompleteManifest } from '../package/listed-files.ts';
import { invalidManifest } from '../package/manifest.ts';
import { withoutSlash } from '../package/manifest-fields.ts';
import { withModuleName } from '../package/module-names.ts';
import { pathFault, quoted } from '../package/path-fault.ts';

export interface SourceFile {
  /** Name in the package. */
  readonly entry: string;
  readonly path: string;
  readonly sizeBytes: number;
  /** Permission bits of the file, 0o7777. */
  readonly mode: number;
}

export interface SourceLink {
  /** Name in the package. */
  readonly entry: string;
  readonly to: string;
}

export interface Sources {
  readonly files: readonly SourceFile[];
  readonly links: readonly SourceLink[];
  /** Names in the package, without "/" at the end. */
  readonly emptyDirectories: readonly string[];
}

/** Where the list of files goes that is too long for the manifest. */
export const filesEntry = 'files.json';

/** What a patch of a package is called. */
export function deltaEntry(number: number): string {
  return `deltas/${number}`;
}

export function isDelta(entry: string): boolean {
  return /^deltas\/\d+$/.test(entry);
}

/** Names that the package keeps for itself. */
const reserved = ['manifest.json', 'manifest.json.minisig', filesEntry];

/** Walks every `src` below `folder`. Throws INVALID_MANIFEST for one that is not there, INVALID_PACKAGE for what a device would not take. */
export async function collectSources(
  files: Files,
  folder: string,
  manifest: CompleteManifest,
): Promise<Sources> {
  const found = new Map<string, SourceFile>();
  const links = new Map<string, SourceLink>();
  const emptyDirectories = new Set<string>();
  const visit = async (entry: string, path: string, notThere: () => UpdateError): Promise<void> => {
    const stat = await files.stat(path);
    if (stat === undefined) throw notThere();
    const fault = stat.kind === 'other' ? 'is a device, socket or pipe' : pathFault(entry);
    if (fault !== undefined)
      throw new UpdateError('INVALID_PACKAGE', `${quoted(path)} ${fault}; a device does not take it`);
    if (stat.kind === 'file' || stat.kind === 'symlink') {
      if (stat.kind === 'symlink') links.set(entry, { entry, to: await files.readLink(path) });
      else found.set(entry, { entry, path, sizeBytes: stat.sizeBytes, mode: stat.mode });
      if (found.size + links.size > limits.packageFiles)
        throw new UpdateError('INVALID_PACKAGE', `more than ${limits.packageFiles} files`);
      return;
    }
    const names = await files.list(path);
    if (names.length === 0) emptyDirectories.add(entry);
    for (const name of names)
      await visit(
        `${entry}/${name}`,
        `${path}/${name}`,
        () => new UpdateError('INVALID_PACKAGE', `${quoted(path)} changes while it is packed`),
      );
  };
  for (const [index, module] of manifest.modules.entries()) {
    const source = withoutSlash(module.src);
    const fault = (why: string) =>
      invalidManifest(withModuleName(`modules[${index}].src: ${quoted(source)} ${why}`, manifest.modules));
    if (reserved.includes(source)) throw fault("is the package's own file");
    try {
      await visit(source, posix.join(folder, source), () => fault(`is not in ${folder}`));
    } catch (thrown) {
      throw asUpdateError(thrown, 'INVALID_PACKAGE', `reading ${posix.join(folder, source)}`);
    }
  }
  return {
    files: [...found.values()].sort((a, b) => compare(a.entry, b.entry)),
    links: [...links.values()].sort((a, b) => compare(a.entry, b.entry)),
    emptyDirectories: [...emptyDirectories].sort(compare),
  };
}

/** The same with more files, in the same order. */
export function withFiles(sources: Sources, files: readonly SourceFile[]): Sources {
  return { ...sources, files: [...sources.files, ...files].sort((a, b) => compare(a.entry, b.entry)) };
}

/** By bytes, whatever the locale. */
function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
