/**
 * What the model disk holds, and the smallest changes that reach it: an inode table, the micro-operations that alter
 * it, and what "the same state" means.
 *
 * Invariants: nodes are immutable except the `entries` of a directory, which every clone copies, so a clone shares file
 * content but never a change. Micro-operations are plain assignments: any subset of a log can be applied, in order,
 * to any clone of the base; one that finds nothing to act on does nothing. An inode made during the log exists from
 * the start of a replay, empty and without a name: losing its link loses the name, not what was written to it.
 */
import { createHash } from 'node:crypto';
import { contentDigest, type FileContent, resize, writeInBlock } from './file-content.ts';

interface Attributes {
  /** The filesystem it lives on; names never point across filesystems, mounts do. */
  readonly device: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Extended attributes, name -> value in base64; undefined: none. */
  readonly named?: Readonly<Record<string, string>>;
}

export type ModelNode =
  | (Attributes & { readonly kind: 'file'; readonly content: FileContent })
  | (Attributes & { readonly kind: 'directory'; readonly entries: Map<string, number> })
  | (Attributes & { readonly kind: 'symlink'; readonly target: string });

/** A change of the disk that either reaches it whole or not at all. */
export type MicroOperation =
  | { readonly kind: 'link'; readonly directory: number; readonly name: string; readonly inode: number }
  | { readonly kind: 'unlink'; readonly directory: number; readonly name: string }
  | {
      readonly kind: 'rename';
      readonly directory: number;
      readonly name: string;
      readonly toDirectory: number;
      readonly toName: string;
      readonly inode: number;
    }
  | { readonly kind: 'size'; readonly inode: number; readonly sizeBytes: number }
  | { readonly kind: 'data'; readonly inode: number; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'mode'; readonly inode: number; readonly mode: number }
  | { readonly kind: 'owner'; readonly inode: number; readonly uid: number; readonly gid: number }
  | {
      readonly kind: 'attribute';
      readonly inode: number;
      readonly name: string;
      /** Undefined: it goes. */
      readonly value: string | undefined;
    };

export interface ModelState {
  readonly nodes: Map<number, ModelNode>;
  /** Inode of a directory on which a filesystem is mounted -> root inode of that filesystem. */
  readonly mounts: ReadonlyMap<number, number>;
  /** Bytes each device can hold; a device that is not listed never fills up. */
  readonly capacities: ReadonlyMap<number, number>;
  /** Whether a filesystem can be synced as a whole. */
  readonly syncsWhole: boolean;
}

export const rootInode = 1;

/**
 * An empty disk: `/` on device 1, and one more filesystem mounted on each directory of `mounts` (absolute paths directly
 * below `/`, devices 2, 3, ...). `capacities` is by device.
 */
export function emptyModel(
  mounts: readonly string[] = [],
  capacities: Readonly<Record<number, number>> = {},
  syncsWhole = true,
): ModelState {
  const directory = (device: number): ModelNode => ({
    kind: 'directory',
    device,
    mode: 0o755,
    uid: 0,
    gid: 0,
    entries: new Map(),
  });
  const root = directory(1);
  const nodes = new Map<number, ModelNode>([[rootInode, root]]);
  const mounted = new Map<number, number>();
  for (const [index, path] of mounts.entries()) {
    const point = rootInode + 1 + 2 * index;
    nodes.set(point, directory(1)).set(point + 1, directory(2 + index));
    if (root.kind === 'directory') root.entries.set(path.slice(1), point);
    mounted.set(point, point + 1);
  }
  const limits = Object.entries(capacities).map(([device, bytes]) => [Number(device), bytes] as const);
  return { nodes, mounts: mounted, capacities: new Map(limits), syncsWhole };
}

export function cloneState(state: ModelState): ModelState {
  const nodes = new Map<number, ModelNode>();
  for (const [inode, node] of state.nodes) nodes.set(inode, cloneNode(node));
  return { ...state, nodes };
}

export function cloneNode(node: ModelNode): ModelNode {
  return node.kind === 'directory' ? { ...node, entries: new Map(node.entries) } : node;
}

