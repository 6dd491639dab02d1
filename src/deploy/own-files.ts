/**
 * Keeps every transaction away from the updater's own files (spec section 11), by whatever path, link or second name: a device
 * whose updater is replaced by other bytes cannot be updated again, and the success would be told all the same.
 */
import { posix } from 'node:path';
import { type ErrorCode, errno, UpdateError } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import type { Files } from '../host/host.ts';
import { type Findings, identityOf } from './findings.ts';
import { directoryOf } from './paths.ts';
import type { Want } from './want.ts';

/** Throws `code` for the first want that would change one of `own` (absolute paths) or something below. `found`: what stands at each target. */
export async function refuseOwnFiles(
  files: Files,
  own: readonly string[],
  wants: Iterable<Want>,
  found: Pick<Findings, 'get'>,
  code: ErrorCode,
): Promise<void> {
  const known = await knownOf(files, own);
  const placeAbove = ancestorAmong(known.paths);
  for await (const want of breathing(wants)) {
    const there = found.get(want.target);
    const reached = placeAbove(want.target) ?? (await linkedTo(there, want.target));
    if (reached === undefined) continue;
    const also = reached === want.target ? '' : ` (${reached})`;
    throw new UpdateError(
      code,
      `module "${want.module}": ${want.target} belongs to the updater itself${also}: its program, units, configuration and keys are not for packages`,
    );
  }

  async function linkedTo(there: ReturnType<Findings['get']>, target: string): Promise<string | undefined> {
    // A second name: a hard link, or the same file mounted elsewhere.
    if (there?.kind === 'file') return known.inodes.get(there.identity);
    if (there?.kind !== 'symlink') return undefined;
    const real = await realPath(files, target);
    return [...known.paths].find((path) => path === real || path.startsWith(`${real}/`));
  }
}

interface Known {
  /** As they are named, with resolved directories, and what they lead to. */
  readonly paths: ReadonlySet<string>;
  readonly inodes: ReadonlyMap<string, string>;
}

async function knownOf(files: Files, own: readonly string[]): Promise<Known> {
  const paths = new Set<string>();
  const inodes = new Map<string, string>();
  for (const path of own) {
    paths.add(path);
    const directory = await realPath(files, posix.dirname(path));
    if (directory === undefined) continue;
    paths.add(posix.join(directory, posix.basename(path)));
    const real = await realPath(files, path);
    if (real === undefined) continue;
    paths.add(real);
    const stat = await files.stat(real);
    if (stat?.kind === 'file') inodes.set(identityOf(stat), path);
  }
  return { paths, inodes };
}

async function realPath(files: Files, path: string): Promise<string | undefined> {
  try {
    return await files.realPath(path);
  } catch (thrown) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errno(thrown) ?? '')) return undefined;
    throw thrown;
  }
}

/** The one of `places` that a path is, or lies below. Neighbours are asked for once together: a tree has many files. */
function ancestorAmong(places: ReadonlySet<string>): (path: string) => string | undefined {
  const asked = new Map<string, string | undefined>();
  const placeOf = (path: string): string | undefined => {
    if (places.has(path)) return path;
    const directory = directoryOf(path);
    if (directory === path) return undefined;
    if (!asked.has(directory)) asked.set(directory, placeOf(directory));
    return asked.get(directory);
  };
  return placeOf;
}
