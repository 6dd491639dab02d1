/**
 * Small whole files. Under `path` stands the whole old or the whole new content at every instant, of what `writeDurably` wrote
 * also across a power cut. `<path>.new` beside it is scratch: what is found there is a leftover of a cut.
 */
import type { Files, OpenFile } from './host.ts';
import { systemError } from './system-error.ts';

/**
 * Replaces or makes `path` atomically and durably; its directory must exist, a symlink is replaced. `mode`: permission bits,
 * 0600 unless given. Rejects with the system error; then `path` is as it was.
 */
export async function writeDurably(
  files: Files,
  path: string,
  bytes: Uint8Array,
  mode?: number,
): Promise<void> {
  await replace(files, path, [bytes], { mode, isDurable: true });
}

/** The same without a sync, for what can be made anew: after a power cut it may be empty or torn, which the reader must take for none. */
export async function writeWhole(files: Files, path: string, ...parts: Uint8Array[]): Promise<void> {
  await replace(files, path, parts, { mode: undefined, isDurable: false });
}

/** The content of a regular file; undefined: nothing is there. Rejects with the system error, EINVAL for what is no file, EFBIG beyond `maxBytes`. */
export async function readWhole(
  files: Files,
  path: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const found = await files.stat(path);
  if (found === undefined) return undefined;
  // Checked before the open: opening a FIFO would wait for its writer forever.
  if (found.kind !== 'file') throw systemError('EINVAL', `${path} is a ${found.kind}, not a regular file`);
  const file = await files.open(path, 'read');
  try {
    return await readToEnd(file, path, maxBytes);
  } finally {
    await file.close();
  }
}

export async function removeIfThere(files: Pick<Files, 'stat' | 'remove'>, path: string): Promise<void> {
  if ((await files.stat(path)) !== undefined) await files.remove(path);
}

async function replace(
  files: Files,
  path: string,
  parts: readonly Uint8Array[],
  { mode, isDurable }: { readonly mode: number | undefined; readonly isDurable: boolean },
): Promise<void> {
  const scratch = `${path}.new`;
  await removeIfThere(files, scratch);
  const file = await files.open(scratch, 'create');
  try {
    if (mode !== undefined) await file.setMode(mode);
    let position = 0;
    for (const part of parts) {
      await file.write(part, position);
      position += part.length;
    }
    if (isDurable) await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(scratch, path);
  if (isDurable) await files.syncDirectory(directoryOf(path));
}

async function readToEnd(file: OpenFile, path: string, maxBytes: number): Promise<Uint8Array> {
  const { sizeBytes } = await file.stat();
  if (sizeBytes > maxBytes)
    throw systemError('EFBIG', `${path} holds ${sizeBytes} bytes, more than the ${maxBytes} allowed`);
  const content = new Uint8Array(sizeBytes);
  let filled = 0;
  while (filled < sizeBytes) {
    const got = await file.read(content, filled, sizeBytes - filled, filled);
    if (got === 0) break;
    filled += got;
  }
  return content.subarray(0, filled);
}

function directoryOf(path: string): string {
  const slash = path.lastIndexOf('/');
  if (slash < 0) return '.';
  return slash === 0 ? '/' : path.slice(0, slash);
}
