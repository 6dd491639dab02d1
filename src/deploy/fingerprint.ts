/**
 * What tells later whether a file holds the bytes it was deployed with: their SHA-256 where the package declares it, and of
 * small files, else a seal, which takes a seventh of the time (seal.ts) but as long to begin as the SHA-256 of 16 KiB.
 */
import type * as Crypto from 'node:crypto';
import { limits } from '../limits.ts';
import { type Seal, sealingWith } from '../seal.ts';
import type { TextDigest } from '../text-digest.ts';

export type Fingerprint =
  | { readonly sha256: string; readonly seal?: undefined }
  | { readonly seal: Seal; readonly sha256?: undefined };

export interface Fingerprinting {
  update(bytes: Uint8Array): void;
  /** Ends the computation. */
  finish(): Fingerprint;
}

/** Begins one of a file of `sizeBytes`, of the kind and key of `wanted` to compare with, or a new one. `crypto`: loaded once for all files. */
export function newFingerprinting(
  crypto: typeof Crypto,
  sizeBytes: number,
  wanted?: Fingerprint,
  sealFromBytes: number = limits.sealFromBytes,
): Fingerprinting {
  const isSealed = wanted === undefined ? sizeBytes >= sealFromBytes : wanted.sha256 === undefined;
  if (isSealed) {
    const sealing = sealingWith(crypto, wanted?.seal?.key);
    return { update: sealing.update, finish: () => ({ seal: sealing.finish() }) };
  }
  const hash = crypto.createHash('sha256');
  return { update: (bytes) => void hash.update(bytes), finish: () => ({ sha256: hash.digest('hex') }) };
}

/** One of bytes that are all at hand. `digest`: SHA-256, at once. */
export function fingerprintOf(
  crypto: typeof Crypto,
  digest: TextDigest,
  bytes: Uint8Array,
  wanted?: Fingerprint,
  sealFromBytes: number = limits.sealFromBytes,
): Fingerprint {
  const isSealed = wanted === undefined ? bytes.length >= sealFromBytes : wanted.sha256 === undefined;
  if (!isSealed) return { sha256: digest(bytes) };
  const fingerprinting = newFingerprinting(crypto, bytes.length, wanted, sealFromBytes);
  fingerprinting.update(bytes);
  return fingerprinting.finish();
}

/** Of the same bytes, for two that were made to be compared. */
export function isSame(found: Fingerprint, wanted: Fingerprint): boolean {
  return found.sha256 === wanted.sha256 && found.seal?.tag === wanted.seal?.tag;
}
