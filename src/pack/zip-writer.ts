/**
 * Writing a package's ZIP with yazl, loaded at the first use: the device never does.
 *
 * Invariant: the bytes depend on names, modes and contents alone. Every time stamp is 1980-02-01 00:00, group and others never may write, and nothing tells the user or machine that packed.
 */
import { Readable } from 'node:stream';
import { UpdateError } from '../errors.ts';
import type { Files } from '../host/host.ts';
import { limits } from '../limits.ts';

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

/**
 * Writes the inputs in their order to `path`, which must not exist. Rejects with the system's error, or with
 * INVALID_PACKAGE where a file's size is not what it was when it was looked at.
 */
export async function writeZip(
  files: Files,
  path: string,
  inputs: readonly ZipInput[],
  compress: boolean,
): Promise<void> {
  const { ZipFile } = await import('yazl');
  const { inflateRawSync } = await import('node:zlib');
  const zip = new ZipFile();
  const output = Readable.from(zip.outputStream, { objectMode: false });
  const fail = (error: Error) => output.destroy(error);
  zip.on('error', fail);
  // Local time, because that is what yazl writes: the fields are the same in every time zone. A month after the first
  // time that ZIP knows, because yazl would cut an earlier one in some zones.
  const common = { mtime: new Date(1980, 1, 1), forceDosTimestamp: true };
  for (const input of inputs) {
    switch (input.kind) {
      case 'text':
        zip.addBuffer(Buffer.from(input.text), input.name, {
          ...common,
          mode: regularFile | 0o644,
          compress,
        });
        break;
      case 'file': {
        const mode = regularFile | (input.mode & modeMask);
        // An empty file deflated is two bytes longer.
        const options = {
          ...common,
          mode,
          size: input.sizeBytes,
          compress: compress && input.sizeBytes > 0,
        };
        zip.addReadStreamLazy(input.name, options, (done) => {
          done(null, Readable.from(contentOf(files, input), { objectMode: false }).once('error', fail));
        });
        break;
      }
      case 'link':
        zip.addBuffer(Buffer.from(input.to), input.name, {
          ...common,
          mode: symlink | 0o777,
          compress: false,
        });
        break;
      case 'delta':
        zip.addReadStreamLazy(
          input.name,
          { ...common, mode: regularFile | 0o644, size: input.sizeBytes, compressionLevel: deltaLevel },
          // One after another: unpacked they are as large as what they make.
          (done) => done(null, Readable.from([inflateRawSync(input.deflated)], { objectMode: false })),
        );
        break;
      case 'directory':
        zip.addEmptyDirectory(input.name, { ...common, mode: directory | modeMask });
        break;
      default:
        input satisfies never;
    }
  }
  zip.end();
  await write(files, path, output);
}

async function* contentOf(
  files: Files,
  { path, sizeBytes }: { path: string; sizeBytes: number },
): AsyncGenerator<Uint8Array> {
  const file = await files.open(path, 'read');
  try {
    for (let position = 0; ; ) {
      const chunk = new Uint8Array(Math.min(limits.chunkBytes, sizeBytes - position + 1));
      const length = await file.read(chunk, 0, chunk.length, position);
      position += length;
      if (position > sizeBytes || (length === 0 && position < sizeBytes))
        throw new UpdateError('INVALID_PACKAGE', `${path} changes while it is packed`);
      if (length === 0) return;
      yield chunk.subarray(0, length);
    }
  } finally {
    await file.close();
  }
}

async function write(files: Files, path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await files.open(path, 'create');
  try {
    let position = 0;
    for await (const chunk of chunks) {
      await file.write(chunk, position);
      position += chunk.length;
    }
    await file.setMode(0o644);
    await file.sync();
  } finally {
    await file.close();
  }
}
