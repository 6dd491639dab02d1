/**
 * The end of a package, kept beside its partial file as `NAME.tail` while it is downloaded: a resume needs it again.
 *
 * No sync: what a power cut takes is asked for again, and what it tears is known by its sum.
 */
import * as v from 'valibot';
import { readWhole, writeWhole } from '../host/durable-file.ts';
import type { Files } from '../host/host.ts';
import { limits } from '../limits.ts';
import { fastestCrc32 } from '../zip/crc32.ts';
import type { PackageRequest } from './request.ts';

const HeadSchema = v.object({ md5: v.string(), size: v.number(), crc32: v.number() });

export function tailName(request: Pick<PackageRequest, 'package_name'>): string {
  return `${request.package_name}.tail`;
}

export async function saveTail(
  files: Files,
  path: string,
  request: PackageRequest,
  tail: Buffer,
): Promise<void> {
  const crc32 = await sumOf(tail);
  const head = { md5: request.package_md5, size: request.package_size, crc32 };
  await writeWhole(files, path, Buffer.from(`${JSON.stringify(head)}\n`), tail);
}

/** Undefined where there is none, or none of this package. */
export async function loadTail(
  files: Files,
  path: string,
  request: PackageRequest,
): Promise<Buffer | undefined> {
  const bytes = await readWhole(files, path, limits.tailMostBytes + limits.chunkBytes).catch(() => undefined);
  if (bytes === undefined) return undefined;
  const content = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = content.indexOf(0x0a);
  try {
    const head = v.parse(HeadSchema, JSON.parse(content.toString('utf8', 0, Math.max(0, end))));
    const tail = content.subarray(end + 1);
    const isOurs = head.md5 === request.package_md5 && head.size === request.package_size;
    return isOurs && head.crc32 === (await sumOf(tail)) ? tail : undefined;
  } catch {
    return undefined;
  }
}

async function sumOf(bytes: Uint8Array): Promise<number> {
  return fastestCrc32(await import('node:zlib'))(bytes, 0);
}
