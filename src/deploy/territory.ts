/** Where the paths of a manifest lead on this device, and whether that is where packages may go. */
import { posix } from 'node:path';
import { asUpdateError, errno, UpdateError } from '../errors.ts';
import type { Files } from '../host/host.ts';
import { resolveLinks, whyNotBelieved } from '../host/resolve-links.ts';
import type { OwnExecutable } from './probation.ts';

export interface Territory {
  readonly allowedRoots: readonly string[];
  readonly workDirectory: string;
  /** The updater's own files elsewhere, see own-files.ts. */
  readonly ownPaths?: readonly string[] | undefined;
  /** What a module may replace that is the updater itself. */
  readonly executable?: Pick<OwnExecutable, 'path'> | undefined;
}

/** Says of a resolved path whether packages may put something there. */
export async function insideTerritory(
  files: Files,
  territory: Territory,
): Promise<(path: string) => boolean> {
  const resolve = (path: string) => resolveDirectory(files, path);
  // A root that leads nowhere fails what lies below it, which resolves by the same way, and nothing else.
  const none = (thrown: unknown): undefined => {
    if (!(thrown instanceof UpdateError)) throw thrown;
  };
  const roots = await Promise.all(territory.allowedRoots.map((root) => resolve(root).catch(none)));
  const own = await resolve(territory.workDirectory);
  const under = (path: string, root: string) => root === '/' || path.startsWith(`${root}/`);
  return (path) =>
    roots.some((root) => root !== undefined && under(path, root)) && path !== own && !under(path, own);
}

/** The directory with every symlink resolved, also where it is missing yet. DEPLOYMENT_FAILED where a symlink is not to be believed. */
export async function resolveDirectory(files: Files, directory: string): Promise<string> {
  const believed = async (path: string) => {
    const real = await files.realPath(path);
    if (real === path) return real; // no symlink, none to judge
    return resolveLinks(files, path, async (way) => {
      const why = await whyNotBelieved(files, way);
      if (why !== undefined) throw new UpdateError('DEPLOYMENT_FAILED', why);
    });
  };
  const { real, missing } = await resolveExisting(files, directory, believed);
  return posix.join(real, missing);
}

/** The deepest directory at or above `path` that exists, resolved, and what is missing below it; a dangling symlink or a file is an error. */
export async function resolveExisting(
  files: Files,
  path: string,
  realPath = files.realPath,
): Promise<{ real: string; missing: string }> {
  for (let at = path; ; at = posix.dirname(at)) {
    const real = await realPath(at).catch((thrown: unknown) => {
      if (at !== '/' && (errno(thrown) === 'ENOENT' || errno(thrown) === 'ENOTDIR')) return undefined;
      throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', `resolving ${at}`);
    });
    if (real === undefined) continue;
    const missing = posix.relative(at, path);
    const next = missing.split('/')[0];
    const isDirectory = (await files.stat(real))?.kind === 'directory';
    if (
      isDirectory &&
      (next === undefined || next === '' || (await files.stat(posix.join(real, next))) === undefined)
    )
      return { real, missing };
    const what = isDirectory ? posix.join(real, next ?? '') : at;
    throw new UpdateError('DEPLOYMENT_FAILED', `${what} is not a directory, one is due there`);
  }
}
