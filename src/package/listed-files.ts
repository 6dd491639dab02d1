/**
 * The list of files of a package where it is too long for the manifest: an entry of its own (`files.json`), whose SHA-256 stands in
 * the manifest, so that a signature of the manifest covers every file all the same. Spec section 10.
 *
 *     [
 *     {"path":"web/a.js","size":18,"sha256":"..."},
 *     {"path":"web/b.js","size":20,"sha256":"...","mode":"0644"}
 *     ]
 *
 * As `pack` writes it, one element a line, it is read line by line in little memory, and the event loop turns between the
 * lines. A list in any other form of JSON is read at once, and may be no longer than a manifest.
 */
import * as v from 'valibot';
import { UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { type List, loadPacking, type PackedList } from '../packed-list.ts';
import type { Archive } from './archive.ts';
import { FileSchema, type ListedFile, type Manifest } from './manifest-schema.ts';
import { printable, quoted } from './path-fault.ts';
import { parseStrictJson } from './strict-json.ts';

/** A manifest whose list of files is at hand, wherever it stood. */
export type CompleteManifest = Omit<Manifest, 'files'> & {
  readonly files?: List<ListedFile> | undefined;
};

/** Brings the list in. Throws INVALID_MANIFEST where it is not there, is another one, or has a fault. */
export async function completeManifest(manifest: Manifest, archive: Archive): Promise<CompleteManifest> {
  const { files, ...rest } = manifest;
  if (files === undefined) return rest;
  return { ...rest, files: Array.isArray(files) ? files : await readList(archive, files) };
}

/** The text of the entry. */
export function listText(files: readonly object[]): string {
  const lines = files.map((file, index) => `${JSON.stringify(file)}${index < files.length - 1 ? ',' : ''}\n`);
  return `[\n${lines.join('')}]\n`;
}

async function readList(
  archive: Archive,
  { entry, sha256 }: { readonly entry: string; readonly sha256: string },
): Promise<List<ListedFile>> {
  const { createHash } = await import('node:crypto');
  const hash = createHash('sha256');
  const list = listReader(entry, (await loadPacking()).list<ListedFile>());
  const isThere = await archive.readEntry(entry, limits.filesListBytes, (chunk) => {
    hash.update(chunk);
    list.take(chunk);
  });
  if (!isThere) throw fault(entry, 'is named by files.entry in manifest.json, but is not in the package');
  const found = hash.digest('hex');
  if (found !== sha256) throw fault(entry, `files.sha256 in manifest.json is ${sha256}, its own is ${found}`);
  return list.end();
}

function listReader(entry: string, files: PackedList<ListedFile>) {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let lines = 0;
  let isOver = false;
  let isInLines = true;
  let rest = '';
  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch (thrown) {
      throw fault(entry, 'is not valid UTF-8', thrown);
    }
  };
  const line = (text: string) => {
    lines += 1;
    if (isOver ? text !== '' : lines > 1 && text === '') throw fault(entry, `line ${lines}: ${quoted(text)}`);
    if (lines === 1 || isOver) return;
    if (text === ']') isOver = true;
    else files.add(fileOf(entry, `line ${lines}`, text.endsWith(',') ? text.slice(0, -1) : text));
    if (files.length > limits.packageFiles)
      throw fault(entry, `lists more than ${limits.packageFiles} files`);
  };
  return {
    take: (chunk: Uint8Array): void => {
      rest += decode(chunk);
      if (lines === 0 && rest.length >= 3) isInLines = /^\[\n[{\]\n]/.test(rest);
      if (!isInLines) {
        if (rest.length > limits.manifestBytes)
          throw fault(entry, `is longer than ${limits.manifestBytes} bytes and has not one file a line`);
        return;
      }
      const complete = rest.split('\n');
      rest = complete.pop() ?? '';
      for (const text of complete) line(text);
    },
    end: (): List<ListedFile> => {
      rest += decode();
      if (!isInLines || lines === 0) return filesOf(entry, rest);
      if (rest !== '') line(rest);
      if (!isOver) throw fault(entry, 'has no end');
      return files;
    },
  };
}

function fileOf(entry: string, place: string, text: string): ListedFile {
  const parsed = v.safeParse(FileSchema, parsedJson(entry, place, text), { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw fault(entry, `${place}: ${v.getDotPath(issue) ?? 'file'}: ${printable(issue.message)}`);
}

function filesOf(entry: string, text: string): ListedFile[] {
  const value = parsedJson(entry, 'it', text);
  if (!Array.isArray(value)) throw fault(entry, 'is not a list');
  if (value.length > limits.packageFiles) throw fault(entry, `lists more than ${limits.packageFiles} files`);
  return value.map((file, index) => fileOf(entry, `[${index}]`, JSON.stringify(file)));
}

function parsedJson(entry: string, place: string, text: string): unknown {
  try {
    return parseStrictJson(text);
  } catch (thrown) {
    if (!(thrown instanceof SyntaxError)) throw thrown;
    throw fault(entry, `${place} is not valid JSON: ${printable(thrown.message)}`, thrown);
  }
}

function fault(entry: string, text: string, cause?: unknown): UpdateError {
  return new UpdateError('INVALID_MANIFEST', `${printable(entry)}: ${text}`, { cause });
}
