/** Reading `--token-file`: one line, the token that `Authorization: Bearer` carries. */
import { createReadStream } from 'node:fs';
import { UsageError } from '../config.ts';
import { cannotRead } from './place.ts';

/**
 * The token in a file. Throws a UsageError that names the file, and never any of it, where it cannot be read, is empty, or holds
 * what a header cannot carry as one word (RFC 6750 section 2.1).
 */
export async function readToken(path: string): Promise<string> {
  const text = await beginningOf(path).catch((thrown: unknown) => {
    throw new UsageError(cannotRead(path, '--token-file', thrown));
  });
  if (text.length > tokenBytes)
    throw new UsageError(`--token-file: ${path} holds more than ${tokenBytes} bytes`);
  const token = text.replace(/\r?\n$/, '');
  if (token.trim() === '') throw new UsageError(`--token-file: ${path} is empty`);
  const fault = faults.find(([pattern]) => pattern.test(token));
  if (fault !== undefined)
    throw new UsageError(`--token-file: ${path} holds ${fault[1]}: it must be one word of visible ASCII`);
  return token;
}

/** A device gives bytes without end. */
async function beginningOf(path: string): Promise<string> {
  let text = '';
  for await (const chunk of createReadStream(path, { encoding: 'latin1', end: tokenBytes })) text += chunk;
  return Buffer.from(text, 'latin1').toString('utf8');
}

const tokenBytes = 4096;

const faults: readonly (readonly [RegExp, string])[] = [
  [/[\r\n]/, 'more than one line'],
  [/[ \t]/, 'blanks'],
  [/\p{Cc}/u, 'control characters'],
  [/[^!-~]/, 'characters that are not ASCII'],
];
