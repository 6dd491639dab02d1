/** What restarted programs write where their output cannot be had again: `logs/<module>.out`, bounded; and its end, which tells why one failed. */

import { posix } from 'node:path';
import { errno, errorText } from '../errors.ts';
import { removeIfThere } from '../host/durable-file.ts';
import { fileChunks } from '../host/file-chunks.ts';
import type { FileStat, Files, Host, OpenFile, WatchDirectory } from '../host/host.ts';
import { limits } from '../limits.ts';

type OutputHost = Pick<Host, 'files' | 'clock' | 'log'>;

export interface BoundedOutputs {
  /** Resolves when nothing is written any more. */
  stop(): Promise<void>;
}

/**
 * Bounds the output files in `directory`, at once, soon after one has grown and every limits.outputCheckMs: the end of a long
 * one goes to `<module>.out.1`, and it is begun anew, as its program keeps it open. What that says in between is lost.
 */
export function boundOutputs(host: OutputHost, directory: string, watch: WatchDirectory): BoundedOutputs {
  let isStopped = false;
  let looking: Promise<void> = Promise.resolve();
  let unwatch: () => void = () => undefined;
  let disarm: () => void = () => undefined;
  const arm = (ms: number) => {
    disarm();
    if (!isStopped) disarm = host.clock.after(ms, look);
  };
  const look = () => {
    unwatch();
    let waitMs: number = limits.outputCheckMs;
    // One word for each look: who writes without end is not to keep the updater busy.
    unwatch = watch(directory, (name) => {
      if (!name.endsWith('.out')) return;
      unwatch();
      waitMs = limits.outputGrowthMs;
      arm(waitMs);
    });
    looking = boundAll(host, directory).then(() => arm(waitMs));
  };
  look();
  return {
    stop: async () => {
      isStopped = true;
      unwatch();
      disarm();
      await looking;
    },
  };
}

async function boundAll({ files, log }: OutputHost, directory: string): Promise<void> {
  try {
    for (const name of await files.list(directory)) {
      if (!name.endsWith('.out')) continue;
      const path = posix.join(directory, name);
      if (isTooLarge(await files.stat(path))) await beginAnew(files, path);
    }
  } catch (thrown) {
    log.warn(`bounding the output of programs: ${errorText(thrown)}`);
  }
}

/** Also by room that its program has set aside beyond its end. */
function isTooLarge(stat: FileStat | undefined): boolean {
  const most = limits.outputFileBytes;
  return stat?.kind === 'file' && (stat.sizeBytes > most || stat.allocatedBytes > 2 * most);
}

async function beginAnew(files: Files, path: string): Promise<void> {
  const file = await files.open(path, 'update');
  try {
    await keepEnd(files, file, `${path}.1`).finally(() => file.truncate(0));
  } finally {
    await file.close();
  }
}

async function keepEnd(files: Files, file: OpenFile, path: string): Promise<void> {
  const end = (await file.stat()).sizeBytes;
  await removeIfThere(files, path);
  const kept = await files.open(path, 'create');
  try {
    await kept.setMode(0o640);
    const from = Math.max(0, end - limits.outputFileBytes);
    let written = 0;
    for await (const chunk of fileChunks(file, { from, to: end })) {
      await kept.write(chunk, written);
      written += chunk.length;
    }
  } finally {
    await kept.close();
  }
}

/** 0 where there is no such file. */
export async function fileSize(files: Files, path: string): Promise<number> {
  const stat = await files.stat(path).catch(() => undefined);
  return stat?.kind === 'file' ? stat.sizeBytes : 0;
}

/** What was written to `path` behind `fromByte`, its last limits.outputTailBytes; a shorter file was begun anew. Empty: nothing can be read. */
export async function outputSince(files: Files, path: string, fromByte: number): Promise<string> {
  try {
    const file = await files.open(path, 'read');
    try {
      const { kind, sizeBytes } = await file.stat();
      const from = Math.max(sizeBytes < fromByte ? 0 : fromByte, sizeBytes - limits.outputTailBytes);
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
