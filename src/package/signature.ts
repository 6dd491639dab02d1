/**
 * Signatures of minisign (https://jedisct1.github.io/minisign/): who vouches for a manifest, and so for every file
 * whose digest it carries.
 *
 *     public key:   [untrusted comment line] base64( "Ed" | key id (8) | Ed25519 public key (32) )
 *     signature:    untrusted comment line
 *                   base64( algorithm (2) | key id (8) | Ed25519 signature (64) )
 *                   "trusted comment: " text
 *                   base64( Ed25519 signature (64) of the signature above followed by the trusted comment )
 *
 * Algorithm "Ed" signs the file, "ED" its BLAKE2b-512 digest. Secret keys are no business of a device: nothing here
 * can sign.
 */
import { UpdateError } from '../errors.ts';
import { printable } from './path-fault.ts';

export interface TrustedKey {
  /** As minisign prints it: upper-case hexadecimal digits without leading zeros. */
  readonly id: string;
  readonly publicKey: Uint8Array;
}

/** A good signature: whose, and what its signer wrote into the trusted comment (printable). */
export interface Signed {
  readonly keyId: string;
  readonly trustedComment: string;
}

const commentPrefix = 'trusted comment: ';

/** How the base64 of a secret key begins: "Ed", the key derivation ("Sc" or two zeros), "B2". */
const secretKeyLine = /RW(?:RTY0|QAAE)Iy/;

/** Reads a public key: its base64 line, or the text of a file that minisign wrote. Throws VALIDATION_ERROR, which never quotes the text: it may be a secret. */
export function parseTrustedKey(text: string): TrustedKey {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('untrusted comment:'));
  const bytes = lines.length === 1 ? fromBase64(lines[0], 42) : undefined;
  if (bytes === undefined || bytes.toString('latin1', 0, 2) !== 'Ed')
    throw new UpdateError(
      'VALIDATION_ERROR',
      secretKeyLine.test(text)
        ? 'it is a minisign SECRET key: give the public one (.pub). A secret key must not be on a device: where this one was, it is known, so make a new pair'
        : 'it is not a minisign public key',
    );
  return { id: keyId(bytes.subarray(2, 10)), publicKey: bytes.subarray(10) };
}

/** Checks that one of `keys` signed the manifest, trusted comment included. Throws SIGNATURE_INVALID. `minisig`: undefined: there is none. */
export async function verifyManifestSignature(
  manifest: Uint8Array,
  minisig: Uint8Array | undefined,
  keys: readonly TrustedKey[],
): Promise<Signed> {
  if (minisig === undefined) throw refusal('the package is not signed (it has no manifest.json.minisig)');
  const { algorithm, id, signature, trustedComment, globalSignature } = parseSignature(minisig);
  const key = keys.find((candidate) => candidate.id === id);
  if (key === undefined)
    throw refusal(
      `signed with key ${id}, which is not trusted (trusted: ${keys.map((k) => k.id).join(', ')})`,
    );
  const { createHash, createPublicKey, verify } = await import('node:crypto');
  const publicKey = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(key.publicKey).toString('base64url') },
    format: 'jwk',
  });
  const signed = algorithm === 'Ed' ? manifest : createHash('blake2b512').update(manifest).digest();
  if (!verify(null, signed, publicKey, signature))
    throw refusal(`the signature of key ${id} does not fit manifest.json: one of them was changed`);
  if (!verify(null, Buffer.concat([signature, trustedComment]), publicKey, globalSignature))
    throw refusal(`the trusted comment was changed after key ${id} signed it`);
  return { keyId: id, trustedComment: printable(trustedComment.toString('utf8')) };
}

export function refusal(text: string): UpdateError {
  return new UpdateError('SIGNATURE_INVALID', text);
}

function parseSignature(minisig: Uint8Array) {
  // latin1 keeps every byte of the trusted comment, whatever its encoding.
  const lines = Buffer.from(minisig).toString('latin1').split('\n');
  const [untrusted, first, comment, second, ...rest] = lines.map((line) => line.replace(/\r+$/, ''));
  if (untrusted?.startsWith('untrusted comment: ') !== true || rest.some((line) => line !== ''))
    throw refusal('manifest.json.minisig is not a minisign signature');
  const bytes = fromBase64(first, 74);
  const algorithm = bytes?.toString('latin1', 0, 2);
  if (bytes === undefined || (algorithm !== 'Ed' && algorithm !== 'ED'))
    throw refusal('manifest.json.minisig: the second line is not an Ed25519 signature');
  if (comment?.startsWith(commentPrefix) !== true)
    throw refusal('manifest.json.minisig: the third line is not a trusted comment');
  const globalSignature = fromBase64(second, 64);
  if (globalSignature === undefined)
    throw refusal('manifest.json.minisig: the fourth line is not an Ed25519 signature');
  return {
    algorithm,
    id: keyId(bytes.subarray(2, 10)),
    signature: bytes.subarray(10),
    trustedComment: Buffer.from(comment.slice(commentPrefix.length), 'latin1'),
    globalSignature,
  };
}

/** Exactly `length` bytes in canonical base64, or undefined. */
function fromBase64(text: string | undefined, length: number): Buffer | undefined {
  const bytes = Buffer.from(text ?? '', 'base64');
  return bytes.length === length && bytes.toString('base64') === text ? bytes : undefined;
}

/** The id is a little-endian number, and minisign prints it as one. */
function keyId(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .reverse()
    .toString('hex')
    .toUpperCase()
    .replace(/^0+(?=.)/, '');
}
