/** The files of TLS that the configuration names: is each of them there? */
import { access, constants } from 'node:fs/promises';
import type { Config } from '../config.ts';
import { errno, errorText } from '../errors.ts';

/** What is wrong, naming option and file; empty: nothing. */
export async function tlsFileFaults(config: Config): Promise<string[]> {
  const faults = (['ca_file', 'cert_file', 'key_file'] as const).map(async (option) => {
    const path = config[option];
    if (path === undefined) return [];
    return await access(path, constants.R_OK).then(
      () => [],
      (thrown: unknown) => [`${option}: ${path} cannot be read: ${errno(thrown) ?? errorText(thrown)}`],
    );
  });
  return (await Promise.all(faults)).flat();
}
