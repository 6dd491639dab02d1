/** The real counterpart of model-tree.ts: what stands below a directory, read without ever blocking the event loop. */
import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Tree } from './model-tree.ts';
import { run } from './run-tool.ts';

/** Everything below `root`, by its path from there. */
export async function treeOnDisk(root: string): Promise<Tree> {
  const tree = new Map<string, string>();
  const extended = await extendedAttributes(root);
  const visit = async (directory: string): Promise<void> => {
    for (const name of (await readdir(directory)).sort()) {
      const path = join(directory, name);
      const stat = await lstat(path);
      const attributes = `${(stat.mode & 0o7777).toString(8)} ${stat.uid}:${stat.gid}${extended.get(path) ?? ''}`;
      const key = relative(root, path);
      if (stat.isDirectory()) {
        tree.set(key, `directory ${attributes}`);
        await visit(path);
      } else if (stat.isSymbolicLink()) tree.set(key, `symlink -> ${await readlink(path)}`);
      // Of the lock: a kill leaves it, under another name each time.
      else if (!stat.isSocket()) tree.set(key, `file ${attributes} ${describeContent(await readFile(path))}`);
    }
  };
  await visit(root);
  return tree;
}

/** By path, of all that have any; empty where there is no getfattr. */
async function extendedAttributes(root: string): Promise<ReadonlyMap<string, string>> {
  const text = await run([
    'getfattr',
    '-RP',
    '--absolute-names',
    '-d',
    '-m',
    '-',
    '-e',
    'base64',
    root,
  ]).catch(() => '');
  const found = new Map<string, string>();
  for (const block of text.split('\n\n')) {
    const [head = '', ...lines] = block.split('\n');
    if (head.startsWith('# file: '))
      found.set(head.slice('# file: '.length), ` ${lines.sort().join(' ').trim()}`);
  }
  return found;
}

/** As it stands in a tree. */
export function describeContent(content: Buffer): string {
  const zeros = content.length > 0 && content.every((byte) => byte === 0);
  return `${content.length} bytes ${createHash('md5').update(content).digest('hex').slice(0, 8)}${zeros ? ' zeros' : ''}`;
}
