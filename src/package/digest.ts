/**
 * Digests of one stream of bytes. That of a long stream is computed on a thread of its own; where two are wanted, only
 * the slower one. node:crypto is loaded at the first use: it costs memory.
 */
import { type DigestName, type DigestStream, isWorthThread, threadDigest } from '../host/digest-thread.ts';
import type { Memory } from '../host/host.ts';

/** MD5, and SHA-256 where it is wanted. */
export interface Digests {
  /** As DigestStream.update. */
  update(bytes: Uint8Array): Promise<void> | undefined;
  /** Lower-case hex; ends the computation. `sha256` is undefined where it was not wanted. */
  finish(): Promise<{ readonly md5: string; readonly sha256: string | undefined }>;
  /** Ends it without a result, after a failure; harmless after finish. */
  abort(): void;
}

/** `expectedBytes`: how many will come, 0 where that is not known. */
export async function newDigests(
  memory: Memory,
  withSha256: boolean,
  expectedBytes: number,
): Promise<Digests> {
  const md5 = await newDigest(memory, 'md5', expectedBytes);
  const sha256 = withSha256 ? await digestHere('sha256') : undefined;
  return {
    update(bytes) {
      const busy = md5.update(bytes);
      sha256?.update(bytes);
      return busy;
    },
    finish: async () => ({ md5: await md5.finish(), sha256: await sha256?.finish() }),
    abort: md5.abort,
  };
}

/** `expectedBytes` as in newDigests. */
export async function newDigest(
  memory: Memory,
  name: DigestName,
  expectedBytes: number,
): Promise<DigestStream> {
  return (await isWorthThread(memory, expectedBytes)) ? threadDigest(memory, name) : digestHere(name);
}

async function digestHere(name: DigestName): Promise<DigestStream> {
  const { createHash } = await import('node:crypto');
  const hash = createHash(name);
  return {
    update(bytes) {
      hash.update(bytes);
      return undefined;
    },
    finish: async () => hash.digest('hex'),
    abort: () => undefined,
  };
}
