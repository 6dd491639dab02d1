/**
 * The survey: reads from the disk what planning must know, and changes nothing.
 *
 * Invariant: every path that leaves here is free of symlinks in its directories and lies inside an allowed root, as
 * it is after all links are resolved (spec section 4).
 */
import { UpdateError } from '../errors.ts';
import { matchesAny } from '../glob.ts';
import { breathing } from '../host/breathing.ts';
import type { FileOwner, Files, Host } from '../host/host.ts';
import { forEachInFlight } from '../host/in-flight.ts';
import { limits } from '../limits.ts';
import { filtered } from '../packed-list.ts';
import { besideEdited, type Release } from '../release.ts';
import { carryAttributes } from './carried-attributes.ts';
import { editedSince, tellEdited } from './edited.ts';
import { findExtras } from './extras.ts';
import { type Findings, openFindings } from './findings.ts';
import { otherCases } from './folded.ts';
import { type Leaving, nothingLeaves } from './leaving.ts';
import { findLeaving } from './leaving-files.ts';
import { tellMoved } from './moved.ts';
import { refuseOwnFiles } from './own-files.ts';
import { readOwners } from './owner.ts';
import { baseOf, below, directoryOf, inDirectory } from './paths.ts';
import { nothingRecorded, type Recorded } from './recorded.ts';
import { judgeStanding } from './standing.ts';
import { openStaying, type Staying } from './staying.ts';
import { insideTerritory, resolveDirectory, type Territory } from './territory.ts';
import { isTurned, placeAbove, refuseStrangers } from './turned.ts';
import type { Facts, Want } from './want.ts';
import { type Tree, wantsOfRelease } from './wants.ts';

export interface Survey {
  readonly wants: Iterable<Want>;
  readonly facts: Facts & { readonly found: Findings };
  /** Root of each module, resolved, also of those that go. */
  readonly moduleRoots: ReadonlyMap<string, string>;
  /** Targets of what is put beside an edited file. */
  readonly beside: readonly string[];
  /** Where nothing is put beside one, as what stands there is not as an update put it. */
  readonly notBeside: readonly string[];
  /** Edited files that are replaced or go. */
  readonly edited: Iterable<string>;
  /** What is left where it is, of modules that come and of those that go. */
  readonly staying: readonly Staying[];
}

