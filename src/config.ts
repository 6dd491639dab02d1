/**
 * The configuration of `run`: one table of key, flag, default, check and doc line, of which help text and documentation are
 * made. Pure. Flags outrank the file, the file the defaults; an unknown key or a bad value is a UsageError that names it.
 */

import * as v from 'valibot';
import { fleetOptions } from './config-fleet.ts';
import {
  absolutePath,
  httpUrl,
  type Option,
  option,
  optional,
  text,
  toggle,
  wholeNumber,
} from './config-option.ts';
import { errorText } from './errors.ts';
import { limits } from './limits.ts';
import { suggestion } from './nearest.ts';

export type { Option, OptionKind } from './config-option.ts';

/** A mistake of whoever started the program: the message says what and where, no stack is of interest. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What the command line gave, by flag name without dashes; a flag that was not given is absent. */
export type Flags = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

const port = wholeNumber(0, 65_535, 'must be a number from 0 to 65535');
const auditLeastS = limits.auditIntervalLeastMs / 1000;
const auditMostS = limits.auditIntervalMostMs / 1000;
const positive = wholeNumber(1, Number.MAX_SAFE_INTEGER, 'must be a whole number greater than 0');

export const options = {
  dir: option('dir DIR', text, '.', 'work directory: state, downloads, logs, backups'),
  host: option('host HOST', text, '127.0.0.1', 'address to listen on'),
  port: option(
    'port PORT',
    port,
    12315,
    'TCP port to listen on; 0 takes a free one. With socket and no port given, there is none',
    'number',
  ),
  socket: optional('socket PATH', absolutePath, 'unix socket to listen on, mode 0660'),
  token_file: optional('token-file FILE', text, 'file with a token that every request must carry'),
  report_url: option(
    'report-url URL',
    httpUrl,
    'http://localhost:9080/api/v1.0/ota/report',
    'where progress is reported to',
  ),
  allow_root: option(
    'allow-root DIR',
    v.pipe(
      v.array(absolutePath, 'must be a list of paths'),
      v.minLength(1, 'must name at least one directory'),
    ),
    ['/opt/tope'],
    'directory that packages may write below; what is given replaces the default, so name /opt/tope, too, if it is to stay',
    'list',
  ),
  allow_http: toggle('allow-http', false, 'packages may come over http from any host'),
  screen_actions: option(
    'screen-actions LIST',
    v.pipe(
      text,
      v.regex(
        /^(none|(rollback|install|cancel|consent)(,(rollback|install|cancel|consent))*)$/,
        'must be none, or some of rollback, install, cancel, consent with commas between',
      ),
    ),
    'rollback',
    "buttons of the page at /, each with a question before it acts: rollback, install, cancel, consent (to what a fleet's server asks), or none",
  ),
  gui: option('gui FILE', absolutePath, '/opt/tope/ota-gui', 'program that shows the progress'),
  log_level: option(
    'log-level LEVEL',
    v.picklist(['debug', 'info', 'warn', 'error'], 'must be debug, info, warn or error'),
    'info',
    'least level that is logged: debug, info, warn or error',
  ),
  log_format: option(
    'log-format FORMAT',
    v.picklist(['text', 'json'], 'must be text or json'),
    'text',
    'form of the log lines: text or json',
  ),
  device_type: optional('device-type NAME', text, 'what this device is, for packages that name devices'),
  trusted_keys: option(
    'trust-key FILE|BASE64',
    v.array(text, 'must be a list of keys'),
    [],
    'minisign public key; with one, only signed packages are taken',
    'list',
  ),
  ca_file: optional(
    'ca-file FILE',
    text,
    'certificates (PEM) trusted for downloads instead of the built-in ones',
  ),
  cert_file: optional('cert-file FILE', text, 'client certificate (PEM) for downloads'),
  key_file: optional('key-file FILE', text, 'private key (PEM) of the client certificate'),
  rate_limit: optional('rate-limit BYTES', positive, 'download speed limit in bytes per second', 'number'),
  download_deadline_s: optional(
    'download-deadline SECONDS',
    positive,
    'a download that takes longer is given up',
    'number',
  ),
  download_wait_s: option(
    'download-wait SECONDS',
    wholeNumber(0, 1_000_000, 'must be a number from 0 to 1000000'),
    limits.networkWaitMs / 1000,
    'a download that a start takes up again waits so long for a network that is late',
    'number',
  ),
  ...fleetOptions,
  adaptive_download: toggle(
    'no-adaptive-download',
    true,
    'packages are fetched whole, even if most of their bytes are on the device already; for URLs that are good for one request only',
  ),
  keep_package: toggle(
    'keep-package',
    false,
    'keeps the package of the installed version, so that `audit --repair` can restore every file of it; takes its size on the disk',
  ),
  audit_interval_s: optional(
    'audit-interval SECONDS',
    wholeNumber(auditLeastS, auditMostS, `must be a number from ${auditLeastS} to ${auditMostS}`),
    `how often the deployed files are compared with what was installed, ${auditLeastS} to ${auditMostS}; never by itself when not given`,
    'number',
  ),
} as const;

