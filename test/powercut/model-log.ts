/**
 * The running side of the model disk: the volatile view, the log of every change, and the few acts that model-disk.ts
 * and model-file.ts are built from.
 *
 * Invariant: the view always equals the base with every logged operation applied in order.
 */
import { blockBytes, emptyContent } from './file-content.ts';
import { lookup, nodeAt, type Place } from './model-lookup.ts';
import {
  applyOperation,
  cloneNode,
  cloneState,
  type MicroOperation,
  type ModelNode,
  type ModelState,
} from './model-state.ts';
import { systemError } from './system-error.ts';

/** One entry of the log. `what` names the call and its path, for people. */
export type Step =
  | { readonly kind: 'change'; readonly operation: MicroOperation; readonly what: string }
  | {
      readonly kind: 'sync';
      readonly inode: number;
      readonly dataOnly: boolean;
      readonly what: string;
      /** The code that asked for it. */
      readonly site: string;
    }
  /** Everything that was written to a filesystem before, and nothing that is written after. */
  | { readonly kind: 'syncAll'; readonly device: number; readonly what: string; readonly site: string }
  | { readonly kind: 'mark'; readonly name: string };

export interface Recording {
  /** The disk before the first step: all of it durable. */
  readonly base: ModelState;
  readonly steps: readonly Step[];
  /** What was made on the way, as it was at birth; see model-state.ts. */
  readonly created: ReadonlyMap<number, ModelNode>;
}

export type NewNode =
  | { readonly kind: 'file' }
  | { readonly kind: 'directory'; readonly mode: number }
  | { readonly kind: 'symlink'; readonly target: string };

export interface ModelLog {
  readonly state: ModelState;
  recording(): Recording;
  mark(name: string): void;
  change(operation: MicroOperation, what: string): void;
  /** So many changes were made, wherever: what a file that nobody has changed has had at most. */
  changeCount(): number;
  sync(inode: number, dataOnly: boolean, what: string): void;
  syncAll(device: number, what: string): void;
  /** What a path names; throws ENOENT. Symlinks are followed only when asked. */
  find(
    path: string,
    call: string,
    follow?: boolean,
  ): Place & { readonly inode: number; readonly node: ModelNode };
  /** Makes a node under a new name and returns its inode; throws EEXIST, ENOSPC. */
  add(path: string, call: string, what: NewNode): number;
  /** Keeps a file's space taken while it is open, name or no name; returns the release. */
  hold(inode: number): () => void;
  openCount(): number;
  freeBytes(device: number): number;
  /**
   * From now on no filesystem has a block left, but for those that are given back, and no directory room for more names. `copyOnWrite`: rewriting a file's own
   * blocks takes space, too, as on btrfs.
   */
  fillUp(how?: 'inPlace' | 'copyOnWrite'): void;
  /** Room for one more name in a directory; throws ENOSPC on a full disk where none was freed there before. */
  takeName(directory: number, call: string, path: string): void;
  /** What a write into blocks that a file has already takes, in bytes. */
  overwriteBytes(): number;
}

export function modelLog(base: ModelState, siteOf: () => string): ModelLog {
  const state = cloneState(base);
  const steps: Step[] = [];
  const created = new Map<number, ModelNode>();
  const held: number[] = [];
  const capacities = new Map(base.capacities);
  /** The most names that each directory has had: so many fit into its blocks. */
  const mostNames = new Map<number, number>();
  let isFull = false;
  let overwriteBytes = 0;
  let nextInode = Math.max(...state.nodes.keys()) + 1;

  let changes = 0;
  const change = (operation: MicroOperation, what: string): void => {
    steps.push({ kind: 'change', operation, what });
    changes += 1;
    applyOperation(state, operation);
  };

  const takeName = (directory: number, call: string, path: string): void => {
    const node = nodeAt(state, directory);
    const names = node.kind === 'directory' ? node.entries.size + 1 : 0;
    const most = mostNames.get(directory) ?? 0;
    if (isFull && names > most) throw systemError('ENOSPC', call, path);
    mostNames.set(directory, Math.max(names, most));
  };

  const freeBytes = (device: number): number => {
    const capacity = capacities.get(device);
    return capacity === undefined ? 1024 ** 4 : capacity - usedBytes(state, device, held);
  };

  return {
    state,
    recording: () => ({ base, steps, created }),
    mark: (name) => steps.push({ kind: 'mark', name }),
    change,
    changeCount: () => changes,
    sync: (inode, dataOnly, what) => steps.push({ kind: 'sync', inode, dataOnly, what, site: siteOf() }),
    syncAll: (device, what) => steps.push({ kind: 'syncAll', device, what, site: siteOf() }),
    find(path, call, follow = false) {
      const place = lookup(state, path, follow, call);
      if (place.inode === undefined) throw systemError('ENOENT', call, path);
      return { ...place, inode: place.inode, node: nodeAt(state, place.inode) };
    },
    add(path, call, what) {
      const { directory, name, inode } = lookup(state, path, false, call);
      if (inode !== undefined) throw systemError('EEXIST', call, path);
      const { device } = nodeAt(state, directory);
      takeName(directory, call, path);
      if (what.kind === 'directory' && freeBytes(device) < blockBytes)
        throw systemError('ENOSPC', call, path);
      const born = nextInode++;
      const node = newNode(what, device);
      created.set(born, cloneNode(node));
      state.nodes.set(born, node);
      change({ kind: 'link', directory, name, inode: born }, `${call} ${path}`);
      return born;
    },
    hold(inode) {
      held.push(inode);
      return () => held.splice(held.indexOf(inode), 1);
    },
    openCount: () => held.length,
    freeBytes,
    takeName,
    overwriteBytes: () => overwriteBytes,
    fillUp(how = 'inPlace') {
      isFull = true;
      for (const [inode, node] of state.nodes)
        if (node.kind === 'directory')
          mostNames.set(inode, Math.max(node.entries.size, mostNames.get(inode) ?? 0));
      overwriteBytes = how === 'copyOnWrite' ? blockBytes : 0;
      for (const { device } of state.nodes.values()) capacities.set(device, usedBytes(state, device, held));
    },
  };
}

/** Blocks that a file of this size takes. */
export function blocks(sizeBytes: number): number {
  return Math.ceil(sizeBytes / blockBytes);
}

function newNode(what: NewNode, device: number): ModelNode {
  const owner = { device, uid: 0, gid: 0 };
  switch (what.kind) {
    case 'file':
      return { ...owner, kind: 'file', mode: 0o600, content: emptyContent };
    case 'directory':
      return { ...owner, kind: 'directory', mode: what.mode, entries: new Map() };
    case 'symlink':
      return { ...owner, kind: 'symlink', mode: 0o777, target: what.target };
    default:
      return what satisfies never;
  }
}

/** What named or open inodes of a device take, in whole blocks; a directory takes one. */
function usedBytes(state: ModelState, device: number, open: readonly number[]): number {
  const taken = new Set(open);
  for (const node of state.nodes.values())
    if (node.kind === 'directory') for (const inode of node.entries.values()) taken.add(inode);
  let used = 0;
  for (const inode of taken) {
    const node = nodeAt(state, inode);
    if (node.device === device) used += node.kind === 'file' ? blocks(node.content.sizeBytes) : 1;
  }
  return used * blockBytes;
}
