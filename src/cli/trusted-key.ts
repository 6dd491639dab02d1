/** Reading `--trust-key`: a key file where there is one of that name, else the key itself. */
import { readFile } from 'node:fs/promises';
import { UsageError } from '../config.ts';
import { errno, errorText } from '../errors.ts';
import { parseTrustedKey, type TrustedKey } from '../package/signature.ts';

/** A public key has 56 characters, a secret one 212. */
const longestShown = 100;

/** Throws a UsageError that names the file, and never any of its content: it may be the secret key by mistake. */
export async function readTrustedKey(fileOrKey: string): Promise<TrustedKey> {
  const place = fileOrKey.length > longestShown ? 'a key given as text' : fileOrKey;
  const text = await readFile(fileOrKey, 'utf8').catch((thrown: unknown) => {
    if (['ENOENT', 'ENAMETOOLONG'].includes(errno(thrown) ?? '')) return undefined;
    throw new UsageError(`--trust-key: cannot read ${place}: ${errno(thrown) ?? 'it has no file name'}`);
  });
  try {
    return parseTrustedKey(text ?? fileOrKey);
  } catch (thrown) {
    const why = errorText(thrown).replace('VALIDATION_ERROR: ', '');
    const where = text === undefined ? ' (there is no file of that name)' : '';
    throw new UsageError(`--trust-key ${place}: ${why}${where}`, { cause: thrown });
  }
}
