/** The daemon's configuration from its flags and the file that they name: what `run` and `recover` share. */
import { readFile } from 'node:fs/promises';
import { type Config, configFlag, type Flags, resolveConfig, UsageError } from '../config.ts';
import { errno } from '../errors.ts';

/** Throws a UsageError that names the flag or key. */
export async function loadConfig(flags: Flags): Promise<Config> {
  const path = flags[configFlag];
  if (typeof path !== 'string') return resolveConfig(flags, undefined);
  const text = await readFile(path, 'utf8').catch((thrown: unknown) => {
    throw new UsageError(`--${configFlag}: cannot read ${path}: ${errno(thrown) ?? String(thrown)}`);
  });
  return resolveConfig(flags, text);
}
