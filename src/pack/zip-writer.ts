/**
 * Writing a package's ZIP: small files are read and deflated many at a time and written in their order, a large one is streamed,
 * its header written at its end. The bytes depend on names, modes and contents alone; group and others never may write.
 */
import type * as Zlib from 'node:zlib';
import type { Files, OpenFile } from '../host/host.ts';
import { limits } from '../limits.ts';
import { type Crc32, fastestCrc32 } from '../zip/crc32.ts';
import { contentParts, wholeContent } from './source-content.ts';
import { centralRecord, endRecords, localHeader, type WrittenEntry } from './zip-format.ts';

export type ZipInput =
  | { readonly kind: 'text'; readonly name: string; readonly text: string }
  | {
      readonly kind: 'file';
      readonly name: string;
      readonly path: string;
      readonly sizeBytes: number;
      readonly mode: number;
    }
  | { readonly kind: 'link'; readonly name: string; readonly to: string }
  /** A patch, deflated already; always stands deflated in the package. */
  | {
      readonly kind: 'delta';
      readonly name: string;
      readonly deflated: Uint8Array;
      readonly sizeBytes: number;
    }
  | { readonly kind: 'directory'; readonly name: string };

/** Patches are mostly zeros: trying harder pays, and no device ever has to deflate one. */
export const deltaLevel = 9;

/** What a device takes from a ZIP; more must be asked for in the manifest (entry-policy.ts). */
const modeMask = 0o755;
const regularFile = 0o100000;
const directory = 0o040000;
const symlink = 0o120000;

/** Writes the inputs in order to `path`, which must not exist. Rejects with the system's error, or INVALID_PACKAGE for one that has changed. */
export async function writeZip(
  files: Files,
  path: string,
  inputs: readonly ZipInput[],
  compress: boolean,
): Promise<void> {
  const zlib = await import('node:zlib');
  const parts: Parts = { files, zlib, crc32: fastestCrc32(zlib), compress };
  const file = await files.open(path, 'create');
  try {
    const out = output(file);
    const directory: Buffer[] = [];
    for await (const { input, small } of readAhead(parts, inputs)) {
      const entry =
        small === undefined
          ? await writeLarge(parts, out, file, input as FileInput)
          : await writeSmall(out, input, small);
      directory.push(centralRecord(entry));
    }
    const start = out.position();
    let bytes = 0;
    for (const record of directory) {
      await out.write(record);
      bytes += record.length;
    }
    await out.write(endRecords(directory.length, start, bytes));
    await out.flush();
    await file.setMode(0o644);
    await file.sync();
  } finally {
    await file.close();
  }
}

type FileInput = Extract<ZipInput, { kind: 'file' }>;

interface Parts {
  readonly files: Files;
  readonly zlib: typeof Zlib;
  readonly crc32: Crc32;
  readonly compress: boolean;
}

/** The content of an entry that is at hand. */
interface Small {
  readonly packed: Uint8Array;
  readonly isDeflated: boolean;
  readonly crc32: number;
  readonly sizeBytes: number;
}

/** The inputs in their order, the next ones on their way; `small` undefined: the file is to be streamed. */
async function* readAhead(
  parts: Parts,
  inputs: readonly ZipInput[],
): AsyncGenerator<{ input: ZipInput; small: Small | undefined }> {
  const ahead: { input: ZipInput; small: Promise<Small | undefined> }[] = [];
  const remaining = inputs[Symbol.iterator]();
  try {
    for (;;) {
      while (ahead.length < limits.filesInFlight) {
        const next = remaining.next();
        if (next.done === true) break;
        const small = smallOf(parts, next.value);
        small.catch(() => undefined); // heard when it is its turn
        ahead.push({ input: next.value, small });
      }
      const first = ahead.shift();
      if (first === undefined) return;
      yield { input: first.input, small: await first.small };
    }
  } finally {
    for (const { small } of ahead) await small.catch(() => undefined);
  }
}

async function smallOf(parts: Parts, input: ZipInput): Promise<Small | undefined> {
  switch (input.kind) {
    case 'text':
      return packed(parts, Buffer.from(input.text), parts.compress);
    case 'link':
      return packed(parts, Buffer.from(input.to), false);
    case 'directory':
      return packed(parts, Buffer.alloc(0), false);
    case 'delta': {
      const crc32 = parts.crc32(parts.zlib.inflateRawSync(input.deflated), 0);
      return { packed: input.deflated, isDeflated: true, crc32, sizeBytes: input.sizeBytes };
    }
    case 'file': {
      if (input.sizeBytes > limits.wholeFileBytes) return undefined;
      return packed(parts, await wholeContent(parts.files, input), parts.compress);
    }
    default:
      return input satisfies never;
  }
}

