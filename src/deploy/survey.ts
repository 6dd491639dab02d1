/**
 * The survey: reads from the disk what planning must know, and changes nothing.
 *
 * Invariant: every path that leaves here is free of symlinks in its directories and lies inside an allowed root, as
 * it is after all links are resolved (spec section 4).
 */
import { posix } from 'node:path';
import { asUpdateError, errno, UpdateError } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import type { FileOwner, Files, Host } from '../host/host.ts';
import { forEachInFlight } from '../host/in-flight.ts';
import { limits } from '../limits.ts';
import { filtered } from '../packed-list.ts';
import type { Release, ReleaseModule } from '../release.ts';
import { findExtras } from './extras.ts';
import { type Findings, openFindings } from './findings.ts';
import type { Facts, Want } from './make-plan.ts';
import { refuseOwnFiles } from './own-files.ts';
import { readOwners } from './owner.ts';
import { baseOf, directoryOf, inDirectory } from './paths.ts';
import { type Plan, touchedDirectories } from './plan.ts';
import type { OwnExecutable } from './probation.ts';
import { nothingRecorded, type Recorded } from './recorded.ts';
import { checkSpace, type Filesystem } from './space.ts';
import { judgeStanding } from './standing.ts';
import { wantsOfRelease } from './wants.ts';

export interface Territory {
  readonly allowedRoots: readonly string[];
  readonly workDirectory: string;
  /** The updater's own files elsewhere, see own-files.ts. */
  readonly ownPaths?: readonly string[] | undefined;
  /** What a module may replace that is the updater itself. */
  readonly executable?: Pick<OwnExecutable, 'path'> | undefined;
}

export interface Survey {
  readonly wants: Iterable<Want>;
  readonly facts: Facts & { readonly found: Findings };
  /** Root of each module, resolved. */
  readonly moduleRoots: ReadonlyMap<string, string>;
}

/** Surveys what a release will touch. INVALID_MANIFEST where a target leads out of the territory or to the updater itself. */
export async function surveyRelease(
  host: Pick<Host, 'files' | 'log'>,
  release: Release,
  territory: Territory,
  self: FileOwner,
  recorded: Recorded = nothingRecorded,
): Promise<Survey> {
  const { files } = host;
  const inside = await insideTerritory(files, territory);
  const real = new Map<string, string>();
  const look = async (module: ReleaseModule, path: string): Promise<void> => {
    const directory = directoryOf(path);
    if (!real.has(directory)) real.set(directory, await resolveDirectory(files, directory));
    const isOwn = module.isSelf === true && resolve(path) === territory.executable?.path;
    if (!inside(resolve(path)) && !isOwn)
      throw new UpdateError(
        'INVALID_MANIFEST',
        `module "${module.name}": ${path} leads to ${resolve(path)}, outside the allowed roots`,
      );
  };
  const resolve = (path: string): string => {
    const directory = directoryOf(path);
    return inDirectory(real.get(directory) ?? directory, baseOf(path));
  };
  for (const module of release.modules) {
    for (const path of [module.target, ...module.directories]) await look(module, path);
    for await (const { target } of breathing(module.files)) await look(module, target);
  }
  const ownerOf = await readOwners(
    files,
    release.modules.map((module) => module.owner),
  );
  const wanted = await wantsOfRelease(release, resolve, ownerOf);
  const found = await openFindings();
  const judged = await judgeStanding(host, wanted.files, recorded, found);
  const others = new Set([...wanted.directories.map(({ target }) => target), ...judged.besides]);
  const isKnown = (path: string) => others.has(path) || found.has(path);
  const extras = await findExtras(host, wanted.trees, isKnown, recorded);
  const all = chained<Want>(wanted.directories, judged.wants, extras);
  const facts = await surveyWants(files, all, self, found);
  const updater = new Set(release.modules.flatMap(({ name, isSelf }) => (isSelf ? [name] : [])));
  const notUpdater = filtered(all, ({ module }) => !updater.has(module));
  await refuseOwnFiles(files, territory.ownPaths ?? [], notUpdater, facts.found, 'INVALID_MANIFEST');
  return {
    wants: all,
    facts,
    moduleRoots: new Map(release.modules.map((module) => [module.name, resolve(module.target)])),
  };
}

