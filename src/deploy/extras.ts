/**
 * What stands below a tree and is not wanted: what an earlier update deployed there goes, but for files that people edit; these and what
 * others put there stay, and are named in the log. `exact` trees lose them too. Below a mount point nothing is looked at: it is another filesystem's, or
 * another place's, and never the package's.
 */

import { UpdateError } from '../errors.ts';
import { matchesAny } from '../glob.ts';
import type { FileStat, Host } from '../host/host.ts';
import { forEachInFlight } from '../host/in-flight.ts';
import { limits } from '../limits.ts';
import { loadPacking, type PackedList } from '../packed-list.ts';
import type { Want } from './make-plan.ts';
import { filesText, listText } from './name-list.ts';
import { below, inDirectory } from './paths.ts';
import type { Recorded } from './recorded.ts';
import type { StayingFiles } from './staying.ts';
import type { Tree } from './wants.ts';

/** `staying` gets what others put there. Sockets, pipes and devices stay, and so do the directories of all that stays. `wanted`: whether a path is no extra. */
export async function findExtras(
  host: Pick<Host, 'files' | 'log'>,
  trees: readonly Tree[],
  wanted: (path: string) => boolean,
  recorded: Recorded,
  staying: StayingFiles,
): Promise<PackedList<Want>> {
  const packing = await loadPacking();
  const extras = packing.list<Want>();
  const mountPoints = trees.length === 0 ? new Set<string>() : await host.files.mountPoints();
  for (const tree of trees) {
    const stat = await host.files.stat(tree.root);
    if (stat?.kind !== 'directory') continue;
    const first = extras.length;
    const others = packing.list<string>();
    await walk(tree, tree.root, others);
    for (const path of others) staying.add(tree.module, 'others', path);
    if (others.length > 0)
      host.log.info(
        `${filesText(others.length)} below ${tree.root} are not the package's and stay: ${listText(others)}`,
      );
    if (tree.exact && extras.length > first) {
      const going = packing.list<string>();
      for (let index = first; index < extras.length; index++) going.add(extras.at(index)?.target ?? '');
      host.log.info(`${filesText(going.length)} below ${tree.root} go: ${listText(going)}`);
    }
  }
  return extras;

  function isConfig(path: string): boolean {
    return (recorded.files.get(path) ?? recorded.links.get(path))?.isConfig === true;
  }

  /** True where something stays that the module does not want, so that the directory must stay too. */
  async function walk(tree: Tree, directory: string, others: PackedList<string>): Promise<boolean> {
    let somethingStays = false;
    const names = (await host.files.list(directory)).sort();
    const stats = new Map<string, FileStat | undefined>();
    await forEachInFlight(names, limits.filesInFlight, async (name) => {
      stats.set(name, await host.files.stat(inDirectory(directory, name)));
    });
    for (const name of names) {
      const target = inDirectory(directory, name);
      const stat = stats.get(name);
      if (stat === undefined) continue;
      const why = mountPoints.has(target)
        ? 'a mount point'
        : stat.kind === 'other'
          ? 'a device, socket or pipe'
          : undefined;
      if (why !== undefined) {
        host.log.info(`${target} is ${why}: it stays`);
        somethingStays = true;
        continue;
      }
      const isDirectory = stat.kind === 'directory';
      const stays = isDirectory && (await walk(tree, target, others));
      somethingStays ||= stays;
      if (stays || wanted(target)) continue;
      const isRecorded = isDirectory
        ? recorded.directories.has(target)
        : recorded.files.has(target) || recorded.links.has(target);
      const isOurs = tree.exact || isRecorded;
      if (!tree.exact && isConfig(target)) {
        staying.add(tree.module, 'config', target);
        host.log.info(`${target} is what people edit: it stays, though the package has none any more`);
        somethingStays = true;
        continue;
      }
      if (!isOurs || matchesAny(tree.keep, below(tree.root, target) ?? '')) {
        if (!isDirectory) others.add(target);
        somethingStays = true;
        continue;
      }
      extras.add({ kind: 'absent', module: tree.module, target });
      if (extras.length > limits.archiveEntries) {
        throw new UpdateError(
          'DEPLOYMENT_FAILED',
          `${tree.root} holds more than ${limits.archiveEntries} files that are not in the package`,
        );
      }
    }
    return somethingStays;
  }
}
