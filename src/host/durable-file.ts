/**
 * Small whole files that must survive a power cut: state, journal, outbox.
 *
 * Invariant: under `path` stands the whole old content or the whole new content, at every instant, also across a power
 * cut; when `writeDurably` has returned it is the new one. The name beside it, `<path>.new`, is scratch: whatever is
 * found there is a leftover of a cut and is removed.
 */
import type { Files, OpenFile } from './host.ts';

/**
 * Replaces `path` by `bytes` atomically and durably: new file beside it, fsync, rename, fsync of the directory.
 * Creates the file when there is none; its directory must exist. A symlink at `path` is replaced, never followed.
 * `mode`: permission bits, 0600 unless given. Rejects with the system error; then `path` is as it was.
 */
export async function writeDurably(
  files: Files,
  path: string,
  bytes: Uint8Array,
  mode?: number,
): Promise<void> {
  const scratch = `${path}.new`;
  if ((await files.stat(scratch)) !== undefined) await files.remove(scratch);
  const file = await files.open(scratch, 'create');
  try {
    if (mode !== undefined) await file.setMode(mode);
    await file.write(bytes, 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(scratch, path);
  await files.syncDirectory(directoryOf(path));
}

/**
 * The content of a regular file, or undefined when nothing is there. Rejects with the system error (EINVAL for a
 * symlink or a FIFO), or with EFBIG when it holds more than `maxBytes` bytes, so that a damaged file cannot fill the memory.
 */
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

/** Shaped as Node's own: the `code` says what, so that `errno()` sees it. */
function systemError(code: string, text: string): Error {
  return Object.assign(new Error(`${code}: ${text}`), { code });
}
