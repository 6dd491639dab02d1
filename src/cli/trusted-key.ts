/** Reading `--trust-key`: a key file where there is one of that name, else the key itself. */
import { readFile } from 'node:fs/promises';
import { UsageError } from '../config.ts';
import { errno, errorText } from '../errors.ts';
import { parseTrustedKey, type TrustedKey } from '../package/signature.ts';

/** Throws a UsageError that names the file or the key. */
export async function readTrustedKey(fileOrKey: string): Promise<TrustedKey> {
  const text = await readFile(fileOrKey, 'utf8').catch((thrown: unknown) => {
    if (errno(thrown) === 'ENOENT') return fileOrKey;
    throw new UsageError(`--trust-key: cannot read ${fileOrKey}: ${errno(thrown) ?? String(thrown)}`);
  });
  try {
    return parseTrustedKey(text);
  } catch (thrown) {
    const why = errorText(thrown) + (text === fileOrKey ? ', and there is no file of that name' : '');
    throw new UsageError(`--trust-key: ${why}`, { cause: thrown });
  }
}
