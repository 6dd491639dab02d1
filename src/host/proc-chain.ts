/**
 * The wrappers of a started program: what is done as root before it is its own user, as one command line that ends with a shell
 * of that user (proc-script.ts). Each is a tool of the updater's own PATH, with a clean environment; no word comes from a
 * process but numbers that were parsed. A missing tool is named in `missing`.
 */
import { readlink } from 'node:fs/promises';
import { getPriority } from 'node:os';
import type { Command, ProcessTraits } from './host.ts';
import { readProc } from './proc.ts';
import { findExecutable, isDirectory } from './proc-executable.ts';
import { parseLimits, parseStatusTraits } from './proc-traits.ts';

/** Where the machine's own tools are; tests point it at a directory of their own. */
export interface Tools {
  /** PATH in which the wrappers are looked for. */
  readonly path: string;
  /** Exists exactly where systemd is pid 1 (sd_booted(3)). */
  readonly systemdDirectory: string;
}

export interface Chain {
  readonly argv: readonly string[];
  /** What spawn has to do where there is no setpriv(1). */
  readonly spawnAs: { readonly uid?: number; readonly gid?: number };
  readonly missing: readonly string[];
}

export interface ChainOptions {
  readonly tools: Tools;
  readonly marker: string;
  /** The program runs under another name than its file's: a plain sh may not know `exec -a`. */
  readonly needsName: boolean;
}

/** The command line that leads to `/bin/sh -s MARKER` as the command's user, with its traits. */
export async function chainOf(
  command: Command,
  traits: ProcessTraits,
  options: ChainOptions,
): Promise<Chain> {
  const { tools, marker, needsName } = options;
  const bash = needsName ? await findExecutable('bash', '/', tools.path) : undefined;
  const shell = [bash ?? '/bin/sh', '-s', marker];
  if (process.getuid?.() !== 0) return { argv: shell, spawnAs: {}, missing: [] };
  const missing: string[] = [];
  const tool = toolsOf(tools, missing);
  const own = parseStatusTraits((await readProc('/proc/self/status')) ?? '');
  const identity = identityOptions(command, traits, own);
  const setpriv = identity.length === 0 ? undefined : await findExecutable('setpriv', '/', tools.path);
  if (identity.length > 0 && setpriv === undefined) {
    // Node can set uid and gid but drops every supplementary group (libuv calls setgroups(0)).
    const { uid, gid, groups = [] } = command;
    if (groups.length > 0) missing.push('supplementary groups (no setpriv)');
    const isOwn = uid === 0 && gid === 0;
    if (!isOwn) return { argv: shell, spawnAs: given(uid, gid), missing };
  }
  const niceness = traits.nice - getPriority();
  const limits = await limitOptions(traits, own);
  const out = await wayOut(tools);
  missing.push(...out.missing);
  const argv = [
    ...out.argv,
    // The shell's words are constants; the number is one that was parsed.
    ...['/bin/sh', '-c', `echo ${traits.oomScoreAdj} 2>/dev/null >/proc/self/oom_score_adj; exec "$@"`, 'sh'],
    ...(niceness === 0 ? [] : await tool('nice', ['-n', String(niceness)], 'nice')),
    ...(traits.cpus === undefined || traits.cpus === own?.cpus
      ? []
      : await tool('taskset', ['-c', traits.cpus], 'CPU affinity')),
    ...(limits.length === 0 ? [] : await tool('prlimit', limits, 'resource limits')),
    ...(setpriv === undefined ? [] : [setpriv, ...identity, '--']),
    ...shell,
  ];
  return { argv, spawnAs: {}, missing };
}

/**
 * The words that execute the rest in the mount namespace of pid 1 and, under systemd, in a scope unit of its own: what hardens and
 * bounds the updater's unit is not for the program. Its pid, session, outputs and exit status stay.
 */
