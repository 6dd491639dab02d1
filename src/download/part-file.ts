/**
 * The partial file of a download, `<package_name>.part`: bytes are hashed and written as they come.
 *
 * Disk, digest and network overlap in constant memory (host/write-behind.ts). Invariants: the digests cover exactly the
 * bytes accepted so far, those found on disk included, which are read and hashed again when the file is opened. Failures
 * of the disk are UpdateErrors (DISK_FULL, else DOWNLOAD_FAILED with path and errno), so that nobody takes them for
 * failures of the network.
 */
import { asUpdateError } from '../errors.ts';
import type { Files, Host, OpenFile } from '../host/host.ts';
import { StuckError, type Watched } from '../host/watchdog.ts';
import { type WriteBehind, writeBehind } from '../host/write-behind.ts';
import { limits } from '../limits.ts';
import { type Digests, newDigests } from './digest.ts';

export interface PartFileOptions {
  readonly withSha256: boolean;
  /** True: what is on disk is kept and hashed; false: the file begins empty. */
  readonly keep: boolean;
  /** A file with more bytes than this is not ours and begins empty. */
  readonly maxBytes: number;
  /** False: the digests are computed on this thread, however long the file. */
  readonly withThread?: boolean;
  readonly signal: AbortSignal;
  /** Some of what is on disk was hashed. */
  readonly onRehashed?: () => void;
}

/**
 * Opens or creates `directory`/`name`. Anything but a regular file under that name is removed first. A new name is not
 * synced here: no byte of it counts before the state file beside it was saved, and that syncs their directory.
 */
export async function openPartFile(
  host: Pick<Host, 'files' | 'memory'>,
  directory: string,
  name: string,
  options: PartFileOptions,
): Promise<PartFile> {
  const path = `${directory}/${name}`;
  try {
    return await opened(host, path, options);
  } catch (thrown) {
    if (options.signal.aborted || thrown instanceof StuckError) throw thrown;
    throw asUpdateError(thrown, 'DOWNLOAD_FAILED', `open ${path}`);
  }
}

async function opened(
  { files, memory }: Pick<Host, 'files' | 'memory'>,
  path: string,
  options: PartFileOptions,
): Promise<PartFile> {
  const found = await files.stat(path);
  const keep = found?.kind === 'file' && options.keep && found.sizeBytes <= options.maxBytes;
  if (found !== undefined && !keep) await files.remove(path);
  const file = await files.open(path, keep ? 'update' : 'create');
  const startDigests = (mayThread: boolean) =>
    newDigests(memory, options.withSha256, mayThread && options.withThread !== false ? options.maxBytes : 0);
  const part = new PartFile(path, file, await startDigests(true), startDigests);
  try {
    if (keep) await part.rehash(options.signal, files, options.onRehashed);
    return part;
  } catch (thrown) {
    await part.close();
    if (!keep) await files.remove(path);
    throw thrown;
  }
}

export class PartFile {
  #path: string;
  readonly #file: OpenFile;
  readonly #startDigests: (mayThread: boolean) => Promise<Digests>;
  readonly #out: WriteBehind;
  #digests: Digests;
  #mayThread = true;
  /** What is in flight, in words. */
  readonly #busy = new Set<string>();

