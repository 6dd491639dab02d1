/**
 * Whose settings the doctor looks at: those of the daemon that runs on this machine, else those that its flags give.
 *
 * The daemon is found in /proc by its command line, so that a configuration by systemd, by an init script or by hand is
 * seen alike.
 */
import { readFile } from 'node:fs/promises';
import { hostname as machineName, networkInterfaces } from 'node:os';
import { basename, resolve } from 'node:path';
import { type Config, configFlag, type Flags, options, resolveConfig } from '../config.ts';
import type { Processes } from '../host/host.ts';
import { parseArguments } from './arguments.ts';
import { usualWorkDirectory } from './target-rules.ts';

export interface DoctorTarget {
  readonly config: Config;
  readonly workDirectory: string;
  /** Undefined where no daemon runs, or where it is not ours to look at. */
  readonly daemonPid: number | undefined;
  /** The daemon asked for with --url where it is not the one whose settings these are; undefined: it is. */
  readonly elsewhere: string | undefined;
}

const tokenFlag = options.token_file.flag;

/** Throws a UsageError for a configuration that the daemon would refuse too. */
export async function doctorTarget(flags: Flags, processes: Processes): Promise<DoctorTarget> {
  const own = Object.fromEntries(
    [...Object.values(options), { flag: configFlag }].map(({ flag }) => [flag, flags[flag]]),
  );
  // The token alone describes no daemon: whoever asks one with --url may need it.
  const token = given({ [tokenFlag]: own[tokenFlag] });
  const isAsked = Object.entries(own).some(([flag, value]) => flag !== tokenFlag && value !== undefined);
  const daemon = await runningDaemon(processes);
  if (isAsked || daemon === undefined) {
    const config = await readConfig({ dir: usualWorkDirectory, ...given(own) }, process.cwd());
    return {
      config,
      workDirectory: resolve(config.dir),
      daemonPid: daemon?.pid,
      elsewhere: isAsked ? undefined : elsewhere(flags, config),
    };
  }
  const config = await readConfig({ ...daemon.flags, ...token }, daemon.cwd);
  return {
    config,
    workDirectory: resolve(daemon.cwd, config.dir),
    daemonPid: daemon.pid,
    elsewhere: elsewhere(flags, config),
  };
}

/** `--url` where no daemon of this configuration listens. */
function elsewhere({ url }: Flags, config: Config): string | undefined {
  if (typeof url !== 'string' || !URL.canParse(url)) return undefined;
  const { hostname, port, protocol } = new URL(url);
  const addresses = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  const isHere =
    [config.host, 'localhost', machineName()].includes(hostname) ||
    addresses.some(({ address }) => address === hostname.replace(/^\[|\]$/g, ''));
  const asked = Number(port === '' ? { 'http:': 80, 'https:': 443 }[protocol] : port);
  const isItsPort = config.port === 0 || config.port === asked;
  return isHere && isItsPort ? undefined : url;
}

function given(flags: Flags): Flags {
  return Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
}

async function readConfig(flags: Flags, cwd: string): Promise<Config> {
  const path = flags[configFlag];
  const { [configFlag]: _, ...rest } = flags;
  return resolveConfig(
    rest,
    typeof path === 'string' ? await readFile(resolve(cwd, path), 'utf8') : undefined,
  );
}

/** The first process whose command line is `... tope-updater* run FLAGS`. */
async function runningDaemon(
  processes: Processes,
): Promise<{ pid: number; cwd: string; flags: Flags } | undefined> {
  for (const pid of await processes.list()) {
    const argv = (await processes.read(pid, 'cmdline'))?.split('\0').slice(0, -1) ?? [];
    const at = argv.findIndex((word) => basename(word).startsWith('tope-updater'));
    const cwd = await processes.readLink(pid, 'cwd');
    if (at === -1 || at > 1 || argv[at + 1] !== 'run' || cwd === undefined) continue;
    const invocation = parseArguments(argv.slice(at + 1));
    if (invocation.kind === 'command') return { pid, cwd, flags: invocation.flags };
  }
  return undefined;
}
