/**
 * Of what was deployed for modules that go: a file goes as long as it is what was deployed. What somebody has edited, `config`,
 * what others put there and what lies on a mounted filesystem stays, and is named in the log (spec section 10). The record is no
 * authority: each path is looked at again.
 */
import { UpdateError } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import type { Host } from '../host/host.ts';
import { forEachInFlight, numbered } from '../host/in-flight.ts';
import { limits } from '../limits.ts';
import { filtered, loadPacking, type PackedList } from '../packed-list.ts';
import { type Comparer, comparers } from './compare.ts';
import type { DeployedDirectory, DeployedFile, DeployedLink } from './deployed-record.ts';
import type { Leaving, Placed } from './leaving.ts';
import { listText } from './name-list.ts';
import { below, inDirectory } from './paths.ts';
import { openStaying, type Reason, reasons, type Staying } from './staying.ts';
import { placeAbove } from './turned.ts';
import type { Want } from './want.ts';

/** What of the release has to do with the same places. */
export interface Coming {
  /** Whether a path lies where packages may write. */
  inside(path: string): boolean;
  /** Whether something is wanted at a path. */
  wanted(path: string): boolean;
  /** Resolved roots of its modules: what stands there or below is their matter. */
  readonly roots: readonly string[];
}

export interface LeavingFiles {
  readonly wants: PackedList<Want>;
  /** Root of each module. */
  readonly roots: ReadonlyMap<string, string>;
  readonly staying: readonly Staying[];
}

/** Throws INVALID_MANIFEST where a path of the record lies outside the allowed roots. Rejects with a system error. */
export async function findLeaving(
  { files, log }: Pick<Host, 'files' | 'log'>,
  leaving: Leaving,
  coming: Coming,
): Promise<LeavingFiles> {
  const packing = await loadPacking();
  const wants = packing.list<Want>();
  const roots = rootsOf(leaving);
  const staying = await openStaying();
  if (leaving.modules.length === 0) return { wants, roots, staying: [] };
  const mounts = mountsIn(await files.mountPoints(), leaving, roots);
  const comparing = comparers(files);
  const comingRoots = new Set(coming.roots);
  /** Of what stands, whether it goes. */
  const goes = packing.map<boolean>();
  const go = ({ module, path }: Placed) => {
    wants.add({ kind: 'absent', module, target: path });
    goes.set(path, true);
  };
  const stay = (module: string, reason: Reason, path: string) => {
    staying.add(module, reason, path);
    goes.set(path, false);
  };
  const isTaken = (path: string) => coming.wanted(path) || placeAbove(comingRoots, path) !== undefined;
  const holdsTaken = (path: string) => coming.roots.some((root) => below(path, root) !== undefined);

  const fateOf = async (line: DeployedFile | DeployedLink): Promise<Fate> => {
    if (!coming.inside(line.path)) throw outside(line);
    if (isTaken(line.path)) return 'nothing';
    if (placeAbove(mounts(line.module), line.path) !== undefined) return 'mounted';
    if (line.isConfig === true) return (await files.stat(line.path)) === undefined ? 'nothing' : 'config';
    return comparing((comparer) => fateByContent(comparer, line));
  };
  const content = filtered(leaving.lines, isContent) as Iterable<DeployedFile | DeployedLink>;
  const fates: Fate[] = [];
  await forEachInFlight(numbered(content), limits.filesInFlight, async ([index, line]) => {
    fates[index] = await fateOf(line);
  });
  for await (const [index, line] of breathing(numbered(content))) {
    const fate = fates[index] ?? 'nothing';
    if (fate === 'goes') go(line);
    else if (fate !== 'nothing') stay(line.module, fate, line.path);
  }

  for (const line of deepestFirst(leaving)) {
    const { module, path } = line;
    if (!coming.inside(path)) throw outside(line);
    const isMounted = placeAbove(mounts(module), path) !== undefined;
    if (isTaken(path) || isMounted) continue;
    const difference = await comparing((comparer) => comparer.directory(line));
    if (difference?.kind === 'missing') continue;
    if (difference !== undefined) {
      stay(module, 'changed', path);
      continue;
    }
    const left: string[] = [];
    for await (const name of breathing(await files.list(path)))
      if (goes.get(inDirectory(path, name)) !== true) left.push(name);
    if (left.length === 0 && !holdsTaken(path)) {
      go(line);
      continue;
    }
    for await (const name of breathing(left)) {
      const each = inDirectory(path, name);
      if (!goes.has(each) && !isTaken(each) && !holdsTaken(each)) stay(module, 'others', each);
    }
    if (!goes.has(path)) goes.set(path, false);
  }
  tell(log, leaving, wants, staying.all);
  return { wants, roots, staying: staying.all };
}

type Fate = Exclude<Reason, 'others'> | 'goes' | 'nothing';

async function fateByContent(comparer: Comparer, line: DeployedFile | DeployedLink): Promise<Fate> {
  const difference = line.kind === 'link' ? await comparer.link(line) : await comparer.file(line);
  if (difference === undefined || difference.kind === 'attributes') return 'goes';
  if (difference.kind === 'missing') return 'nothing';
  return difference.kind === 'content' ? 'edited' : 'changed';
}

/** That of a tree, or the place of a single file. */
function rootsOf({ modules, lines }: Leaving): Map<string, string> {
  const roots = new Map<string, string>();
  for (const { name, tree } of modules) if (tree !== null) roots.set(name, tree);
  for (const { module, path } of lines) if (!roots.has(module)) roots.set(module, path);
  return roots;
}

/** What is mounted in a module. A tree may be a filesystem of its own: what was deployed to it is the module's all the same. */
function mountsIn(
  mountPoints: ReadonlySet<string>,
  { modules }: Leaving,
  roots: ReadonlyMap<string, string>,
): (module: string) => ReadonlySet<string> {
  const found = new Map<string, ReadonlySet<string>>();
  for (const { name, tree } of modules) {
    const root = roots.get(name) ?? '';
    const isIn = (mount: string) => (tree === null ? mount === root : (below(root, mount) ?? '') !== '');
    found.set(name, new Set([...mountPoints].filter(isIn)));
  }
  return (module) => found.get(module) ?? new Set();
}

/** A directory goes when all goes that is in it. */
function deepestFirst({ lines }: Leaving): DeployedDirectory[] {
  const directories: DeployedDirectory[] = [];
  for (const line of lines) if (line.kind === 'directory') directories.push(line);
  return directories.sort((a, b) => b.path.length - a.path.length);
}

function isContent({ kind }: Placed): boolean {
  return kind !== 'directory';
}

function outside({ module, path }: Placed): UpdateError {
  return new UpdateError(
    'INVALID_MANIFEST',
    `module "${module}", which is to go, has ${path}, outside the allowed roots`,
  );
}

function tell(
  log: Host['log'],
  { modules }: Leaving,
  wants: Iterable<Want>,
  staying: readonly Staying[],
): void {
  const counts = new Map<string, number>();
  for (const { module } of wants) counts.set(module, (counts.get(module) ?? 0) + 1);
  for (const { name } of modules) {
    log.info(`module "${name}" goes, with ${counts.get(name) ?? 0} of its files and directories`);
    for (const { module, reason, files } of staying)
      if (module === name) log.warn(`of module "${name}" stays what ${reasons[reason]}: ${listText(files)}`);
  }
}
