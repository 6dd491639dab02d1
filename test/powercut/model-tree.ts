/** Looks at a model state without the product: what is where, in words that can be compared and shown. */
import { createHash } from 'node:crypto';
import { contentDigest, type FileContent, wholeContent } from './file-content.ts';
import { lookup, nodeAt } from './model-lookup.ts';
import { type ModelState, namedText } from './model-state.ts';

/** Absolute path -> kind, permission bits, owner, and what is in it. */
export type Tree = ReadonlyMap<string, string>;

/** Everything below `root` (not `root` itself); empty where it is missing. */
export function treeOf(state: ModelState, root: string): Tree {
  const tree = new Map<string, string>();
  const visit = (path: string): void => {
    const { inode } = lookup(state, path, false, 'lstat');
    if (inode === undefined) return;
    const node = nodeAt(state, inode);
    const attributes = `${node.mode.toString(8)} ${node.uid}:${node.gid}${namedText(node)}`;
    if (path !== root)
      tree.set(path, `${node.kind} ${attributes}${node.kind === 'directory' ? '' : ` ${contentOf(node)}`}`);
    if (node.kind === 'directory')
      for (const name of [...node.entries.keys()].sort()) visit(`${path}/${name}`);
  };
  visit(root);
  return tree;
}

/** What differs between two trees, path by path; empty where they are equal. */
export function difference(expected: Tree, actual: Tree): string[] {
  const paths = [...new Set([...expected.keys(), ...actual.keys()])].sort();
  return paths
    .filter((path) => expected.get(path) !== actual.get(path))
    .map(
      (path) =>
        `${path}: expected ${expected.get(path) ?? 'nothing'}, found ${actual.get(path) ?? 'nothing'}`,
    );
}

/** The content of a regular file; undefined where there is none. */
export function bytesAt(state: ModelState, path: string): Buffer | undefined {
  const { inode } = lookup(state, path, false, 'lstat');
  const node = inode === undefined ? undefined : nodeAt(state, inode);
  return node?.kind === 'file' ? wholeContent(node.content) : undefined;
}

export function textAt(state: ModelState, path: string): string | undefined {
  return bytesAt(state, path)?.toString('utf8');
}

function contentOf(node: {
  readonly kind: string;
  readonly content?: FileContent;
  readonly target?: string;
}): string {
  if (node.content === undefined) return `-> ${node.target}`;
  const { sizeBytes, blocks } = node.content;
  const isZeros = sizeBytes > 0 && blocks.every((block) => block === undefined);
  const start = isZeros ? 'zeros' : JSON.stringify(blocks[0]?.toString('latin1', 0, 24) ?? '');
  const digest = createHash('md5').update(contentDigest(node.content)).digest('hex').slice(0, 8);
  return `${sizeBytes} bytes ${digest} ${start}`;
}

/** Command lines whose program stands below `root`. */
export function standing(
  state: ModelState,
  root: string,
  programs: readonly (readonly string[])[],
): readonly (readonly string[])[] {
  const tree = treeOf(state, root);
  return programs.filter(([program = '']) => tree.has(program));
}
