/** Size and digests of the files that are packed: small ones many at a time, as most of a tree's time is waiting for them. */
import { hashPackage } from '../download/verify.ts';
import { asUpdateError } from '../errors.ts';
import { readWhole } from '../host/durable-file.ts';
import type { Host } from '../host/host.ts';
import { forEachInFlight } from '../host/in-flight.ts';
import { limits } from '../limits.ts';
import type { FileFacts } from './manifest-source.ts';
import type { SourceFile } from './sources.ts';

/** By the name in the package, in the order of `files`. Throws DOWNLOAD_FAILED naming a file that cannot be read. */
export async function factsOf(
  host: Pick<Host, 'files' | 'memory'>,
  files: readonly SourceFile[],
): Promise<Map<string, FileFacts>> {
  const { createHash } = await import('node:crypto');
  const facts = new Map<string, FileFacts>();
  for (const { entry } of files) facts.set(entry, { sizeBytes: 0, md5: '', sha256: '' }); // keeps the order
  await forEachInFlight(files, limits.filesInFlight, async ({ entry, path, sizeBytes }) => {
    const isSmall = sizeBytes <= limits.wholeFileBytes;
    facts.set(entry, isSmall ? await factsOfSmall(path) : await factsOfLarge(host, path));
  });
  return facts;

  async function factsOfSmall(path: string): Promise<FileFacts> {
    const bytes = await readWhole(host.files, path, limits.wholeFileBytes).catch((thrown: unknown) => {
      throw asUpdateError(thrown, 'DOWNLOAD_FAILED', `read ${path}`);
    });
    // What is gone since, or has grown, is told when it is written.
    const content = bytes ?? new Uint8Array();
    const digest = (name: 'md5' | 'sha256') => createHash(name).update(content).digest('hex');
    return { sizeBytes: content.length, md5: digest('md5'), sha256: digest('sha256') };
  }
}

async function factsOfLarge(host: Pick<Host, 'files' | 'memory'>, path: string): Promise<FileFacts> {
  const { sizeBytes, md5, sha256 } = await hashPackage(host, path, true, new AbortController().signal);
  if (sha256 === undefined) throw new Error('a digest that was asked for is missing');
  return { sizeBytes, md5, sha256 };
}
