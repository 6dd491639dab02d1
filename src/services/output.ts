/**
 * What restarted programs write where their output cannot be had again: `logs/<module>.out`, bounded; and the end of any
 * output, which tells why a program failed.
 */
import { posix } from 'node:path';
import { errno, errorText } from '../errors.ts';
import type { Files, Host } from '../host/host.ts';
import { limits } from '../limits.ts';

/** Begins every output file anew that has become longer than limits.outputFileBytes; its program appends to it. */
export async function boundOutputs(
  { files, log }: Pick<Host, 'files' | 'log'>,
  directory: string,
): Promise<void> {
  try {
    for (const name of await files.list(directory)) {
      if (!name.endsWith('.out')) continue;
      const path = posix.join(directory, name);
      if ((await fileSize(files, path)) <= limits.outputFileBytes) continue;
      const file = await files.open(path, 'update');
      await file.truncate(0).finally(() => file.close());
    }
  } catch (thrown) {
    log.warn(`bounding the output of programs: ${errorText(thrown)}`);
  }
}

/** 0 where there is no such file. */
export async function fileSize(files: Files, path: string): Promise<number> {
  const stat = await files.stat(path).catch(() => undefined);
  return stat?.kind === 'file' ? stat.sizeBytes : 0;
}

/** What was written to `path` behind `fromByte`, its last limits.outputTailBytes; empty where nothing can be read. */
export async function outputSince(files: Files, path: string, fromByte: number): Promise<string> {
  try {
    const file = await files.open(path, 'read');
    try {
      const { kind, sizeBytes } = await file.stat();
      const from = Math.max(fromByte, sizeBytes - limits.outputTailBytes);
      if (kind !== 'file' || from >= sizeBytes) return '';
      const buffer = Buffer.alloc(sizeBytes - from);
      const length = await file.read(buffer, 0, buffer.length, from);
      return buffer.toString('utf8', 0, length).trim();
    } finally {
      await file.close();
    }
  } catch (thrown) {
    if (errno(thrown) === undefined) throw thrown;
    return '';
  }
}
