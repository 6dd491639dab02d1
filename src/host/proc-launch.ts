/**
 * Starts a program that shares nothing with the updater. What runs as root (proc-chain.ts) has a clean environment, `/` as its
 * directory and no word of a process; the program's own come to it on a pipe, read by a shell that has become its user before
 * (proc-script.ts). `node:child_process` is loaded at first use.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { limits } from '../limits.ts';
import { elapsedMs } from './clock.ts';
import { certainFault } from './exec-fault.ts';
import type { Command, ProcessTraits, StartedProcess } from './host.ts';
import { readProc } from './proc.ts';
import { chainOf, type Tools } from './proc-chain.ts';
import { findExecutable, isExecutableFile, leadTo, nearestDirectory } from './proc-executable.ts';
import { launchScript } from './proc-script.ts';
import { parseLimits } from './proc-traits.ts';
import type { ReadProcessText } from './process-text.ts';
import { systemError } from './system-error.ts';

/** A word of every command line on the way to the program, of none beyond it. */
const marker = 'tope-updater-starts-a-program';

/** See Processes.start. Rejects with ENOENT where the program is not there. */
export async function launchProgram(
  command: Command,
  tools: Tools,
  text: ReadProcessText,
): Promise<StartedProcess> {
  const { spawn } = await import('node:child_process');
  const cwd = await nearestDirectory(command.cwd);
  const { program, name } = await programOf({ ...command, cwd });
  const traits = command.traits ?? (await freshTraits());
  const chain = await chainOf(command, traits, { tools, marker, needsName: name !== undefined });
  const script = launchScript({
    program,
    name,
    args: command.argv.slice(1),
    cwd,
    env: command.env,
    umask: traits.umask,
    stdout: command.stdout,
    stderr: command.stderr,
    envTool: await findExecutable('env', '/', tools.path),
    marker,
  });
  const log = command.log === undefined ? undefined : await openLog(command.log);
  try {
    const [first = '', ...rest] = chain.argv;
    const output = log === undefined ? 'ignore' : log.fd;
    const child = spawn(first, rest, {
      cwd: '/',
      env: { PATH: tools.path },
      detached: true,
      stdio: ['pipe', output, output],
      ...chain.spawnAs,
    });
    const ended = new Promise<number | string>((resolve) => {
      child.once('exit', (status, signal) => resolve(signal ?? status ?? 0));
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    // A shell that ended before it read the script: its status tells, not the pipe.
    child.stdin?.once('error', () => undefined);
    child.stdin?.end(script);
    child.unref();
    if (child.pid === undefined) throw new Error('a started process without a pid');
    await untilVisible(child.pid, text);
    const moved = cwd === command.cwd ? [] : [`its directory ${command.cwd}: it runs in ${cwd}`];
    return { pid: child.pid, ended, missing: [...chain.missing, ...moved] };
  } finally {
    await log?.close();
  }
}

/** What is executed, and under which name where that is another one. Rejects where it cannot be executed, with the reason. */
async function programOf({ argv, cwd, env, program }: Command): Promise<{ program: string; name?: string }> {
  const [first = ''] = argv;
  const found = await findExecutable(first, cwd, env.PATH);
  const isThere = program !== undefined && (await isExecutableFile(program));
  const takesFound = found !== undefined && (!isThere || (await leadTo(found, program)));
  const named = program ?? (first.includes('/') ? resolve(cwd, first) : undefined);
  const path = takesFound ? found : named;
  const fault = path === undefined ? undefined : await certainFault(path);
  if (fault !== undefined) throw systemError('EACCES', `${path} ${fault}`);
  if (takesFound) return { program: first };
  if (isThere) return { program, name: first };
  throw systemError('ENOENT', `no such program: ${program ?? first}`);
}

/** Of a program that nobody has set anything for; Node has raised its own soft limit of open files. */
async function freshTraits(): Promise<ProcessTraits> {
  const [, hard] = parseLimits((await readProc('/proc/self/limits')) ?? '').nofile ?? ['1024', '1024'];
  const soft = hard === 'unlimited' || Number(hard) > 1024 ? '1024' : hard;
  return { umask: 0o022, nice: 0, oomScoreAdj: 0, limits: { nofile: [soft, hard] } };
}

async function openLog(path: string): Promise<FileHandle> {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW } = constants;
  return await open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o640);
}

/** Waits until /proc shows the program itself: who looks for it by name would miss it in the middle of its execve(2), and behind a wrapper. */
async function untilVisible(pid: number, text: ReadProcessText): Promise<void> {
  const deadline = elapsedMs() + limits.startVisibleMs;
  while (elapsedMs() < deadline) {
    const stat = await readProc(`/proc/${pid}/stat`);
    const words = (await text(pid, 'cmdline'))?.split('\0') ?? [];
    const isStarting = words[0] === '' || words.includes(marker);
    if (!isStarting || stat === undefined || /\) [ZX] /.test(stat)) return;
    await new Promise((resolve) => setTimeout(resolve, limits.startPollMs));
  }
}
