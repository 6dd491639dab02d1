/** Whether the bytes that come for a staged file are those that its step names: size, MD5 and fingerprint. */
import type * as Crypto from 'node:crypto';
import { UpdateError } from '../errors.ts';
import type { PackedMap } from '../packed-list.ts';
import type { TextDigest } from '../text-digest.ts';
import { type Fingerprint, fingerprintOf, isSame, newFingerprinting } from './fingerprint.ts';
import type { PutStep } from './plan.ts';

export interface CheckParts {
  readonly crypto: typeof Crypto;
  readonly digest: TextDigest;
  /** See Fingerprint. */
  readonly sealFromBytes: number;
  /** Get those that the plan does not tell. */
  readonly fingerprints: Pick<PackedMap<Fingerprint>, 'set'>;
}

export interface Check {
  update(chunk: Uint8Array): void;
  /** Throws what is wrong with them; else their fingerprint is noted. */
  finish(foundBytes: number): void;
}

/** Checks what comes in parts. */
export function newCheck(parts: CheckParts, step: PutStep): Check {
  const { crypto, sealFromBytes } = parts;
  const md5 = step.md5 === null ? undefined : crypto.createHash('md5');
  const fingerprinting = newFingerprinting(crypto, step.sizeBytes, wantedOf(step), sealFromBytes);
  return {
    update(chunk) {
      md5?.update(chunk);
      fingerprinting.update(chunk);
    },
    finish(foundBytes) {
      checkSize(step, foundBytes);
      checkMd5(step, md5);
      note(parts, step, fingerprinting.finish());
    },
  };
}

/** Checks what is all at hand. Throws and notes as the finish of a Check. */
export function checkWhole(parts: CheckParts, step: PutStep, content: Uint8Array): void {
  const { crypto, digest, sealFromBytes } = parts;
  checkSize(step, content.length);
  checkMd5(step, step.md5 === null ? undefined : crypto.createHash('md5').update(content));
  note(parts, step, fingerprintOf(crypto, digest, content, wantedOf(step), sealFromBytes));
}

/** Throws SIZE_MISMATCH. */
export function checkSize({ source, sizeBytes }: PutStep, foundBytes: number): void {
  if (foundBytes === sizeBytes) return;
  throw new UpdateError('SIZE_MISMATCH', `${source}: ${sizeBytes} bytes expected, ${foundBytes} found`);
}

function checkMd5({ source, md5 }: PutStep, hash: Crypto.Hash | undefined): void {
  const found = hash?.digest('hex') ?? null;
  if (found !== md5) throw mismatch('MD5_MISMATCH', source, md5, found);
}

function note({ fingerprints }: CheckParts, step: PutStep, found: Fingerprint): void {
  const wanted = wantedOf(step);
  if (wanted !== undefined && !isSame(found, wanted)) {
    if (wanted.sha256 !== undefined)
      throw mismatch('SHA256_MISMATCH', step.source, wanted.sha256, found.sha256);
    throw new UpdateError('DEPLOYMENT_FAILED', `${step.source}: not the bytes that were deployed`);
  }
  if (step.sha256 === null) fingerprints.set(step.target, found);
}

function wantedOf({ sha256, seal }: PutStep): Fingerprint | undefined {
  if (sha256 !== null) return { sha256 };
  return seal && { seal };
}

function mismatch(
  code: 'MD5_MISMATCH' | 'SHA256_MISMATCH',
  source: string,
  expected: string | null,
  found: string | null | undefined,
): UpdateError {
  return new UpdateError(code, `${source}: ${expected} expected, ${found} found`);
}
