/** The daemon's configuration from its flags and the file that they name: what `run` and `recover` share. */
import { type Config, configFlag, type Flags, resolveConfig } from '../config.ts';
import { textOfFlag } from './place.ts';

/** Throws a UsageError that names the flag or key. */
export async function loadConfig(flags: Flags): Promise<Config> {
  const path = flags[configFlag];
  if (typeof path !== 'string') return resolveConfig(flags, undefined);
  return resolveConfig(flags, await textOfFlag(`--${configFlag}`, path));
}
