/**
 * A program that keeps data in a file that was deployed with it, as many do with their settings: each start appends a
 * line, as a careful program does it (new file, fsync, rename, fsync of the directory).
 *
 * The first line is the deployed content and names its version as the second word.
 */
import { dirname } from 'node:path/posix';
import type { Files } from '../../src/host/host.ts';
import type { ModelState } from './model-state.ts';
import { textAt } from './model-tree.ts';

/** Beside the allowed root, on its filesystem: a scratch file that a cut leaves is not the updater's. */
const scratch = '/opt/own.new';

/** Resolves when `line` stands durably at the end of `path`; with the version of the file. */
export function appendLine(files: Files, path: string, line: string): Promise<string> {
  // Not below the updater's calls on the stack, as they name who asks for a sync.
  return new Promise((resolve, reject) => {
    setImmediate(() => append(files, path, line).then(resolve, reject));
  });
}

/** The mark that tells of it. */
export function keptMark(version: string, line: string): string {
  return `kept ${version} ${line}`;
}

/** The file is of the version that stands, and all that a program of it has written since is in it. */
export function wrongOwnFile(
  state: ModelState,
  path: string,
  version: string,
  marks: readonly string[],
): string | undefined {
  const found = textAt(state, path) ?? '';
  if (versionOf(found) !== version) return `${path} is not of ${version}: ${found.split('\n')[0]}`;
  return lostFrom(found, path, marks);
}

/** The first thing that a program has written to the file of this version, and that is not in it. */
export function lostFrom(text: string, path: string, marks: readonly string[]): string | undefined {
  const prefix = keptMark(versionOf(text), '');
  const lines = text.split('\n').slice(1);
  const lost = marks.find((mark) => mark.startsWith(prefix) && !lines.includes(mark.slice(prefix.length)));
  return lost === undefined ? undefined : `${path} has lost what a program has written: ${lost}`;
}

async function append(files: Files, path: string, line: string): Promise<string> {
  const old = await files.open(path, 'read');
  const { sizeBytes, mode } = await old.stat();
  const content = new Uint8Array(sizeBytes);
  await old.read(content, 0, sizeBytes, 0);
  await old.close();
  if (await files.stat(scratch)) await files.remove(scratch);
  const file = await files.open(scratch, 'create');
  await file.setMode(mode);
  await file.write(Buffer.concat([content, Buffer.from(`\n${line}`)]), 0);
  await file.sync();
  await file.close();
  await files.rename(scratch, path);
  await files.syncDirectory(dirname(path));
  return versionOf(Buffer.from(content).toString());
}

/** Of a content. */
export function versionOf(text: string): string {
  return text.split(' ')[1] ?? '';
}
