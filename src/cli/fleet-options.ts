/** What the configuration says of a fleet, checked as a whole: which options need each other, and what the files hold. */
import { stat } from 'node:fs/promises';
import { type Config, UsageError } from '../config.ts';
import { packageAddress } from '../download/url-policy.ts';
import { errorText } from '../errors.ts';
import type { FleetOptions } from '../fleet/context.ts';
import { cannotRead, textOfFlag } from './place.ts';

/** Undefined: the device belongs to no fleet. Throws a UsageError that names the option, never any of a token. */
export async function fleetOptionsOf(
  config: Config,
  workDirectory: string,
  version: string,
): Promise<FleetOptions | undefined> {
  const { fleet_url: url, fleet_token_file: tokenFile } = config;
  if (url === undefined) return undefined;
  if (tokenFile === undefined && config.cert_file === undefined)
    throw new UsageError('--fleet-url: needs --fleet-token-file, or --cert-file with --key-file');
  if (tokenFile !== undefined) await checkPrivate(tokenFile);
  checkScheme(url, config.allow_http);
  return {
    url,
    tenant: config.fleet_tenant,
    id: await idOf(config),
    tokenFile,
    tokenKind: config.fleet_token_kind,
    attributes: config.fleet_attributes ?? {},
    asksConsent: config.fleet_soft === 'ask',
    confirms: config.fleet_confirm === 'auto',
    setName: config.fleet_set_name,
    updaterVersion: version,
    deviceType: config.device_type,
    workDirectory,
  };
}

/** The rule of packages: what comes from there is installed. */
function checkScheme(url: string, allowHttp: boolean): void {
  try {
    packageAddress(url, allowHttp);
  } catch (thrown) {
    const why = errorText(thrown).split(': ').at(-1);
    throw new UsageError(`--fleet-url: ${why}`, { cause: thrown });
  }
}

async function idOf({ fleet_id: id, fleet_id_file: file }: Config): Promise<string> {
  if ((id === undefined) === (file === undefined))
    throw new UsageError('--fleet-url: needs one of --fleet-id and --fleet-id-file');
  if (id !== undefined) return id;
  const text = await textOfFlag('--fleet-id-file', file ?? '');
  const [line = ''] = text.split('\n');
  const read = line.replaceAll('\0', '').trim(); // the device tree ends its strings with NUL
  if (!/^[\w.:-]{1,128}$/.test(read))
    throw new UsageError(
      `--fleet-id-file: the first line of ${file} must be 1 to 128 letters, digits, ".", "_", ":" or "-"`,
    );
  return read;
}

async function checkPrivate(path: string): Promise<void> {
  const found = await stat(path).catch((thrown: unknown) => {
    throw new UsageError(cannotRead(path, '--fleet-token-file', thrown));
  });
  if ((found.mode & 0o007) !== 0)
    throw new UsageError(`--fleet-token-file: ${path} can be read or written by others: chmod 600 ${path}`);
}