/** Surveys what a release will touch. INVALID_MANIFEST where a target leads out of the territory or to the updater itself. */
export async function surveyRelease(
  host: Pick<Host, 'files' | 'log'>,
  release: Release,
  territory: Territory,
  self: FileOwner,
  recorded: Recorded = nothingRecorded,
  leaving: Leaving = nothingLeaves,
): Promise<Survey> {
  const { files } = host;
  const inside = await insideTerritory(files, territory);
  const roots = new Map<string, string>();
  const refuseOutside: RefuseOutside = (module, path, real) => {
    if (inside(real)) return;
    throw new UpdateError(
      'INVALID_MANIFEST',
      `module "${module}": ${path} leads to ${real}, outside the allowed roots`,
    );
  };
  for (const { name, target, isTree, isSelf } of release.modules) {
    const place = inDirectory(await resolveDirectory(files, directoryOf(target)), baseOf(target));
    const isLink = isTree && (await files.stat(place))?.kind === 'symlink';
    const real = isLink ? await resolveDirectory(files, place) : place;
    if (isSelf !== true || real !== territory.executable?.path) refuseOutside(name, target, real);
    roots.set(target, real);
  }
  // Below its root a tree has no directory but its own: a symlink in the place of one is no way.
  const resolve = (path: string, root: string) => (roots.get(root) ?? root) + path.slice(root.length);
  const ownerOf = await readOwners(
    files,
    release.modules.map((module) => module.owner),
  );
  const wanted = await wantsOfRelease(release, resolve, ownerOf);
  const found = await openFindings();
  const turned = await lookAtDirectories(files, wanted.directories, found);
  const editedPlaces: string[] = [];
  for (const want of wanted.directories) {
    if (!turned.has(want.target)) continue;
    if (await refuseTurn(host, want, wanted.trees, recorded, found, refuseOutside))
      editedPlaces.push(want.target);
  }
  const look = async (path: string) =>
    placeAbove(turned, path) === undefined ? files.stat(path) : undefined;
  const staying = await openStaying();
  await tellMoved(host, release.modules, roots, recorded, staying);
  const judged = await judgeStanding(host, wanted.files, recorded, { found, staying }, look);
  const attributes = await carryAttributes(host, judged.wants, { found, self }, recorded);
  const others = new Set([
    ...wanted.directories.map(({ target }) => target),
    ...judged.besides,
    ...judged.inTheWay,
    ...judged.stale.map(({ target }) => target),
  ]);
  const isKnown = (path: string) => others.has(path) || found.has(path);
  const givenUp = release.modules.flatMap(({ name, target, isTree }) => {
    const root = resolve(target, target);
    const isTurned = !isTree && found.get(root)?.kind === 'directory';
    return isTurned ? [{ module: name, root, exact: false, keep: [], config: [] }] : [];
  });
  const extras = await findExtras(
    host,
    [...wanted.trees, ...givenUp],
    { wanted: isKnown, isFile: (path) => isFileKind(found.get(path)?.kind) },
    recorded,
    staying,
  );
  const left = await findLeaving(host, leaving, { inside, wanted: isKnown, roots: [...roots.values()] });
  const all = chained<Want>(wanted.directories, judged.wants, judged.stale, extras, left.wants);
  const facts = { ...(await surveyWants(files, all, self, found)), attributes };
  const editedExtras = await tellEdited(host, extras, recorded, facts);
  const updater = new Set(release.modules.flatMap(({ name, isSelf }) => (isSelf ? [name] : [])));
  const notUpdater = filtered(all, ({ module }) => !updater.has(module));
  await refuseOwnFiles(files, territory.ownPaths ?? [], notUpdater, facts.found, 'INVALID_MANIFEST');
  await refuseStrangers(files, all, facts);
  return {
    wants: all,
    facts,
    beside: judged.besides,
    notBeside: judged.inTheWay,
    edited: chained(judged.edited, editedPlaces, editedExtras),
    staying: [...staying.all, ...left.staying],
    moduleRoots: new Map([
      ...left.roots,
      ...release.modules.map(({ name, target }) => [name, resolve(target, target)] as const),
    ]),
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
  const directories: Want[] = [];
  for await (const want of breathing(wants)) if (want.kind === 'directory') directories.push(want);
  const coming = await lookAtDirectories(files, directories, found);
  const turned = new Set(coming);
  const note = (want: Want) => {
    if (isTurned(want, found.get(want.target))) turned.add(want.target);
  };
  await forEachInFlight(wants, limits.filesInFlight, (want) => {
    const { target } = want;
    if (found.has(target)) return void note(want);
    return (async () => {
      found.set(target, placeAbove(coming, target) === undefined ? await files.stat(target) : undefined);
      note(want);
    })();
  });
  const wanted = new Set<string>();
  const missing = new Set<string>();
  const parentOwners = new Map<string, FileOwner>();
  /** Of directories that stand: whose they are. */
  const seen = new Map<string, number | undefined>();
  for await (const want of breathing(wants)) {
    if (want.kind === 'absent') continue;
    if (want.kind === 'directory') wanted.add(want.target);
    const making: string[] = [];
    let path = directoryOf(want.target);
    while (path !== '/' && !missing.has(path) && !seen.has(path)) {
      const isKnown = found.has(path) || placeAbove(turned, path) !== undefined;
      const stat = isKnown ? found.get(path) : await files.stat(path);
      if (isKnown || stat !== undefined) seen.set(path, stat?.uid);
      else {
        making.push(path);
        path = directoryOf(path);
      }
    }
    for (const each of making) missing.add(each);
    // Where it stands in that user's own, who could have made it: root's stay root's.
    const { owner } = want;
    if (owner === undefined || owner.uid !== (seen.get(path) ?? parentOwners.get(path)?.uid)) continue;
    for (const each of making) parentOwners.set(each, owner);
  }
  const missingParents = [...missing].filter((each) => !wanted.has(each)).sort();
  const cases = await otherCases(files, wants, found);
  return { found, missingParents, parentOwners, self, turned, ...cases };
}

/**
 * What stands at the places of directories, those above first: below a symlink that becomes a directory nothing does. Gives the
 * places of files and symlinks.
 */
async function lookAtDirectories(
  files: Files,
  wants: readonly Want[],
  found: Findings,
): Promise<ReadonlySet<string>> {
  const turned = new Set<string>();
  for (const { target } of wants.toSorted((a, b) => a.target.length - b.target.length)) {
    if (!found.has(target))
      found.set(target, placeAbove(turned, target) === undefined ? await files.stat(target) : undefined);
    const kind = found.get(target)?.kind;
    if (kind === 'file' || kind === 'symlink') turned.add(target);
  }
  return turned;
}

type RefuseOutside = (module: string, path: string, real: string) => void;

/**
 * What stands where a directory of the package is due: a symlink gives way to it only where an earlier update deployed it, a file does
 * unless the manifest keeps it, or people edit it and have done so. True where it was edited all the same.
 */
async function refuseTurn(
  { files, log }: Pick<Host, 'files' | 'log'>,
  { module, target }: Want,
  trees: readonly Tree[],
  recorded: Recorded,
  found: Findings,
  refuseOutside: RefuseOutside,
): Promise<boolean> {
  const tree = trees.find(({ module: name }) => name === module);
  const path = tree ? (below(tree.root, target) ?? '') : '';
  if (found.get(target)?.kind === 'symlink') {
    if (recorded.links.has(target)) return refuseEdited();
    refuseOutside(module, target, await resolveDirectory(files, target));
    throw new UpdateError(
      'DEPLOYMENT_FAILED',
      `${target} is a symlink that no update deployed, a directory is due there`,
    );
  }
  if (tree && matchesAny(tree.keep, path))
    throw new UpdateError('DEPLOYMENT_FAILED', `${target} is a file that is kept, a directory is due there`);
  return refuseEdited();

  async function refuseEdited(): Promise<boolean> {
    const beside = besideEdited(target);
    const records = [target, beside].map((place) => recorded.files.get(place) ?? recorded.links.get(place));
    const [own, other] = records;
    const wasBeside = other?.isBeside === true;
    const isKnown = own !== undefined || wasBeside;
    const places = wasBeside ? [target, beside] : [target];
    const isEdited = await editedSince(files, recorded)(target, found.get(target), places);
    if (isKnown && !isEdited) return false;
    const isConfig = own?.isConfig === true || wasBeside || matchesAny(tree?.config ?? [], path);
    const what = isKnown ? 'was edited since it was deployed' : 'was not deployed by an update';
    if (isConfig)
      throw new UpdateError(
        'DEPLOYMENT_FAILED',
        `${target} is what people edit and ${what}, so it stays, but a directory is due there: move it away first`,
      );
    log.warn(`${target} ${what}: it becomes a directory, and is kept in the backups`);
    return isEdited;
  }
}

function isFileKind(kind: string | undefined): boolean {
  return kind === 'file' || kind === 'symlink';
}

/** One after the other, each time anew. */
function chained<T>(...parts: readonly Iterable<T>[]): Iterable<T> {
  return {
    *[Symbol.iterator]() {
      for (const part of parts) yield* part;
    },
  };
}