/** Where the configuration file is: a flag only, it cannot name itself. */
export const configFlag = 'config';

type Options = typeof options;
export type ConfigKey = keyof Options;
type Checked = {
  readonly [Key in ConfigKey]: v.InferOutput<Options[Key]['schema']> | Options[Key]['initial'];
};
/** Every key of the table with its value. `port` is undefined where only the unix socket is listened on. */
export type Config = Omit<Checked, 'port'> & { readonly port: number | undefined };

/** Makes the configuration. `fileText`: content of the configuration file, undefined without one. */
export function resolveConfig(flags: Flags, fileText: string | undefined): Config {
  const fromFile = fileText === undefined ? {} : parseFile(fileText);
  const entries = Object.entries<Option>(options).map(([key, entry]) => {
    const flag = flags[entry.flag];
    if (flag !== undefined) return [key, check(entry, fromFlag(entry, flag), `--${entry.flag}`)] as const;
    if (Object.hasOwn(fromFile, key))
      return [key, check(entry, fromFile[key], `config file: ${key}`)] as const;
    return [key, undefined] as const;
  });
  return Object.freeze(withDefaults(Object.fromEntries(entries)));
}

function withDefaults(given: Record<string, unknown>): Config {
  const initial = Object.fromEntries(
    Object.entries<Option>(options).map(([key, entry]) => [key, frozen(entry.initial)]),
  );
  // A socket is asked for on devices with several users: the TCP port, open to all of them, must be asked for too.
  if (given.socket !== undefined) initial.port = undefined;
  const all = Object.entries(given).map(([key, value]) => [key, value ?? initial[key]]);
  return Object.fromEntries(all) as Config;
}

function parseFile(fileText: string): Readonly<Record<string, unknown>> {
  let content: unknown;
  try {
    content = JSON.parse(fileText);
  } catch (thrown) {
    const why = errorText(thrown);
    throw new UsageError(`config file: is not JSON: ${why}`, { cause: thrown });
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw new UsageError('config file: must be a JSON object');
  const unknown = Object.keys(content).find((key) => !Object.hasOwn(options, key));
  if (unknown !== undefined)
    throw new UsageError(
      `config file: unknown key ${JSON.stringify(unknown)}${suggestion(unknown, Object.keys(options))}`,
    );
  return content as Readonly<Record<string, unknown>>;
}

/** A number on the command line is a decimal one: no sign, no exponent, no "0x". */
function fromFlag(entry: Option, given: string | boolean | readonly string[]): unknown {
  // A switch that is on by itself has a flag that turns it off.
  if (entry.kind === 'switch' && entry.initial === true) return given !== true;
  if (entry.kind !== 'number' || typeof given !== 'string') return given;
  if (!/^\d{1,16}$/.test(given))
    throw new UsageError(`--${entry.flag}: must be a whole number, not "${given}"`);
  return Number(given);
}

function check(entry: Option, value: unknown, where: string): unknown {
  const result = v.safeParse(entry.schema, value);
  if (result.success) return frozen(result.output);
  const [issue] = result.issues;
  const got = JSON.stringify(value) ?? String(value);
  // A key is not shown: it may be the secret one by mistake.
  const given = entry.flag === options.trusted_keys.flag ? '' : ` (given: ${got.slice(0, 200)})`;
  throw new UsageError(`${where}: ${issue.message}${given}`);
}

function frozen(value: unknown): unknown {
  return Array.isArray(value) ? Object.freeze([...value]) : value;
}
