/**
 * What tells later whether a file still holds the bytes it was deployed with: their SHA-256 where the package declares it
 * and it has to be computed anyway, else a seal, which takes a seventh of the time and serves as well (seal.ts).
 */
import { newSealing, type Seal } from '../seal.ts';

export type Fingerprint =
  | { readonly sha256: string; readonly seal?: undefined }
  | { readonly seal: Seal; readonly sha256?: undefined };

export interface Fingerprinting {
  update(bytes: Uint8Array): void;
  /** Ends the computation. */
  finish(): Fingerprint;
}

/** Begins one to compare with `wanted`: of its kind, and under its key. Without `wanted` it is a new seal. */
export async function newFingerprinting(wanted?: Fingerprint): Promise<Fingerprinting> {
  if (wanted?.sha256 === undefined) {
    const sealing = await newSealing(wanted?.seal.key);
    return { update: sealing.update, finish: () => ({ seal: sealing.finish() }) };
  }
  const { createHash } = await import('node:crypto');
  const hash = createHash('sha256');
  return { update: (bytes) => void hash.update(bytes), finish: () => ({ sha256: hash.digest('hex') }) };
}

/** Of the same bytes, for two that were made to be compared. */
export function isSame(found: Fingerprint, wanted: Fingerprint): boolean {
  return found.sha256 === wanted.sha256 && found.seal?.tag === wanted.seal?.tag;
}
