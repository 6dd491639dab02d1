/**
 * Digests of one stream of bytes, and its seal. The MD5 of a long stream is computed on a thread of its own. node:crypto is
 * imported where it is used: most commands do without it (the daemon loads it at its start, cli/run.ts).
 */
import { type DigestStream, isWorthThread, threadDigest } from '../host/digest-thread.ts';
import type { Memory } from '../host/host.ts';
import { newSealing, type Seal } from '../seal.ts';

/** Of all bytes of a package. Lower-case hex. */
export interface DigestsFound {
  readonly md5: string;
  /** Undefined where it was not wanted. */
  readonly sha256: string | undefined;
  readonly seal: Seal;
}

/** On their way. */
export interface Digests {
  /** As DigestStream.update. */
  update(bytes: Uint8Array): Promise<void> | undefined;
  /** Ends the computation. */
  finish(): Promise<DigestsFound>;
  /** Ends it without a result, after a failure; harmless after finish. */
  abort(): void;
}

/** `expectedBytes`: how many will come; 0 where that is not known, or where no thread shall compute. */
export async function newDigests(
  memory: Memory,
  withSha256: boolean,
  expectedBytes: number,
): Promise<Digests> {
  const md5 = (await isWorthThread(memory, expectedBytes))
    ? threadDigest(memory, 'md5')
    : await digestHere('md5');
  const sha256 = withSha256 ? await digestHere('sha256') : undefined;
  const seal = await newSealing();
  return {
    update(bytes) {
      const busy = md5.update(bytes);
      sha256?.update(bytes);
      seal.update(bytes);
      return busy;
    },
    finish: async () => ({
      md5: await md5.finish(),
      sha256: await sha256?.finish(),
      seal: seal.finish(),
    }),
    abort: md5.abort,
  };
}

async function digestHere(name: 'md5' | 'sha256'): Promise<DigestStream> {
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
