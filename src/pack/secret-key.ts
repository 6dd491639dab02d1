/**
 * Signing as minisign does (https://jedisct1.github.io/minisign/), with a secret key file that minisign made:
 *
 *     untrusted comment line
 *     base64( "Ed" | kdf (2): "Sc" or 0 0 | "B2" | salt (32) | opslimit u64le | memlimit u64le | secret (104) )
 *     secret: key id (8) | Ed25519 seed (32) | Ed25519 public key (32) | BLAKE2b-256 checksum (32)
 *
 * With kdf "Sc" the secret is XORed with scrypt(password, salt). Node has no BLAKE2b-256; that the password was right is
 * seen from the public key instead, which must be the one that the seed gives.
 */
import type { KeyObject } from 'node:crypto';
import { UpdateError } from '../errors.ts';

export interface SigningKey {
  /** The base64 line of the public key, as `--trust-key` takes it. */
  readonly publicKey: string;
  /** The text of a .minisig file. The same input gives the same text. */
  sign(content: Uint8Array, trustedComment: string): Promise<string>;
}

const keyBytes = 158;
const secretBytes = 104;

/** Opens a secret key file's text. `askPassword`: for an encrypted one. Throws VALIDATION_ERROR for no such key, or a wrong password. */
export async function openSecretKey(text: string, askPassword: () => Promise<string>): Promise<SigningKey> {
  const bytes = decoded(text);
  const kdf = bytes.subarray(2, 4).toString('latin1');
  const stored = bytes.subarray(54);
  if (kdf === '\0\0') return signingKey(stored, 'the key file is damaged');
  const stream = await scryptStream(await askPassword(), bytes);
  return signingKey(
    stored.map((byte, index) => byte ^ (stream[index] ?? 0)),
    'wrong password',
  );
}

function decoded(text: string): Buffer {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('untrusted comment:'));
  const bytes = Buffer.from(lines[0] ?? '', 'base64');
  const kdf = bytes.toString('latin1', 2, 4);
  const isKey =
    lines.length === 1 &&
    bytes.length === keyBytes &&
    bytes.toString('latin1', 0, 2) === 'Ed' &&
    bytes.toString('latin1', 4, 6) === 'B2' &&
    (kdf === 'Sc' || kdf === '\0\0');
  if (!isKey) throw refusal(`it is not a minisign secret key${isPublic(bytes) ? ' but the public one' : ''}`);
  return bytes;
}

function isPublic(bytes: Buffer): boolean {
  return bytes.length === 42 && bytes.toString('latin1', 0, 2) === 'Ed';
}

async function scryptStream(password: string, bytes: Buffer): Promise<Buffer> {
  const cost = scryptCost(bytes.readBigUInt64LE(38), bytes.readBigUInt64LE(46));
  const { scrypt } = await import('node:crypto');
  return new Promise((resolve, reject) => {
    scrypt(password, bytes.subarray(6, 38), secretBytes, cost, (error, derived) => {
      if (error === null) resolve(derived);
      else reject(error);
    });
  });
}

/** libsodium's choice of N and p (pickparams), r being 8. minisign's limits give N = 2^20, p = 1: one gibibyte of memory for some seconds. */
export function scryptCost(opsLimit: bigint, memLimit: bigint) {
  const r = 8;
  const ops = opsLimit < 32_768n ? 32_768n : opsLimit;
  const isShortOfOps = ops < memLimit / 32n;
  const maxN = isShortOfOps ? ops / BigInt(r * 4) : memLimit / BigInt(r * 128);
  let log2N = 1;
  while (log2N < 63 && 1n << BigInt(log2N) <= maxN / 2n) log2N++;
  const rounds = (ops / 4n) >> BigInt(log2N);
  const p = isShortOfOps ? 1 : Number((rounds < 0x3fff_ffffn ? rounds : 0x3fff_ffffn) / BigInt(r));
  if (log2N > 22) throw refusal(`it asks for scrypt with N = 2^${log2N}, more than 2^22`);
  const N = 2 ** log2N;
  return { N, r, p, maxmem: 128 * r * (N + p + 2) };
}

async function signingKey(secret: Uint8Array, whatIsWrong: string): Promise<SigningKey> {
  const id = secret.subarray(0, 8);
  const seed = Buffer.from(secret.subarray(8, 40));
  const publicHalf = Buffer.from(secret.subarray(40, 72));
  const { createPrivateKey, createPublicKey } = await import('node:crypto');
  // PKCS #8 of an Ed25519 seed (RFC 8410 section 7).
  const prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
  const key = createPrivateKey({ key: Buffer.concat([prefix, seed]), format: 'der', type: 'pkcs8' });
  const derived = Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url');
  if (!derived.equals(publicHalf)) throw refusal(whatIsWrong);
  return {
    publicKey: Buffer.concat([Buffer.from('Ed'), id, derived]).toString('base64'),
    sign: (content, trustedComment) => minisigText(key, id, content, trustedComment),
  };
}

/** The format is told in src/package/signature.ts, which reads it. */
async function minisigText(
  key: KeyObject,
  id: Uint8Array,
  content: Uint8Array,
  trustedComment: string,
): Promise<string> {
  const { createHash, sign } = await import('node:crypto');
  const signature = sign(null, createHash('blake2b512').update(content).digest(), key);
  const global = sign(null, Buffer.concat([signature, Buffer.from(trustedComment)]), key);
  return [
    'untrusted comment: signature of manifest.json',
    Buffer.concat([Buffer.from('ED'), id, signature]).toString('base64'),
    `trusted comment: ${trustedComment}`,
    global.toString('base64'),
    '',
  ].join('\n');
}

function refusal(text: string): UpdateError {
  return new UpdateError('VALIDATION_ERROR', `secret key: ${text}`);
}
