/**
 * What must be true at boot before any service of the device starts: `tope-updater recover` has run, and the files that services
 * run on are all old or all new.
 */
import { ownExecutable } from '../../src/deploy/probation.ts';
import { recoverFiles } from '../../src/updater/recover-files.ts';
import { launch } from './launcher.ts';
import type { ModelDisk } from './model-disk.ts';
import { difference, type Tree, treeOf } from './model-tree.ts';
import type { Scenario } from './scenarios.ts';
import { scriptedClock } from './scripted-host.ts';
import { allowedRoot, workDirectory } from './session.ts';

/** Recovers as the boot does. The first thing that is wrong then, or undefined. */
export async function wrongBeforeServices(
  scenario: Scenario,
  disk: ModelDisk,
  { oldTree, newTree }: { readonly oldTree: Tree; readonly newTree: Tree },
): Promise<string | undefined> {
  const lines: string[] = [];
  const line = (message: string) => void lines.push(message);
  const log = { debug: line, info: line, warn: line, error: line };
  const { clock } = scriptedClock({ bornMs: 0, bootId: 'boot' }, () => false);
  const executable =
    scenario.newUpdater === undefined
      ? undefined
      : await ownExecutable(disk.files, {
          ...(await launch(disk.files, 'boot', scenario.newUpdater, false)),
          serving: async () => undefined,
          end: () => undefined,
        });
  await recoverFiles({ files: disk.files, clock, log }, workDirectory, executable);
  const found = treeOf(disk.state(), allowedRoot);
  const wrong = neitherOldNorNew(found, oldTree, newTree, scenario.ownFile);
  return wrong === undefined ? undefined : `${wrong}\n  log: ${lines.join('\n       ')}`;
}

/** What services would start on, where that is half of an update; undefined where it is a whole set. */
export function neitherOldNorNew(
  found: Tree,
  oldTree: Tree,
  newTree: Tree,
  ownFile?: string,
): string | undefined {
  const content = (tree: Tree) => deployed(tree, ownFile);
  const fromOld = difference(content(oldTree), content(found));
  const fromNew = difference(content(newTree), content(found));
  if (fromOld.length === 0 || fromNew.length === 0) return undefined;
  return `before the services: neither old nor new:\n  old: ${fromOld.join('\n       ')}\n  new: ${fromNew.join('\n       ')}`;
}

/** Files alone: directories that go stay until the commit, and the names that an undo needs are nobody's. */
function deployed(tree: Tree, ownFile: string | undefined): Tree {
  return new Map(
    [...tree].filter(
      ([path, what]) =>
        path !== ownFile && !what.startsWith('directory') && !/(^|\/)\.tope-[^/]*(\/|$)/.test(path),
    ),
  );
}
