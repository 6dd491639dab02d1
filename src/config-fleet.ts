/** The options of a fleet: part of the table of config.ts. All are of no effect without `fleet_url`. Pure. */
import * as v from 'valibot';
import { absolutePath, httpUrl, option, optional, text } from './config-option.ts';

const serverUrl = v.pipe(
  httpUrl,
  v.check((url) => /^[^?#]*$/.test(url), 'must have no query and no fragment'),
  v.check(
    (url) => new URL(url).username === '' && new URL(url).password === '',
    'must hold no user and no password',
  ),
);
const serverName = v.pipe(text, v.regex(/^[\w.-]{1,128}$/, 'must be letters, digits, ".", "_" or "-"'));
const deviceId = v.pipe(
  text,
  v.regex(/^[\w.:-]{1,128}$/, 'must be 1 to 128 letters, digits, ".", "_", ":" or "-"'),
);
function isList(given: readonly string[] | Readonly<Record<string, string>>): given is readonly string[] {
  return Array.isArray(given);
}

function arePairs(value: unknown): boolean {
  return Array.isArray(value) && value.every((pair) => typeof pair === 'string' && /^[^=]+=/.test(pair));
}

function isTexts(value: unknown): boolean {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject && Object.values(value).every((text) => typeof text === 'string');
}

/** An object in the file, `KEY=VALUE` on the command line. */
const attributes = v.pipe(
  v.union(
    [v.custom<readonly string[]>(arePairs), v.custom<Readonly<Record<string, string>>>(isTexts)],
    'must be KEY=VALUE, or in the file an object of texts',
  ),
  v.transform((given) =>
    isList(given)
      ? Object.fromEntries(
          given.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
        )
      : given,
  ),
);
export const fleetOptions = {
  fleet_url: optional(
    'fleet-url URL',
    serverUrl,
    'hawkBit server of the fleet that this device belongs to; none when not given (docs/fleet.md)',
  ),
  fleet_tenant: option('fleet-tenant NAME', serverName, 'DEFAULT', 'tenant on the server of the fleet'),
  fleet_id: optional('fleet-id ID', deviceId, 'what this device is called there'),
  fleet_id_file: optional(
    'fleet-id-file FILE',
    text,
    'file whose first line is that id (/etc/machine-id, a serial number)',
  ),
  fleet_token_file: optional(
    'fleet-token-file FILE',
    absolutePath,
    'file with the token that the server asks for; must not be readable for others',
  ),
  fleet_token_kind: option(
    'fleet-token-kind KIND',
    v.picklist(['target', 'gateway'], 'must be target or gateway'),
    'target',
    'whose token that is: of this device (target) or of all (gateway)',
  ),
  fleet_attributes: optional(
    'fleet-attribute KEY=VALUE',
    attributes,
    'told to the server of the fleet with the others',
    'list',
  ),
  fleet_soft: option(
    'fleet-soft HOW',
    v.picklist(['auto', 'ask'], 'must be auto or ask'),
    'auto',
    'what the server leaves to the device to decide: installed by itself (auto), or when somebody says so (ask)',
  ),
  fleet_confirm: option(
    'fleet-confirm HOW',
    v.picklist(['ask', 'auto'], 'must be ask or auto'),
    'ask',
    'questions of the server: answered by somebody (ask), or with yes by the device (auto)',
  ),
  fleet_set_name: optional(
    'fleet-set-name NAME',
    text,
    'name of the distribution sets, so that installs and rollbacks on the device are told to the server',
  ),
} as const;
