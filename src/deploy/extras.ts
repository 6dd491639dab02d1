/**
 * What stands below a tree and is not wanted: what an earlier update deployed goes, but for files that people edit; these and
 * what others put there stay, and are named in the log, unless the tree is `exact`. Nothing is looked at below a mount point.
 */

import { UpdateError } from '../errors.ts';
import { matchesAny } from '../glob.ts';
import { breather } from '../host/breathing.ts';
import type { FileStat, Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import { loadPacking, type PackedList } from '../packed-list.ts';
import { filesText, listText } from './name-list.ts';
import { below, inDirectory } from './paths.ts';
import type { Recorded } from './recorded.ts';
import type { StayingFiles } from './staying.ts';
import type { Want } from './want.ts';
import type { Tree } from './wants.ts';

export interface KnownPaths {
  /** It is no extra. */
  wanted(path: string): boolean;
  /** It is wanted, and a file or symlink was found there: nobody looks again. */
  isFile(path: string): boolean;
}

/** What stays of a tree: what others put there, and what the manifest keeps, whoever has made it. */
type Stays = Readonly<Record<'others' | 'kept', PackedList<string>>>;

const said = {
  others: { one: "is not the package's and stays", many: "are not the package's and stay" },
  kept: { one: 'is kept by the manifest', many: 'are kept by the manifest' },
} as const;

/** `staying` gets what others put there and what is kept. Sockets, pipes and devices stay, and so do the directories of all that stays. */
export async function findExtras(
  host: Pick<Host, 'files' | 'log'>,
  trees: readonly Tree[],
  { wanted, isFile }: KnownPaths,
  recorded: Recorded,
  staying: StayingFiles,
): Promise<PackedList<Want>> {
  const packing = await loadPacking();
  const extras = packing.list<Want>();
  const breathe = breather();
  const mountPoints = trees.length === 0 ? new Set<string>() : await host.files.mountPoints();
  for (const tree of trees) {
    const stat = await host.files.stat(tree.root);
    if (stat?.kind !== 'directory') continue;
    const first = extras.length;
    const stays = { others: packing.list<string>(), kept: packing.list<string>() };
    await walk(tree, tree.root, stays);
    for (const reason of ['others', 'kept'] as const) {
      const paths = stays[reason];
      for (const path of paths) staying.add(tree.module, reason, path);
      if (paths.length === 0) continue;
      const words = said[reason][paths.length === 1 ? 'one' : 'many'];
      host.log.info(`${filesText(paths.length)} below ${tree.root} ${words}: ${listText(paths)}`);
    }
    if (tree.exact && extras.length > first) {
      const going = packing.list<string>();
      for (let index = first; index < extras.length; index++) going.add(extras.at(index)?.target ?? '');
      host.log.info(`${filesText(going.length)} below ${tree.root} go: ${listText(going)}`);
    }
  }
  return extras;

  /** By the manifest that brought it, or by the one that has none any more: it may only have learned what people edit. */
  function isConfig(tree: Tree, path: string): boolean {
    const record = recorded.files.get(path) ?? recorded.links.get(path);
    if (record === undefined) return false;
    return record.isConfig === true || matchesAny(tree.config, below(tree.root, path) ?? '');
  }

  /** True where something stays that the module does not want, so that the directory must stay too. */
  async function walk(tree: Tree, directory: string, stays: Stays): Promise<boolean> {
    let somethingStays = false;
    const names = (await host.files.list(directory)).sort();
    for (let at = 0; at < names.length; at += limits.filesInFlight) {
      const targets = names
        .slice(at, at + limits.filesInFlight)
        .map((name) => inDirectory(directory, name))
        .filter((target) => mountPoints.has(target) || !isFile(target));
      const stats = await Promise.all(targets.map((target) => host.files.stat(target)));
      for (const [index, target] of targets.entries()) {
        await breathe();
        const stat = stats[index];
        if (stat !== undefined && (await doesStay(tree, target, stat, stays))) somethingStays = true;
      }
    }
    return somethingStays;
  }

  async function doesStay(tree: Tree, target: string, stat: FileStat, stays: Stays): Promise<boolean> {
    const why = mountPoints.has(target)
      ? 'a mount point'
      : stat.kind === 'other'
        ? 'a device, socket or pipe'
        : undefined;
    if (why !== undefined) {
      host.log.info(`${target} is ${why}: it stays`);
      return true;
    }
    const isDirectory = stat.kind === 'directory';
    const isKept = matchesAny(tree.keep, below(tree.root, target) ?? '');
    // No package brings such a path, and a journal has no room for many of them.
    if (Buffer.byteLength(target) > limits.pathBytes) {
      if (tree.exact && !isKept) throw tooLong(tree, target);
      stays[isKept ? 'kept' : 'others'].add(target);
      return true;
    }
    if (isDirectory && (await walk(tree, target, stays))) return true;
    if (wanted(target)) return false;
    const isRecorded = isDirectory
      ? recorded.directories.has(target)
      : recorded.files.has(target) || recorded.links.has(target);
    const isOurs = tree.exact || isRecorded;
    if (!tree.exact && isConfig(tree, target)) {
      staying.add(tree.module, 'config', target);
      host.log.info(`${target} is what people edit: it stays, though the package has none any more`);
      return true;
    }
    if (!isOurs || isKept) {
      if (!isDirectory) stays[isKept ? 'kept' : 'others'].add(target);
      return true;
    }
    extras.add({ kind: 'absent', module: tree.module, target });
    if (extras.length > limits.packageFiles) {
      throw new UpdateError(
        'DEPLOYMENT_FAILED',
        `${tree.root} holds more than ${limits.packageFiles} files that are not in the package`,
      );
    }
    return false;
  }
}

function tooLong(tree: Tree, path: string): UpdateError {
  return new UpdateError(
    'DEPLOYMENT_FAILED',
    `${tree.root} holds a path of more than ${limits.pathBytes} bytes that is not in the package: ${path.slice(0, 200)}...`,
  );
}
