/**
 * Finds processes by name, ends them, and remembers how to start them again (spec section 6, FR-012, FR-013).
 *
 * Invariants: never pid 1, never the updater itself, never a kernel thread; a signal goes only to the process that was
 * found, known by pid and start time, so a recycled pid is never hit.
 */
import { UpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import {
  isNamed,
  type ProcNames,
  parseCmdline,
  parseEnviron,
  parseStat,
  parseStatusOwner,
  withoutDeleted,
} from './proc-text.ts';
import type { CapturedProcess } from './snapshot.ts';

export type ProcessesHost = Pick<Host, 'processes' | 'clock' | 'log'>;

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

/** The processes that go by `name` now. */
export async function findProcesses(host: ProcessesHost, name: string): Promise<RunningProcess[]> {
  return (await runningProcesses(host)).filter((process) => isNamed(process, name));
}

/**
 * Ends processes: SIGTERM to all, up to `limits.processTermMs`, SIGKILL to those left, up to `limits.processKillMs`.
 * Throws PROCESS_KILL_FAILED naming pid and process when one is still there or not ours to signal. An aborted signal ends
 * the wait for a polite end, not the end itself (FR-030): what was told to stop must not end unseen later.
 */
export async function terminate(
  host: ProcessesHost,
  processes: readonly RunningProcess[],
  signal?: AbortSignal,
): Promise<void> {
  const afterTerm = await end(host, processes, 'SIGTERM', limits.processTermMs, signal);
  for (const process of afterTerm) {
    const patience = signal?.aborted
      ? 'and the updater is to stop'
      : `${limits.processTermMs} ms after SIGTERM`;
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

async function stillAlive(
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
    const words = thrown instanceof Error ? thrown.message : String(thrown);
    throw new UpdateError('PROCESS_KILL_FAILED', `${name} to ${title(process)}: ${words}`, { cause: thrown });
  }
}

/** A process as people know it: `device-api (pid 123)`. */
export function title(process: RunningProcess): string {
  return `${process.comm} (pid ${process.pid})`;
}

/** How to start a process again; undefined when it ended meanwhile or is closed to us. */
export async function captureProcess(
  host: ProcessesHost,
  process: RunningProcess,
): Promise<CapturedProcess | undefined> {
  const { processes, log } = host;
  const environ = await processes.read(process.pid, 'environ');
  const cwd = await processes.readLink(process.pid, 'cwd');
  const owner = parseStatusOwner((await processes.read(process.pid, 'status')) ?? '');
  const [alive] = await stillAlive(host, [process]);
  if (alive === undefined || process.argv.length === 0) return undefined;
  if (environ === undefined || cwd === undefined || owner === undefined) {
    log.warn(`${title(process)} cannot be started again as it was: its /proc entry is closed to the updater`);
    return undefined;
  }
  const program = process.exe === undefined ? null : withoutDeleted(process.exe);
  return { argv: [...process.argv], program, cwd: withoutDeleted(cwd), env: parseEnviron(environ), ...owner };
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
