/**
 * Turns the stored bytes of one ZIP entry into its content, a part at a time, in constant memory: never more than it declares,
 * and in the end exactly its size and CRC-32.
 */
import type * as Zlib from 'node:zlib';
import { errno, errorText } from '../errors.ts';
import { giveBack } from '../give-back.ts';
import { limits } from '../limits.ts';
import type { Crc32 } from '../zip/crc32.ts';
import type { ArchiveEntry } from './entry-policy.ts';
import { quoted } from './path-fault.ts';
import { invalidPackage } from './zip-records.ts';

/** Takes a chunk of content; the chunk is only valid until the returned promise resolves. */
export type Output = (chunk: Uint8Array) => Promise<void> | void;

export interface Decoder {
  /** Decodes one part; `part` may be reused once the promise has resolved. */
  write(part: Uint8Array): Promise<void>;
  /** After the last part: waits for the rest of the content and checks it. */
  end(): Promise<void>;
  /** Frees what it holds, after a failure. */
  abort(): void;
}

export interface DecoderParts {
  readonly zlib: typeof Zlib;
  readonly crc32: Crc32;
  /** Told the size of every buffer that inflating makes. */
  readonly produced: (bytes: number) => void;
}

/** A decoder for one entry. Its promises reject with INVALID_PACKAGE, or with what `output` threw. */
export function entryDecoder(entry: ArchiveEntry, output: Output, parts: DecoderParts): Decoder {
  const refuse = refusalOf(entry);
  let sizeBytes = 0;
  let crc = 0;
  const take: Output = (chunk) => {
    sizeBytes += chunk.length;
    if (sizeBytes > entry.sizeBytes) throw refuse(`holds more than the ${entry.sizeBytes} bytes it declares`);
    crc = parts.crc32(chunk, crc);
    return output(chunk);
  };
  const check = () => checkContent(entry, sizeBytes, crc);
  if (!entry.isDeflated)
    return { write: async (part) => take(part), end: async () => check(), abort: () => undefined };

  // One byte more than declared is enough to notice; zlib takes no less than 64.
  const chunkSize = Math.min(limits.chunkBytes, Math.max(64, entry.sizeBytes + 1));
  const inflater = startInflater(
    (chunk) => {
      parts.produced(chunk.length);
      return take(chunk);
    },
    chunkSize,
    parts.zlib,
    (cause) => refuse(`cannot be inflated: ${cause.message}`, cause),
  );
  return {
    write: inflater.write,
    async end() {
      const consumed = await inflater.end();
      check();
      if (consumed !== entry.compressedBytes)
        throw refuse(`has ${entry.compressedBytes - consumed} bytes after the end of its deflated data`);
    },
    abort: inflater.abort,
  };
}

/** The content of a small entry at once: zlib's streams take four times as long. Throws INVALID_PACKAGE. No copy where the entry is stored. */
export function decodeWhole(entry: ArchiveEntry, stored: Uint8Array, parts: DecoderParts): Uint8Array {
  const refuse = refusalOf(entry);
  const { content, consumed } = entry.isDeflated ? inflated() : { content: stored, consumed: stored.length };
  checkContent(entry, content.length, parts.crc32(content, 0));
  if (consumed !== stored.length)
    throw refuse(`has ${stored.length - consumed} bytes after the end of its deflated data`);
  return content;

  function inflated(): { content: Uint8Array; consumed: number } {
    const chunkSize = Math.max(64, entry.sizeBytes + 1);
    const options = {
      chunkSize,
      maxOutputLength: Math.max(1, entry.sizeBytes),
      windowBits: windowBitsFor(entry.sizeBytes),
      info: true,
    };
    try {
      // With `info` it gives the engine, too, whatever the types say.
      const { buffer, engine } = parts.zlib.inflateRawSync(stored, options) as unknown as WithEngine;
      parts.produced(buffer.length);
      return { content: buffer, consumed: engine.bytesWritten };
    } catch (thrown) {
      if (errno(thrown) === 'ERR_BUFFER_TOO_LARGE')
        throw refuse(`holds more than the ${entry.sizeBytes} bytes it declares`);
      if (errno(thrown) === undefined) throw thrown;
      throw refuse(`cannot be inflated: ${errorText(thrown)}`, thrown);
    }
  }
}

/** A small entry and all its stored bytes. */
export interface StoredEntry {
  readonly entry: ArchiveEntry;
  readonly stored: Uint8Array;
}

/**
 * The contents of small entries, as decodeWhole gives them. The deflated ones are inflated by one call, as the members of one gzip file
 * (RFC 1952), which zlib takes one after the other: to make a decompressor for each takes longer than what it does.
 * `release`: they are not used any more.
 */
