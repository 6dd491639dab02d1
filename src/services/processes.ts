/**
 * Finds processes by name and ends them (spec sections 6 and 9, FR-012, FR-013). Never pid 1, an updater, a kernel thread or a
 * process of a container; a signal goes only to the one that was found, by pid and start time.
 */
import { errorText, UpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import {
  isNamed,
  isUpdaterScope,
  owningUnit,
  type ProcNames,
  parseCmdline,
  parseEnviron,
  parseStat,
  scriptBeside,
} from './proc-text.ts';

export type ProcessesHost = Pick<Host, 'processes' | 'clock' | 'log'>;
export type ServicesHost = Pick<Host, 'files' | 'processes' | 'clock' | 'log' | 'net'>;

/** A process seen alive; `pid` and `startTime` together are its identity. */
export interface RunningProcess extends ProcNames {
  readonly pid: number;
  readonly parentPid: number;
  readonly startTime: string;
}

/** Every process that could be a service. */
export async function runningProcesses(host: ProcessesHost): Promise<RunningProcess[]> {
  const { processes } = host;
  const found: RunningProcess[] = [];
  for (const pid of await processes.list()) {
    if (pid <= 1 || pid === processes.ownPid) continue;
    const stat = parseStat((await processes.read(pid, 'stat')) ?? '');
    if (stat === undefined || stat.isZombie || stat.isKernelThread) continue;
    const argv = parseCmdline((await processes.read(pid, 'cmdline')) ?? '');
    const exe = await processes.readLink(pid, 'exe');
    found.push({ pid, parentPid: stat.parentPid, startTime: stat.startTime, comm: stat.comm, argv, exe });
  }
  return found;
}

/** The processes that go by one of `names` now, whoever runs them. */
export async function findNamed(host: ProcessesHost, names: readonly string[]): Promise<RunningProcess[]> {
  return await namedAmong(host, await runningProcesses(host), names);
}

/** Those of `running` that go by one of `names`: of this device, not of a container on it, and no updater. */
export async function namedAmong(
  host: ProcessesHost,
  running: readonly RunningProcess[],
  names: readonly string[],
): Promise<RunningProcess[]> {
  const found = new Set<RunningProcess>();
  for (const name of names)
    for (const process of running)
      if (isNamed(process, name) && !isUpdater(process) && (await livesHere(host, process.pid)))
        found.add(process);
  return [...found];
}

/** Of `running`: what one of `processes` has started, and what that has. */
export function descendantsOf(
  running: readonly RunningProcess[],
  processes: readonly RunningProcess[],
): RunningProcess[] {
  const family = new Set(processes.map(({ pid }) => pid));
  const found: RunningProcess[] = [];
  for (let before = -1; before < found.length; ) {
    before = found.length;
    for (const process of running) {
      if (family.has(process.pid) || !family.has(process.parentPid)) continue;
      family.add(process.pid);
      found.push(process);
    }
  }
  return found;
}

export function isUpdater(process: RunningProcess): boolean {
  return updaterNames.some((name) => isNamed(process, name));
}

/** Every updater on the machine, whatever work directory it has: what its launcher and its builds are called. */
const updaterNames = [
  'tope-updater',
  'tope-updater.previous',
  'tope-updater-launch',
  'tope-updater-x64',
  'tope-updater-arm64',
  'tope-updater-armv7',
  'tope-updater.cjs',
];

/** The updater's PID namespace, and its or pid 1's mount namespace, but for what runs in a system unit or was restarted by an updater. */
async function livesHere({ processes }: ProcessesHost, pid: number): Promise<boolean> {
  const own = await processes.readLink(processes.ownPid, 'ns/pid');
  if ((await processes.readLink(pid, 'ns/pid')) !== own) return false;
  const mounts = await processes.readLink(pid, 'ns/mnt');
  if (mounts === (await processes.readLink(processes.ownPid, 'ns/mnt'))) return true;
  if (mounts !== undefined && mounts === (await processes.readLink(1, 'ns/mnt'))) return true;
  const cgroup = (await processes.read(pid, 'cgroup')) ?? '';
  return owningUnit(cgroup) !== undefined || isUpdaterScope(cgroup);
}

/**
 * Ends processes: SIGTERM, up to `termMs`, SIGKILL to those left, up to `limits.processKillMs`. PROCESS_KILL_FAILED names one
 * that is still there or not ours. An aborted signal ends the wait for a polite end alone (FR-030): what was told to stop must
 * not end unseen later.
 */
export async function terminate(
  host: ProcessesHost,
  processes: readonly RunningProcess[],
  signal?: AbortSignal,
  termMs: number = limits.processTermMs,
): Promise<void> {
  const afterTerm = await end(host, processes, 'SIGTERM', termMs, signal);
  for (const process of afterTerm) {
    const patience = signal?.aborted ? 'and the updater is to stop' : `${termMs} ms after SIGTERM`;
    host.log.warn(`${title(process)} still runs ${patience}, sending SIGKILL`);
  }
  const [stuck] = await end(host, afterTerm, 'SIGKILL', limits.processKillMs, signal);
  if (stuck === undefined) return;
  throw new UpdateError(
    'PROCESS_KILL_FAILED',
    `${title(stuck)} still runs ${limits.processKillMs} ms after SIGKILL`,
  );
}

/** Sends one signal to each and waits; returns those still alive at the end. */
async function end(
  host: ProcessesHost,
  processes: readonly RunningProcess[],
  name: 'SIGTERM' | 'SIGKILL',
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<readonly RunningProcess[]> {
  let left = await stillAlive(host, processes);
  for (const process of left) send(host, process, name);
  const deadline = host.clock.elapsed() + timeoutMs;
  for (;;) {
    left = await stillAlive(host, left);
    if (left.length === 0 || host.clock.elapsed() >= deadline) return left;
    if (name === 'SIGTERM' && signal?.aborted) return left; // no time to be polite
    await host.clock.sleep(limits.processPollMs);
  }
}

/** Those that are the processes they were. */
export async function stillAlive(
  host: ProcessesHost,
  processes: readonly RunningProcess[],
): Promise<readonly RunningProcess[]> {
  const alive: RunningProcess[] = [];
  for (const process of processes) {
    const stat = parseStat((await host.processes.read(process.pid, 'stat')) ?? '');
    if (stat !== undefined && !stat.isZombie && stat.startTime === process.startTime) alive.push(process);
  }
  return alive;
}

function send(host: ProcessesHost, process: RunningProcess, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    host.processes.signal(process.pid, name);
  } catch (thrown) {
    const words = errorText(thrown);
    throw new UpdateError('PROCESS_KILL_FAILED', `${name} to ${title(process)}: ${words}`, { cause: thrown });
  }
}

/** A process as people know it: `device-api (pid 123)`; of a script that goes by its interpreter's name: `device-api.py (python3, pid 123)`. */
export function title({ comm, argv, pid }: RunningProcess): string {
  const script = scriptBeside(comm, argv);
  return script === undefined ? `${comm} (pid ${pid})` : `${script} (${comm}, pid ${pid})`;
}

/** The updater's own environment, without what systemd told the updater alone (systemd.exec(5)). */
export async function inheritableEnvironment(host: ProcessesHost): Promise<Record<string, string>> {
  const own = parseEnviron((await host.processes.read(host.processes.ownPid, 'environ')) ?? '');
  const isPrivate = (name: string) =>
    /^(NOTIFY_SOCKET|INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_.*|LISTEN_.*|WATCHDOG_.*|(MAIN|MANAGER)PID)$/.test(
      name,
    ) || /^(RUNTIME|STATE|CACHE|LOGS|CONFIGURATION|CREDENTIALS)_DIRECTORY$/.test(name);
  return Object.fromEntries(Object.entries(own).filter(([name]) => !isPrivate(name)));
}
