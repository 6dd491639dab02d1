/**
 * Whose settings the doctor looks at: those of the daemon of this machine, found in /proc by its command line whoever has
 * started it; else those of the flags.
 */
import { readFile, stat } from 'node:fs/promises';
import { hostname as machineName, networkInterfaces } from 'node:os';
import { basename, resolve } from 'node:path';
import { type Config, configFlag, type Flags, options, resolveConfig } from '../config.ts';
import type { Processes } from '../host/host.ts';
import { parseArguments } from './arguments.ts';
import { usualWorkDirectory } from './target-rules.ts';

export interface DoctorTarget {
  readonly config: Config;
  readonly workDirectory: string;
  /** Absolute; undefined: there is no configuration file. */
  readonly configPath: string | undefined;
  /** Undefined where no daemon runs, or where it is not ours to look at. */
  readonly daemonPid: number | undefined;
  /** The daemon asked for with --url where it is not the one whose settings these are; undefined: it is. */
  readonly elsewhere: string | undefined;
}

const tokenFlag = options.token_file.flag;

/** Throws a UsageError for a configuration that the daemon would refuse too. */
export async function doctorTarget(
  flags: Flags,
  processes: Processes,
  optionsPath = '/etc/default/tope-updater',
): Promise<DoctorTarget> {
  const own = Object.fromEntries(
    [...Object.values(options), { flag: configFlag }].map(({ flag }) => [flag, flags[flag]]),
  );
  // The token alone describes no daemon: whoever asks one with --url may need it.
  const token = given({ [tokenFlag]: own[tokenFlag] });
  const isAsked = Object.entries(own).some(([flag, value]) => flag !== tokenFlag && value !== undefined);
  const daemon = await runningDaemon(processes);
  if (isAsked || daemon === undefined) {
    // The unit and the init script start it in that directory, with the options of that file.
    const cwd = isAsked ? process.cwd() : usualWorkDirectory;
    const written = isAsked ? own : { ...(await writtenOptions(optionsPath)), ...token };
    const config = await readConfig({ dir: usualWorkDirectory, ...given(written) }, cwd);
    return {
      config,
      workDirectory: resolve(cwd, config.dir),
      configPath: configPathOf(written, cwd),
      daemonPid: daemon?.pid,
      elsewhere: isAsked ? undefined : elsewhere(flags, config),
    };
  }
  const config = await readConfig({ ...daemon.flags, ...token }, daemon.cwd);
  return {
    config,
    workDirectory: resolve(daemon.cwd, config.dir),
    configPath: configPathOf(daemon.flags, daemon.cwd),
    daemonPid: daemon.pid,
    elsewhere: elsewhere(flags, config),
  };
}

/** What TOPE_UPDATER_OPTIONS says; nothing without such a file. Throws a UsageError where the daemon would. */
async function writtenOptions(path: string): Promise<Flags> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const [, quote = '', value = ''] = /^\s*TOPE_UPDATER_OPTIONS=(["']?)(.*)\1\s*$/m.exec(text) ?? [];
  const words = (quote === '' ? value.replace(/\s#.*/, '') : value)
    .split(/\s+/)
    .filter((word) => word !== '');
  const invocation = parseArguments(['run', ...words]);
  return invocation.kind === 'command' ? invocation.flags : {};
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

function configPathOf(flags: Flags, cwd: string): string | undefined {
  const path = flags[configFlag];
  return typeof path === 'string' ? resolve(cwd, path) : undefined;
}

async function readConfig(flags: Flags, cwd: string): Promise<Config> {
  const path = configPathOf(flags, cwd);
  const { [configFlag]: _, ...rest } = flags;
  return resolveConfig(rest, path === undefined ? undefined : await readFile(path, 'utf8'));
}

/** The first `... tope-updater* run FLAGS` that only who may run the daemon can have started: root reads its files and sends its token. */
async function runningDaemon(
  processes: Processes,
): Promise<{ pid: number; cwd: string; flags: Flags } | undefined> {
  for (const pid of await processes.list()) {
    if (pid === process.pid) continue;
    const argv = (await processes.read(pid, 'cmdline'))?.split('\0').slice(0, -1) ?? [];
    const at = argv.findIndex((word) => basename(word).startsWith('tope-updater'));
    const cwd = await processes.readLink(pid, 'cwd');
    if (at === -1 || at > 1 || argv[at + 1] !== 'run' || cwd === undefined) continue;
    if (!(await isTrusted(processes, pid))) continue;
    const invocation = parseArguments(argv.slice(at + 1));
    if (invocation.kind === 'command') return { pid, cwd, flags: invocation.flags };
  }
  return undefined;
}

/** True for a process of our own user in all its ids, without set-user-id program: such a one anybody may have started, with any arguments. */
async function isTrusted(processes: Processes, pid: number): Promise<boolean> {
  const ids = /^Uid:\s+([\d\s]+)$/m
    .exec((await processes.read(pid, 'status')) ?? '')?.[1]
    ?.trim()
    .split(/\s+/);
  if (ids === undefined || ids.some((id) => Number(id) !== process.geteuid?.())) return false;
  // The link itself, not where it points: its file may have been replaced by an update.
  const program = await stat(`/proc/${pid}/exe`).catch(() => undefined);
  return program !== undefined && (program.mode & 0o6000) === 0;
}