/** Facts for wants whose paths are resolved already; `known`: what is known of them before. */
export async function surveyWants(
  files: Files,
  wants: Iterable<Want>,
  self: FileOwner,
  known?: Findings,
): Promise<Survey['facts']> {
  const found = known ?? (await openFindings());
  await forEachInFlight(wants, limits.filesInFlight, async ({ target }) => {
    if (!found.has(target)) found.set(target, await files.stat(target));
  });
  const wanted = new Set<string>();
  const missing = new Set<string>();
  const seen = new Set<string>();
  for await (const want of breathing(wants)) {
    if (want.kind === 'absent') continue;
    if (want.kind === 'directory') wanted.add(want.target);
    for (let path = directoryOf(want.target); path !== '/'; path = directoryOf(path)) {
      if (missing.has(path) || seen.has(path)) break;
      if (found.has(path) || (await files.stat(path))) {
        seen.add(path);
        break;
      }
      missing.add(path);
    }
  }
  const missingParents = [...missing].filter((path) => !wanted.has(path)).sort();
  return { found, missingParents, self };
}

/** Throws DISK_FULL where the plan does not fit (see space.ts). */
export async function checkPlanFits(
  files: Files,
  plan: Plan,
  facts: Facts,
  backupDirectory: string,
): Promise<void> {
  const measure = eachOnce(async (directory): Promise<Filesystem> => {
    return { path: directory, ...(await files.space(directory)) };
  });
  const homes = new Map<string, Filesystem>();
  for (const directory of touchedDirectories(plan))
    homes.set(directory, await measure((await resolveExisting(files, directory)).real));
  const backups = await measure(backupDirectory);
  await checkSpace(plan, facts.found, (target) => homes.get(directoryOf(target)) ?? backups, backups);
}

/** The directory with every symlink resolved, also where it is missing yet. */
async function resolveDirectory(files: Files, directory: string): Promise<string> {
  const { real, missing } = await resolveExisting(files, directory);
  return posix.join(real, missing);
}

/** One after the other, each time anew. */
function chained<T>(...parts: readonly Iterable<T>[]): Iterable<T> {
  return {
    *[Symbol.iterator]() {
      for (const part of parts) yield* part;
    },
  };
}

/** Asks only once for each directory: a tree has many files in few of them. */
function eachOnce<T>(ask: (directory: string) => Promise<T>): (directory: string) => Promise<T> {
  const known = new Map<string, T>();
  return async (directory) => {
    const before = known.get(directory);
    if (before !== undefined) return before;
    const answer = await ask(directory);
    known.set(directory, answer);
    return answer;
  };
}

/**
 * The deepest directory at or above `path` that exists, resolved, and what of the path is missing below it. A dangling
 * symlink on the way is an error, not a gap, and so is what is no directory.
 */
async function resolveExisting(files: Files, path: string): Promise<{ real: string; missing: string }> {
  for (let at = path; ; at = posix.dirname(at)) {
    const real = await files.realPath(at).catch((thrown: unknown) => {
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

async function insideTerritory(files: Files, territory: Territory): Promise<(path: string) => boolean> {
  const resolve = async (path: string) => {
    const { real, missing } = await resolveExisting(files, path);
    return posix.join(real, missing);
  };
  const roots = await Promise.all(territory.allowedRoots.map(resolve));
  const own = await resolve(territory.workDirectory);
  const under = (path: string, root: string) => root === '/' || path.startsWith(`${root}/`);
  return (path) => roots.some((root) => under(path, root)) && path !== own && !under(path, own);
}