export function decodeTogether(
  group: readonly StoredEntry[],
  parts: DecoderParts,
): { readonly contents: readonly Uint8Array[]; release(): void } {
  const deflated = group.filter(({ entry }) => entry.isDeflated);
  const all = deflated.length > 1 ? inflatedTogether(deflated, parts) : undefined;
  // Where anything is wrong, one after the other: the error is to name its entry.
  if (all === undefined) {
    const contents = group.map(({ entry, stored }) => decodeWhole(entry, stored, parts));
    return { contents, release: () => undefined };
  }
  let from = 0;
  const contents = group.map(({ entry, stored }) => {
    if (!entry.isDeflated) return decodeWhole(entry, stored, parts);
    from += entry.sizeBytes;
    return all.subarray(from - entry.sizeBytes, from);
  });
  return { contents, release: () => void giveBack(all) };
}

/** One behind the other; undefined where one of them is not as it declares. */
function inflatedTogether(
  group: readonly StoredEntry[],
  { zlib, crc32, produced }: DecoderParts,
): Uint8Array | undefined {
  const storedBytes = group.reduce((sum, { stored }) => sum + stored.length, 0);
  const totalBytes = group.reduce((sum, { entry }) => sum + entry.sizeBytes, 0);
  const members = Buffer.allocUnsafe(storedBytes + group.length * (memberHead.length + memberTailBytes));
  let at = 0;
  for (const { entry, stored } of group) {
    members.set(memberHead, at);
    members.set(stored, at + memberHead.length);
    at += memberHead.length + stored.length;
    members.writeUInt32LE(entry.crc32, at);
    members.writeUInt32LE(entry.sizeBytes, at + 4);
    at += memberTailBytes;
  }
  let all: Uint8Array;
  try {
    const chunkSize = Math.max(64, totalBytes + 1);
    all = zlib.gunzipSync(members, { chunkSize, maxOutputLength: Math.max(1, totalBytes) });
  } catch (thrown) {
    if (errno(thrown) === undefined) throw thrown;
    return undefined;
  }
  if (!giveBack(members)) produced(members.length + totalBytes);
  if (all.length !== totalBytes) return undefined;
  let from = 0;
  for (const { entry } of group) {
    const content = all.subarray(from, from + entry.sizeBytes);
    // A member that does not end where its entry does would move the others: each has its own checksum all the same.
    if (crc32(content, 0) !== entry.crc32) return undefined;
    from += entry.sizeBytes;
  }
  return all;
}

/** Deflated, no name, no time, of an unknown system (RFC 1952 2.3). Behind the data come its CRC-32 and size. */
const memberHead = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255);
const memberTailBytes = 8;

/** Nothing refers further back than to its own beginning: a smaller window is made and cleared in less time. */
function windowBitsFor(sizeBytes: number): number {
  return Math.min(15, Math.max(9, Math.ceil(Math.log2(sizeBytes + 1))));
}

interface WithEngine {
  readonly buffer: Uint8Array;
  readonly engine: { readonly bytesWritten: number };
}

function refusalOf({ name }: ArchiveEntry) {
  return (why: string, cause?: unknown) => invalidPackage(`entry ${quoted(name)} ${why}`, cause);
}

function checkContent(entry: ArchiveEntry, sizeBytes: number, crc: number): void {
  const refuse = refusalOf(entry);
  if (sizeBytes !== entry.sizeBytes)
    throw refuse(`holds ${sizeBytes} bytes, but declares ${entry.sizeBytes}`);
  if (crc !== entry.crc32)
    throw refuse(`is damaged: its CRC-32 is ${hex(crc)}, but ${hex(entry.crc32)} is declared`);
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}

interface Inflater {
  write(part: Uint8Array): Promise<void>;
  /** Resolves with the number of bytes that belonged to the deflated data. */
  end(): Promise<number>;
  abort(): void;
}

function startInflater(
  output: Output,
  chunkSize: number,
  zlib: typeof Zlib,
  refuse: (cause: Error) => Error,
): Inflater {
  const inflate = zlib.createInflateRaw({ chunkSize });
  // One step (write or end) is under way at a time; a failure in between is kept for the next.
  let failure: unknown;
  let rejectStep: ((reason: unknown) => void) | undefined;
  const fail = (reason: unknown) => {
    failure ??= reason;
    inflate.destroy();
    rejectStep?.(failure);
  };
  const step = (run: (resolve: () => void) => void) =>
    new Promise<void>((resolve, reject) => {
      rejectStep = reject;
      if (failure === undefined) run(resolve);
      else reject(failure);
    });

  inflate.on('error', (cause) => fail(refuse(cause)));
  inflate.on('data', (chunk: Uint8Array) => {
    try {
      const pending = output(chunk);
      if (pending === undefined) return;
      // Paused, so that the next chunk waits in zlib and not in memory.
      inflate.pause();
      pending.then(() => inflate.resume(), fail);
    } catch (thrown) {
      fail(thrown);
    }
  });
  const ended = new Promise<void>((resolve) => inflate.on('end', resolve));
  return {
    write: (part) =>
      step((resolve) => {
        inflate.write(part, () => resolve());
      }),
    async end() {
      await step((resolve) => {
        void ended.then(resolve);
        inflate.end();
      });
      return inflate.bytesWritten;
    },
    abort: () => {
      inflate.destroy();
    },
  };
}
