/**
 * Names of the extended attributes (xattr(7)) of many files at once: few have any, and only those are looked at further
 * (attributes.ts). By llistxattr(2) with node:ffi (Node 26 and newer), else by the program getfattr, where it is installed.
 */

import { existsSync } from 'node:fs';
import { limits } from '../limits.ts';
import { cText, foreign } from './foreign.ts';
import { pathBytes } from './raw-text.ts';
import { toolOutput } from './tool-output.ts';

/** Of each of the paths that has any. Empty where the system cannot be asked: no promise hangs on it. */
export async function attributeNames(
  paths: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  const list = foreignList();
  if (list !== undefined) {
    for (const path of paths) {
      const names = list(pathBytes(path));
      if (names.length > 0) found.set(path, names);
    }
    return found;
  }
  if (!existsSync(getfattr)) return found;
  for (let at = 0; at < paths.length; at += limits.attributePaths)
    for (const [path, names] of await byProgram(paths.slice(at, at + limits.attributePaths)))
      found.set(path, names);
  return found;
}

const getfattr = '/usr/bin/getfattr';

interface Functions {
  readonly llistxattr: (path: bigint, list: bigint, size: bigint) => bigint;
}

function foreignList(): ((path: string | Buffer) => string[]) | undefined {
  const libc = foreign<Functions>({
    llistxattr: { arguments: ['uint64', 'uint64', 'uint64'], return: 'int64' },
  });
  if (libc === undefined) return undefined;
  const { functions, pointerTo } = libc;
  const list = Buffer.alloc(limits.attributeNamesBytes);
  return (name) => {
    const path = cText(name);
    const length = Number(functions.llistxattr(pointerTo(path), pointerTo(list), BigInt(list.length)));
    return namesIn(list.toString('utf8', 0, Math.max(0, length)), '\0');
  };
}

/** `# file: PATH`, a line for each name, an empty line. What it does not know the form of is passed over. */
async function byProgram(paths: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
  const argv = ['--no-dereference', '--absolute-names', '-m', '-', '--', ...paths];
  const { stdout: text } = await toolOutput(getfattr, argv);
  const known = new Set(paths);
  const found = new Map<string, readonly string[]>();
  for (const block of text.split('\n\n')) {
    const [head = '', ...names] = block.split('\n');
    const path = head.replace(/^# file: /, '');
    if (known.has(path)) found.set(path, namesIn(names.join('\n'), '\n'));
  }
  return found;
}

function namesIn(text: string, separator: string): string[] {
  return text.split(separator).filter((name) => name !== '');
}