export async function wayOut(tools: Tools): Promise<Pick<Chain, 'argv' | 'missing'>> {
  if (process.getuid?.() !== 0) return { argv: [], missing: [] };
  const missing: string[] = [];
  const nsenter = (await isElsewhere())
    ? await toolsOf(tools, missing)('nsenter', ['-t', '1', '-m', '--'], 'mount namespace of the host')
    : [];
  return { argv: [...nsenter, ...(await ownScope(tools))], missing };
}

function toolsOf({ path }: Tools, missing: string[]) {
  return async (name: string, args: readonly string[], why: string): Promise<string[]> => {
    const found = await findExecutable(name, '/', path);
    if (found !== undefined) return [found, ...args];
    missing.push(`${why} (no ${name})`);
    return [];
  };
}

function identityOptions(
  { uid, gid, groups = [] }: Command,
  traits: ProcessTraits,
  own: ReturnType<typeof parseStatusTraits>,
): string[] {
  const { ambientCapabilities, boundingCapabilities, noNewPrivileges } = traits;
  const options: string[] = [];
  if (uid !== undefined && gid !== undefined && (uid !== 0 || gid !== 0 || groups.length > 0)) {
    options.push(`--reuid=${uid}`, `--regid=${gid}`);
    options.push(groups.length > 0 ? `--groups=${groups.join(',')}` : '--clear-groups');
  }
  const ambient = capabilities(ambientCapabilities);
  if (ambient.length > 0) options.push(`--inh-caps=${plus(ambient)}`, `--ambient-caps=${plus(ambient)}`);
  if (boundingCapabilities !== undefined && boundingCapabilities !== own?.boundingCapabilities) {
    const had = new Set(capabilities(boundingCapabilities));
    const dropped = capabilities(own?.boundingCapabilities).filter((number) => !had.has(number));
    if (dropped.length > 0)
      options.push(`--bounding-set=${dropped.map((number) => `-cap_${number}`).join(',')}`);
  }
  if (noNewPrivileges === true) options.push('--no-new-privs');
  return options;
}

/** Numbers of the capabilities in a hexadecimal mask. */
function capabilities(mask = '0'): number[] {
  const bits = BigInt(`0x${mask}`);
  return Array.from({ length: 64 }, (_, number) => number).filter((number) => (bits >> BigInt(number)) & 1n);
}

const plus = (numbers: readonly number[]) => numbers.map((number) => `+cap_${number}`).join(',');

/** prlimit's options for the limits that differ from the updater's own; one above what it may raise becomes what it may. */
async function limitOptions(
  traits: ProcessTraits,
  own: ReturnType<typeof parseStatusTraits>,
): Promise<string[]> {
  const ours = parseLimits((await readProc('/proc/self/limits')) ?? '');
  const mayRaise = capabilities(own?.effectiveCapabilities).includes(24); // CAP_SYS_RESOURCE
  return Object.entries(traits.limits).flatMap(([name, [soft, hard]]) => {
    const now = ours[name];
    if (now === undefined) return [];
    const highest = mayRaise ? hard : least(hard, now[1]);
    const wanted = [least(soft, highest), highest] as const;
    return wanted[0] === now[0] && wanted[1] === now[1] ? [] : [`--${name}=${wanted.join(':')}`];
  });
}

function least(a: string, b: string): string {
  if (a === 'unlimited') return b;
  if (b === 'unlimited') return a;
  return BigInt(a) < BigInt(b) ? a : b;
}

/** Whether the updater has a mount namespace of its own, as the hardening of its unit gives it one. */
async function isElsewhere(): Promise<boolean> {
  try {
    return (await readlink('/proc/self/ns/mnt')) !== (await readlink('/proc/1/ns/mnt'));
  } catch {
    return false; // closed to us: there is no way in either
  }
}

async function ownScope(tools: Tools): Promise<readonly string[]> {
  if (!(await isDirectory(tools.systemdDirectory))) return [];
  const systemdRun = await findExecutable('systemd-run', '/', tools.path);
  return systemdRun === undefined ? [] : [systemdRun, '--scope', '--collect', '--quiet', '--'];
}

function given(uid: number | undefined, gid: number | undefined): Chain['spawnAs'] {
  return { ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }) };
}
