/** What a command is told to read: where it really is, and the text in it; what cannot be read is an error that names it. */
import type { Stats } from 'node:fs';
import { readFile, realpath, stat } from 'node:fs/promises';
import { UsageError } from '../config.ts';
import { errno, errorText } from '../errors.ts';
import { CommandError } from './failure.ts';

/** Every symlink followed. Throws a CommandError. `flag`: the one that names it, as `--against`. */
export async function placeAt(given: string, flag?: string): Promise<{ path: string; found: Stats }> {
  try {
    const path = await realpath(given);
    return { path, found: await stat(path) };
  } catch (thrown) {
    throw new CommandError(cannotRead(given, flag, thrown));
  }
}

/** The text of the file that `flag` names. Throws a UsageError. */
export async function textOfFlag(flag: string, path: string): Promise<string> {
  return readFile(path, 'utf8').catch((thrown: unknown) => {
    throw new UsageError(cannotRead(path, flag, thrown));
  });
}

export function cannotRead(path: string, flag: string | undefined, thrown: unknown): string {
  const system = errno(thrown);
  const why = system === 'ENOENT' ? 'there is no such file or folder' : (system ?? errorText(thrown));
  return `${flag === undefined ? '' : `${flag}: `}cannot read ${path}: ${why}`;
}
