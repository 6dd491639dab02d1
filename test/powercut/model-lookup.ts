/**
 * Path resolution on a model state, as path_resolution(7) has it: symlinks and `..` are followed component by component,
 * mounts are crossed, and the errors are the kernel's. The files port follows no symlink but to resolve one.
 */
import { type ModelNode, type ModelState, rootInode } from './model-state.ts';
import { systemError } from './system-error.ts';

/** Where a path ends: the directory that holds (or would hold) the name, and what the name points at. */
export interface Place {
  /** Inode of the directory; for `/` itself the root. */
  readonly directory: number;
  readonly name: string;
  /** Undefined when the directory has no such name. */
  readonly inode: number | undefined;
  /** The path with every symlink resolved. */
  readonly realPath: string;
}

/**
 * Resolves an absolute path. Without `follow` a symlink on the way is an error and one in the last place is what is found.
 * `call` names the system call in errors: ENOENT and ENOTDIR for a broken way, ELOOP, ENAMETOOLONG.
 */
export function lookup(state: ModelState, path: string, follow: boolean, call: string): Place {
  if (!path.startsWith('/')) throw new Error(`the model disk knows absolute paths only, not '${path}'`);
  let left = names(path);
  let way: { name: string; inode: number }[] = [];
  let symlinks = 0;
  const here = () => way.at(-1)?.inode ?? rootInode;
  while (true) {
    const name = left.shift();
    if (name === undefined) break;
    if (name === '..') {
      way.pop();
      continue;
    }
    if (Buffer.byteLength(name) > 255) throw systemError('ENAMETOOLONG', call, path);
    const directory = here();
    const node = nodeAt(state, directory);
    if (node.kind !== 'directory') throw systemError('ENOTDIR', call, path);
    const inode = node.entries.get(name);
    const last = left.length === 0;
    if (inode === undefined) {
      if (!last) throw systemError('ENOENT', call, path);
      return { directory, name, inode, realPath: `/${[...way.map((step) => step.name), name].join('/')}` };
    }
    const found = nodeAt(state, inode);
    if (found.kind === 'symlink' && (!last || follow)) {
      symlinks += 1;
      if (!follow || symlinks > 40) throw systemError('ELOOP', call, path);
      if (found.target.startsWith('/')) way = [];
      left = [...names(found.target), ...left];
      continue;
    }
    way.push({ name, inode: state.mounts.get(inode) ?? inode });
  }
  const last = way.at(-1);
  return {
    directory: way.at(-2)?.inode ?? rootInode,
    name: last?.name ?? '',
    inode: here(),
    realPath: `/${way.map((step) => step.name).join('/')}`,
  };
}

export function nodeAt(state: ModelState, inode: number): ModelNode {
  const node = state.nodes.get(inode);
  if (node === undefined) throw new Error(`inode ${inode} is named but not there`);
  return node;
}

function names(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}