/** An empty file deflated would be two bytes longer. */
async function packed({ zlib, crc32 }: Parts, content: Uint8Array, compress: boolean): Promise<Small> {
  const facts = { crc32: crc32(content, 0), sizeBytes: content.length };
  if (!compress || content.length === 0) return { ...facts, packed: content, isDeflated: false };
  return { ...facts, packed: await deflated(zlib, content), isDeflated: true };
}

/** A few bytes for each block that cannot be packed; zlib takes no less than 64. */
const deflateMostAddedBytes = 64;

/** The same bytes either way. */
async function deflated(zlib: typeof Zlib, content: Uint8Array): Promise<Buffer> {
  if (content.length <= limits.deflateAtOnceBytes) {
    // What comes out fits into one buffer, which is not four times as long as it.
    return zlib.deflateRawSync(content, { chunkSize: content.length + deflateMostAddedBytes });
  }
  return new Promise((resolve, reject) =>
    zlib.deflateRaw(content, (error, result) => (error ? reject(error) : resolve(result))),
  );
}

async function writeSmall(out: Output, input: ZipInput, small: Small): Promise<WrittenEntry> {
  const { isDeflated, crc32, sizeBytes } = small;
  const packedBytes = small.packed.length;
  const entry = { ...namedAs(input), isDeflated, crc32, sizeBytes, packedBytes, start: out.position() };
  await out.write(localHeader(entry), small.packed);
  return entry;
}

/** The header goes before the data when both are known: it is as long whatever they are. */
async function writeLarge(
  { files, zlib, crc32, compress }: Parts,
  out: Output,
  file: OpenFile,
  input: FileInput,
): Promise<WrittenEntry> {
  const start = out.position();
  const unknown = { crc32: 0, packedBytes: 0, sizeBytes: input.sizeBytes, start };
  const named = { ...namedAs(input), isDeflated: compress };
  await out.write(localHeader({ ...named, ...unknown }));
  const dataStart = out.position();
  let crc = 0;
  const content = contentParts(files, input, (chunk) => {
    crc = crc32(chunk, crc);
  });
  if (compress) await deflateInto(out, content, zlib);
  else for await (const chunk of content) await out.write(chunk);
  const entry = { ...named, ...unknown, crc32: crc, packedBytes: out.position() - dataStart };
  await out.flush();
  await file.write(localHeader(entry), start);
  return entry;
}

async function deflateInto(
  out: Output,
  content: AsyncIterable<Uint8Array>,
  zlib: typeof Zlib,
): Promise<void> {
  const deflate = zlib.createDeflateRaw();
  let failure: { readonly reason: unknown } | undefined;
  const feed = async (): Promise<void> => {
    for await (const chunk of content)
      await new Promise<void>((resolve, reject) =>
        deflate.write(chunk, (error) => (error ? reject(error) : resolve())),
      );
    deflate.end();
  };
  const feeding = feed().catch((reason: unknown) => {
    failure = { reason };
    deflate.destroy();
  });
  try {
    for await (const chunk of deflate) await out.write(chunk as Uint8Array);
  } catch (thrown) {
    deflate.destroy(); // a write that waits for room ends, too
    await feeding;
    throw failure === undefined ? thrown : (failure as { readonly reason: unknown }).reason;
  }
}

function namedAs(input: ZipInput): { readonly nameBytes: Buffer; readonly mode: number } {
  switch (input.kind) {
    case 'file':
      return { nameBytes: Buffer.from(input.name), mode: regularFile | (input.mode & modeMask) };
    case 'text':
    case 'delta':
      return { nameBytes: Buffer.from(input.name), mode: regularFile | 0o644 };
    case 'link':
      return { nameBytes: Buffer.from(input.name), mode: symlink | 0o777 };
    case 'directory':
      return { nameBytes: Buffer.from(`${input.name}/`), mode: directory | modeMask };
    default:
      return input satisfies never;
  }
}

interface Output {
  write(...parts: Uint8Array[]): Promise<void>;
  flush(): Promise<void>;
  position(): number;
}

/** Few large writes in place of many small ones. */
function output(file: OpenFile): Output {
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  let written = 0;
  const flush = async (): Promise<void> => {
    if (pendingBytes === 0) return;
    await file.write(Buffer.concat(pending), written);
    written += pendingBytes;
    pending = [];
    pendingBytes = 0;
  };
  return {
    async write(...parts) {
      for (const bytes of parts) {
        pending.push(bytes);
        pendingBytes += bytes.length;
      }
      if (pendingBytes >= limits.writeBufferBytes) await flush();
    },
    flush,
    position: () => written + pendingBytes,
  };
}