/** Applies one micro-operation to `state` itself. */
export function applyOperation(state: ModelState, operation: MicroOperation): void {
  const { nodes } = state;
  switch (operation.kind) {
    case 'link':
      entriesOf(nodes, operation.directory)?.set(operation.name, operation.inode);
      return;
    case 'unlink':
      entriesOf(nodes, operation.directory)?.delete(operation.name);
      return;
    case 'rename':
      entriesOf(nodes, operation.directory)?.delete(operation.name);
      entriesOf(nodes, operation.toDirectory)?.set(operation.toName, operation.inode);
      return;
    case 'size': {
      const node = nodes.get(operation.inode);
      if (node?.kind !== 'file') return;
      nodes.set(operation.inode, { ...node, content: resize(node.content, operation.sizeBytes) });
      return;
    }
    case 'data': {
      const node = nodes.get(operation.inode);
      if (node?.kind !== 'file') return;
      // Beyond the size nothing is visible: the blocks are there, the inode does not reach them.
      const content = writeInBlock(node.content, operation.offset, operation.bytes);
      nodes.set(operation.inode, { ...node, content });
      return;
    }
    case 'mode': {
      const node = nodes.get(operation.inode);
      if (node !== undefined) nodes.set(operation.inode, { ...node, mode: operation.mode });
      return;
    }
    case 'owner': {
      const node = nodes.get(operation.inode);
      if (node === undefined) return;
      // Linux drops set-uid and set-gid of a file whose owner changes, also for root.
      const mode = node.kind === 'file' ? node.mode & ~0o6000 : node.mode;
      // And its capabilities.
      const named = node.kind === 'file' ? without(node.named, 'security.capability') : node.named;
      nodes.set(operation.inode, {
        ...node,
        mode,
        uid: operation.uid,
        gid: operation.gid,
        ...withNamed(named),
      });
      return;
    }
    case 'attribute': {
      const node = nodes.get(operation.inode);
      if (node === undefined) return;
      const { name, value } = operation;
      const named = { ...without(node.named, name), ...(value !== undefined && { [name]: value }) };
      nodes.set(operation.inode, { ...node, ...withNamed(named) });
      return;
    }
    default:
      operation satisfies never;
  }
}

/** The inodes whose fsync forces this operation to the disk. */
export function inodesOf(operation: MicroOperation): readonly number[] {
  switch (operation.kind) {
    case 'link':
    case 'unlink':
      return [operation.directory];
    case 'rename':
      return [operation.directory, operation.toDirectory];
    case 'size':
    case 'data':
    case 'mode':
    case 'owner':
    case 'attribute':
      return [operation.inode];
    default:
      return operation satisfies never;
  }
}

/**
 * A digest of everything a program could see: two states with the same fingerprint are the same disk. Inode numbers
 * count only as "these names are the same file".
 */
export function fingerprint(state: ModelState): string {
  const words: string[] = [];
  const seen = new Map<number, number>();
  const visit = (name: string, inode: number): void => {
    const node = state.nodes.get(inode);
    if (node === undefined) throw new Error(`the name ${name} points at inode ${inode}, which is not there`);
    const order = seen.get(inode) ?? seen.size;
    words.push(`${name}\0${order} ${node.kind} ${node.mode} ${node.uid} ${node.gid}${namedText(node)}`);
    if (seen.has(inode)) return;
    seen.set(inode, order);
    if (node.kind === 'file') words.push(contentDigest(node.content));
    else if (node.kind === 'symlink') words.push(node.target);
    else {
      for (const child of [...node.entries.keys()].sort()) visit(child, node.entries.get(child) ?? 0);
      words.push('');
    }
    const mounted = state.mounts.get(inode);
    if (mounted !== undefined) visit('mounted', mounted);
  };
  visit('/', rootInode);
  return createHash('sha1').update(words.join('\0')).digest('base64');
}

/** Empty where there are none. */
export function namedText({ named = {} }: ModelNode): string {
  return Object.keys(named)
    .sort()
    .map((name) => ` ${name}=${named[name]}`)
    .join('');
}

function without(named: Attributes['named'] = {}, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(named).filter(([other]) => other !== name));
}

function withNamed(named: Attributes['named']): Pick<Attributes, 'named'> {
  return named === undefined ? {} : { named };
}

function entriesOf(nodes: ReadonlyMap<number, ModelNode>, inode: number): Map<string, number> | undefined {
  const node = nodes.get(inode);
  return node?.kind === 'directory' ? node.entries : undefined;
}
