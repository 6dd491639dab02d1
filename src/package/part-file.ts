/**
 * The partial file of a download, `<package_name>.part`: bytes are hashed and written as they come.
 *
 * Two buffers alternate: one is filled from the network while the other is written, so disk, digest and network overlap in
 * constant memory. Invariants: one write and one sync in flight; the digests cover exactly the bytes accepted so far, those found on
 * disk included, which are read and hashed again when the file is opened; never more than twice limits.dataSyncEveryBytes
 * of dirty pages. Failures of the disk are UpdateErrors (DISK_FULL, else DOWNLOAD_FAILED with path and errno), so
 * that nobody takes them for failures of the network.
 */
import { asUpdateError } from '../errors.ts';
import type { Files, OpenFile } from '../host/host.ts';
import { limits } from '../limits.ts';
import { type Digests, newDigests } from './digest.ts';

export interface PartFileOptions {
  readonly withSha256: boolean;
  /** True: what is on disk is kept and hashed; false: the file begins empty. */
  readonly keep: boolean;
  /** A file with more bytes than this is not ours and begins empty. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/** Opens or creates `directory`/`name`. Anything but a regular file under that name is removed first. */
export async function openPartFile(
  files: Files,
  directory: string,
  name: string,
  options: PartFileOptions,
): Promise<PartFile> {
  const path = `${directory}/${name}`;
  try {
    return await opened(files, directory, path, options);
  } catch (thrown) {
    throw options.signal.aborted ? thrown : asUpdateError(thrown, 'DOWNLOAD_FAILED', `open ${path}`);
  }
}

async function opened(
  files: Files,
  directory: string,
  path: string,
  options: PartFileOptions,
): Promise<PartFile> {
  const found = await files.stat(path);
  const keep = found?.kind === 'file' && options.keep && found.sizeBytes <= options.maxBytes;
  if (found !== undefined && !keep) await files.remove(path);
  const file = await files.open(path, keep ? 'update' : 'create');
  const part = new PartFile(path, file, await newDigests(options.withSha256), options.withSha256);
  try {
    if (keep) await part.rehash(options.signal);
    else await files.syncDirectory(directory); // or a power cut could take the name, and with it the bytes
    return part;
  } catch (thrown) {
    await file.close();
    if (!keep) await files.remove(path);
    throw thrown;
  }
}

export class PartFile {
  readonly path: string;
  readonly #file: OpenFile;
  readonly #withSha256: boolean;
  #digests: Digests;
  #active = new Uint8Array(limits.writeBufferBytes);
  #spare = new Uint8Array(limits.writeBufferBytes);
  /** Bytes waiting in `#active`. */
  #filled = 0;
  /** Where the first byte of `#active` goes. */
  #position = 0;
  #writtenBytes = 0;
  #unsyncedBytes = 0;
  /** The write out of `#spare`, if one is in flight; never rejects, see `#failure`. */
  #writing: Promise<void> | undefined;
  /** The sync of earlier bytes, if one is in flight; never rejects either. */
  #syncing: Promise<void> | undefined;
  #failure: { readonly reason: unknown } | undefined;

  constructor(path: string, file: OpenFile, digests: Digests, withSha256: boolean) {
    this.path = path;
    this.#file = file;
    this.#digests = digests;
    this.#withSha256 = withSha256;
  }

  /** Bytes accepted so far: on disk, on the way there, or waiting. */
  get sizeBytes(): number {
    return this.#position + this.#filled;
  }

  /** Bytes handed to the filesystem. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Reads the file from its beginning and hashes it; yields to the event loop between reads. */
  async rehash(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const got = await this.#file.read(this.#active, 0, this.#active.length, this.#position);
      if (got === 0) return;
      this.#digests.update(this.#active.subarray(0, got));
      this.#position += got;
      this.#writtenBytes = this.#position;
    }
  }

  /**
   * Takes the next bytes. A promise only where both buffers are full, and then it must be waited for before the next call:
   * most calls copy and return. Throws or rejects with the error of an earlier write.
   */
  append(bytes: Uint8Array): Promise<void> | undefined {
    this.#digests.update(bytes);
    const room = this.#active.length - this.#filled;
    if (bytes.length >= room) return this.#appendAcross(bytes);
    this.#active.set(bytes, this.#filled);
    this.#filled += bytes.length;
    return undefined;
  }

  async #appendAcross(bytes: Uint8Array): Promise<void> {
    for (let taken = 0; taken < bytes.length; ) {
      const room = Math.min(this.#active.length - this.#filled, bytes.length - taken);
      this.#active.set(bytes.subarray(taken, taken + room), this.#filled);
      this.#filled += room;
      taken += room;
      if (this.#filled === this.#active.length) await this.#flush();
    }
  }

  /** Writes what is waiting and brings everything to the disk (fsync). */
  async settle(): Promise<void> {
    await this.#flush();
    await this.#idle();
    await this.#disk('sync', () => this.#file.sync());
    this.#unsyncedBytes = 0;
  }

  /** Empties the file, durably: the next bytes are the first. */
  async restart(): Promise<void> {
    await this.#idle();
    await this.#disk('truncate', () => this.#file.truncate(0));
    await this.#disk('sync', () => this.#file.sync());
    this.#digests = await newDigests(this.#withSha256);
    this.#position = 0;
    this.#filled = 0;
    this.#writtenBytes = 0;
    this.#unsyncedBytes = 0;
  }

  /** Digests of all bytes, after `settle`. The file takes no more bytes. */
  finish(): ReturnType<Digests['finish']> {
    return this.#digests.finish();
  }

  /** Waits for what is in flight, whatever becomes of it, and closes. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#syncing;
    await this.#file.close();
  }

  /** Starts writing the active buffer once the write before it has ended. */
  async #flush(): Promise<void> {
    await this.#written();
    if (this.#filled === 0) return;
    const bytes = this.#active.subarray(0, this.#filled);
    [this.#active, this.#spare] = [this.#spare, this.#active];
    this.#writing = this.#write(bytes, this.#position);
    this.#position += this.#filled;
    this.#filled = 0;
  }

  async #write(bytes: Uint8Array, position: number): Promise<void> {
    try {
      await this.#disk('write', () => this.#file.write(bytes, position));
      this.#writtenBytes = position + bytes.length;
      this.#unsyncedBytes += bytes.length;
      if (this.#unsyncedBytes < limits.dataSyncEveryBytes) return;
      // The next bytes are written while these go to the disk; only the sync after this one has to wait.
      await this.#syncing;
      this.#unsyncedBytes = 0;
      this.#syncing = this.#syncData();
    } catch (reason) {
      this.#failure ??= { reason };
    }
  }

  async #syncData(): Promise<void> {
    try {
      await this.#disk('sync', () => this.#file.syncData());
    } catch (reason) {
      this.#failure ??= { reason };
    }
  }

  async #written(): Promise<void> {
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure.reason;
  }

  /** As `#written`, and no sync in flight either. */
  async #idle(): Promise<void> {
    await this.#writing;
    await this.#syncing;
    await this.#written();
  }

  async #disk(what: string, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (thrown) {
      throw asUpdateError(thrown, 'DOWNLOAD_FAILED', `${what} ${this.path}`);
    }
  }
}
