/**
 * The Processes port on a real Linux: /proc, signals, detached programs, helper programs.
 *
 * Invariants: a started program shares nothing with the updater: own session, /dev/null for stdin, stdout and stderr,
 * and, where systemd runs, a scope unit of its own, because systemd ends everything inside the updater's unit when it
 * restarts the updater. No shell is ever involved. `node:child_process` is loaded at first use (memory).
 */
import { constants as fsConstants } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { constants as osConstants } from 'node:os';
import { resolve } from 'node:path';
import { errno } from '../errors.ts';
import { limits } from '../limits.ts';
import { elapsedMs } from './clock.ts';
import type { Command, Processes, StartedProcess } from './host.ts';
import { listProcesses, readProc, readProcLink } from './proc.ts';

/** Where the machine's own tools are; tests point it at a directory of their own. */
export interface Tools {
  /** PATH in which `setpriv` and `systemd-run` are looked for. */
  readonly path: string;
  /** Exists exactly where systemd is pid 1 (sd_booted(3)). */
  readonly systemdDirectory: string;
}

/** The port over this machine. */
export function realProcesses(
  tools: Tools = {
    path: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin',
    systemdDirectory: '/run/systemd/system',
  },
): Processes {
  return {
    ownPid: process.pid,
    bootId: async () => (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim(),
    list: listProcesses,
    read: (pid, file) => readProc(`/proc/${pid}/${file}`),
    readLink: (pid, link) => readProcLink(`/proc/${pid}/${link}`),
    signal: sendSignal,
    start: (command) => startDetached(command, tools),
    run: runToEnd,
  };
}

function sendSignal(pid: number, signal: 'SIGTERM' | 'SIGKILL'): boolean {
  // 0 and negative numbers mean groups of processes, 1 is init.
  if (!Number.isSafeInteger(pid) || pid <= 1) throw new Error(`not a process to signal: ${pid}`);
  try {
    return process.kill(pid, signal);
  } catch (thrown) {
    if (errno(thrown) === 'ESRCH') return false;
    throw thrown;
  }
}

async function startDetached(command: Command, tools: Tools): Promise<StartedProcess> {
  const { spawn } = await import('node:child_process');
  const argv = await runnableArgv(command);
  const identity = await identityOf(command, tools);
  const scope = await ownScope(tools, identity);
  const wrappers = [scope[0], identity.wrapper[0]];
  const [program = '', ...args] = [...scope, ...identity.wrapper, ...argv];
  const child = spawn(program, args, {
    cwd: command.cwd,
    env: { ...command.env },
    detached: true,
    stdio: 'ignore',
    ...identity.spawnAs,
  });
  const ended = new Promise<number | string>((resolve) => {
    child.once('exit', (status, signal) => resolve(signal ?? status ?? 0));
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  child.unref();
  if (child.pid === undefined) throw new Error('a started process without a pid');
  await untilVisible(child.pid, wrappers);
  return { pid: child.pid, ended };
}

/**
 * Waits until /proc shows the program itself. Who looks for it by name, to stop it again at once, would miss it in the
 * middle of its execve(2), when it has no arguments yet, and behind a wrapper.
 */
async function untilVisible(pid: number, wrappers: readonly (string | undefined)[]): Promise<void> {
  const deadline = elapsedMs() + limits.startVisibleMs;
  while (elapsedMs() < deadline) {
    const stat = await readProc(`/proc/${pid}/stat`);
    const words = (await readProc(`/proc/${pid}/cmdline`))?.split('\0') ?? [];
    const isStarting = words[0] === '' || words.some((word) => wrappers.includes(word));
    if (!isStarting || stat === undefined || /\) [ZX] /.test(stat)) return;
    await new Promise((resolve) => setTimeout(resolve, limits.startPollMs));
  }
}

/**
 * The command line with an argv[0] that exists. Checked before the start, because behind setpriv or systemd-run a
 * missing program would only show as an exit status.
 */
async function runnableArgv(command: Command): Promise<readonly string[]> {
  const [name = '', ...args] = command.argv;
  if (!(await isDirectory(command.cwd))) throw notFound('working directory', command.cwd);
  if ((await findExecutable(name, command.cwd, command.env.PATH)) !== undefined) return command.argv;
  if (command.program === undefined) throw notFound('program', name);
  await access(command.program, fsConstants.X_OK);
  return [command.program, ...args];
}

interface Identity {
  /** A command line that takes the identity and then executes the rest of its arguments. */
  readonly wrapper: readonly string[];
  /** What spawn has to do where there is no such wrapper. */
  readonly spawnAs: { readonly uid?: number; readonly gid?: number };
}

/**
 * How the program becomes the user it has to run as. Node can set uid and gid but drops every supplementary group
 * (libuv calls setgroups(0)), and a klipper without group dialout cannot open its printer: setpriv(1) keeps them.
 */
async function identityOf(command: Command, tools: Tools): Promise<Identity> {
  const { uid, gid, groups = [] } = command;
  if (uid === undefined || gid === undefined) return { wrapper: [], spawnAs: onlyGiven(uid, gid) };
  const isOwn = uid === process.getuid?.() && gid === process.getgid?.();
  const isRoot = process.getuid?.() === 0;
  if (isOwn && (!isRoot || groups.length === 0)) return { wrapper: [], spawnAs: {} };
  const setpriv = isRoot ? await findExecutable('setpriv', '/', tools.path) : undefined;
  if (setpriv === undefined) return { wrapper: [], spawnAs: { uid, gid } };
  const groupOption = groups.length > 0 ? `--groups=${groups.join(',')}` : '--clear-groups';
  return { wrapper: [setpriv, `--reuid=${uid}`, `--regid=${gid}`, groupOption, '--'], spawnAs: {} };
}

/**
 * The command line that executes the rest of its arguments in a scope unit of its own, outside the updater's unit.
 * Only root may ask systemd for one, so it comes before the change of identity; where spawn makes that change there
 * is no scope. systemd-run --scope executes the program in place: pid, session and exit status stay the program's.
 */
async function ownScope(tools: Tools, identity: Identity): Promise<readonly string[]> {
  if (process.getuid?.() !== 0 || Object.keys(identity.spawnAs).length > 0) return [];
  if (!(await isDirectory(tools.systemdDirectory))) return [];
  const systemdRun = await findExecutable('systemd-run', '/', tools.path);
  return systemdRun === undefined ? [] : [systemdRun, '--scope', '--collect', '--quiet', '--'];
}

/** The path execvp(3) would execute, or undefined. */
async function findExecutable(
  name: string,
  cwd: string,
  path = '/usr/bin:/bin',
): Promise<string | undefined> {
  if (name === '' || name.includes('\0')) return undefined;
  const places = name.includes('/')
    ? [name]
    : path.split(':').map((directory) => `${directory || '.'}/${name}`);
  for (const place of places.map((relative) => resolve(cwd, relative))) {
    if (await isExecutableFile(place)) return place;
  }
  return undefined;
}

async function isExecutableFile(path: string): Promise<boolean> {
  try {
    await access(path, fsConstants.X_OK);
    return (await stat(path)).isFile();
  } catch (thrown) {
    if (errno(thrown) === undefined) throw thrown;
    return false;
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (thrown) {
    if (errno(thrown) === undefined) throw thrown;
    return false;
  }
}

function onlyGiven(uid: number | undefined, gid: number | undefined): Identity['spawnAs'] {
  return { ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }) };
}

async function runToEnd(
  argv: readonly string[],
  timeoutMs: number,
): Promise<{ status: number; stdout: string; stderr: string }> {
  const { spawn } = await import('node:child_process');
  const [program = '', ...args] = argv;
  // A session of its own: no terminal to ask for a password on, and one signal ends it with all it started.
  const child = spawn(program, args, { cwd: '/', detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      if (child.pid !== undefined) killGroup(child.pid);
      reject(systemError('ETIMEDOUT', `${argv.join(' ')} did not end within ${timeoutMs} ms`));
    }, timeoutMs);
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('exit', () => {
      const drained = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, limits.helperDrainMs);
      child.once('close', () => clearTimeout(drained));
    });
    child.once('close', (status, signal) => {
      clearTimeout(timer);
      const number = signal === null ? status : 128 + osConstants.signals[signal];
      resolve({ status: number ?? 0, stdout: stdout(), stderr: stderr() });
    });
  });
}

/** Reads a stream to its end but keeps only its beginning; the returned function gives what was kept. */
function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let keptBytes = 0;
  stream.on('data', (chunk: Buffer) => {
    const kept = chunk.subarray(0, limits.helperOutputBytes - keptBytes);
    keptBytes += kept.length;
    if (kept.length > 0) chunks.push(kept);
  });
  return () => Buffer.concat(chunks).toString('utf8');
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (thrown) {
    if (errno(thrown) !== 'ESRCH') throw thrown;
  }
}

function notFound(what: string, path: string): Error {
  return systemError('ENOENT', `no such ${what}: ${path}`);
}

function systemError(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}