  constructor(
    path: string,
    file: OpenFile,
    digests: Digests,
    startDigests: (mayThread: boolean) => Promise<Digests>,
  ) {
    this.#path = path;
    this.#file = file;
    this.#digests = digests;
    this.#startDigests = startDigests;
    this.#out = writeBehind({
      write: (bytes, position) => this.#disk('write', () => file.write(bytes, position)),
      syncData: () => this.#disk('sync', () => file.syncData()),
    });
  }

  get path(): string {
    return this.#path;
  }

  /** Bytes accepted so far: on disk, on the way there, or waiting. */
  get sizeBytes(): number {
    return this.#out.position();
  }

  /** Bytes handed to the filesystem. */
  get writtenBytes(): number {
    return this.#out.writtenBytes();
  }

  /** Reads the file from its beginning and hashes it; yields to the event loop between reads. */
  async rehash(signal: AbortSignal, files: Files, onRehashed?: () => void): Promise<void> {
    const buffer = new Uint8Array(limits.writeBufferBytes);
    const file = await files.open(this.#path, 'read'); // its own descriptor may be for writing only
    try {
      for (let position = 0; ; ) {
        signal.throwIfAborted();
        const got = await file.read(buffer, 0, buffer.length, position);
        if (got === 0) return await this.#out.restartAt(position);
        await this.#digests.update(buffer.subarray(0, got));
        position += got;
        onRehashed?.();
      }
    } finally {
      await file.close();
    }
  }

  /** Before its first byte: its digests have no thread of their own. */
  async digestHere(): Promise<void> {
    if (!this.#mayThread || this.sizeBytes > 0) return;
    this.#mayThread = false;
    this.#digests.abort();
    this.#digests = await this.#startDigests(false);
  }

  /** Takes the next bytes; to be awaited where it returns a promise, as WriteBehind.write. */
  append(bytes: Uint8Array): Promise<void> | undefined {
    const digested = this.#digests.update(bytes);
    const written = this.#out.write(bytes);
    if (digested === undefined) return written;
    const counted = this.#named('the digest', digested);
    return written === undefined ? counted : both(counted, written);
  }

  /** What it waits for right now, in words; undefined: nothing. */
  busyWith(): string | undefined {
    return this.#busy.size === 0 ? undefined : [...this.#busy].join(', ');
  }

  /** Bytes that it has taken; fewer only where they are not there. */
  async readBack(files: Files, position: number, length: number): Promise<Buffer> {
    if (position + length > this.writtenBytes) await this.#out.flush();
    const bytes = Buffer.alloc(length);
    const file = await files.open(this.#path, 'read'); // its own descriptor may be for writing only
    try {
      let done = 0;
      for (let got = 1; got > 0 && done < length; done += got)
        got = await file.read(bytes, done, length - done, position + done);
      return bytes.subarray(0, done);
    } catch (thrown) {
      throw asUpdateError(thrown, 'DOWNLOAD_FAILED', `read ${this.#path}`);
    } finally {
      await file.close();
    }
  }

  /** Cuts it after its first `position` bytes; those are hashed anew, as no digest can go back. */
  async cutBack(
    files: Files,
    position: number,
    { signal, alive }: Pick<Watched, 'signal' | 'alive'>,
  ): Promise<void> {
    await this.#out.flush();
    await this.#disk('truncate', () => this.#file.truncate(position));
    this.#digests.abort();
    this.#digests = await this.#startDigests(this.#mayThread);
    await this.rehash(signal, files, alive);
  }

  /** Takes the place of the file at `path`. */
  async moveTo(files: Files, path: string): Promise<void> {
    await this.#disk('rename', () => files.rename(this.#path, path));
    this.#path = path;
  }

  /** Writes what is waiting: a kill of the process does not take it any more, a power cut may. */
  async flush(): Promise<void> {
    await this.#out.flush();
  }

  /** Writes what is waiting and brings everything to the disk (fsync). */
  async settle(): Promise<void> {
    await this.#out.flush();
    await this.#disk('sync', () => this.#file.sync());
  }

  /** Empties the file, durably: the next bytes are the first. */
  async restart(): Promise<void> {
    await this.#out.restartAt(0);
    await this.#disk('truncate', () => this.#file.truncate(0));
    await this.#disk('sync', () => this.#file.sync());
    this.#digests.abort();
    this.#digests = await this.#startDigests(this.#mayThread);
  }

  /** Digests of all bytes, after `settle`. The file takes no more bytes. */
  finish(): ReturnType<Digests['finish']> {
    return this.#named('the digest', this.#digests.finish());
  }

  /** Ends its digests; what is in flight is waited for by nobody, and the file stays open. */
  leaveBehind(): void {
    this.#digests.abort();
  }

  /** Waits for what is in flight, whatever becomes of it, and closes. */
  async close(): Promise<void> {
    this.#digests.abort();
    await this.#out.idle();
    await this.#file.close();
  }

  async #named<T>(what: string, act: Promise<T>): Promise<T> {
    this.#busy.add(what);
    try {
      return await act;
    } finally {
      this.#busy.delete(what);
    }
  }

  async #disk(what: string, act: () => Promise<void>): Promise<void> {
    try {
      await this.#named(`the disk (${what} ${this.path})`, act());
    } catch (thrown) {
      throw asUpdateError(thrown, 'DOWNLOAD_FAILED', `${what} ${this.path}`);
    }
  }
}

async function both(first: Promise<void>, second: Promise<void>): Promise<void> {
  await Promise.all([first, second]);
}
