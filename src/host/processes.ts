/** The Processes port on a real Linux: /proc, signals, programs that outlive the updater (proc-launch.ts), helper programs. */
import { readFile } from 'node:fs/promises';
import { constants as osConstants } from 'node:os';
import { errno } from '../errors.ts';
import { limits } from '../limits.ts';
import { execFault } from './exec-fault.ts';
import type { Processes, RunOptions } from './host.ts';
import { killGroup } from './kill-group.ts';
import { listProcesses, readProc, readProcLink } from './proc.ts';
import { type Tools, wayOut } from './proc-chain.ts';
import { launchProgram } from './proc-launch.ts';
import { processTexts } from './process-text.ts';
import { systemError } from './system-error.ts';

/** The port over this machine. */
export function realProcesses(
  tools: Tools = {
    path: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin',
    systemdDirectory: '/run/systemd/system',
  },
): Processes {
  const text = processTexts();
  return {
    ownPid: process.pid,
    bootId: async () => (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim(),
    list: listProcesses,
    read: (pid, file) =>
      file === 'cmdline' || file === 'environ' ? text(pid, file) : readProc(`/proc/${pid}/${file}`),
    readLink: (pid, link) => readProcLink(`/proc/${pid}/${link}`),
    signal: sendSignal,
    start: (command) => launchProgram(command, tools, text),
    run: (argv, timeoutMs, options) => runToEnd(argv, timeoutMs, options, tools),
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

async function runToEnd(
  argv: readonly string[],
  timeoutMs: number,
  { env, onOutput, signal, isApart = false }: RunOptions = {},
  tools: Tools,
): Promise<{ status: number; stdout: string; stderr: string }> {
  const { spawn } = await import('node:child_process');
  signal?.throwIfAborted();
  const [program = '', ...args] = isApart ? [...(await wayOut(tools)).argv, ...argv] : argv;
  // A session of its own: no terminal to ask for a password on, and one signal ends it with all it started.
  const child = spawn(program, args, {
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(env && { env: { ...env } }),
  });
  if (onOutput !== undefined) for (const stream of [child.stdout, child.stderr]) stream.on('data', onOutput);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  return await new Promise((resolve, reject) => {
    const giveUp = (reason: unknown) => {
      if (child.pid !== undefined) killGroup(child.pid);
      reject(reason);
    };
    const timer = setTimeout(() => {
      giveUp(systemError('ETIMEDOUT', `${argv.join(' ')} did not end within ${timeoutMs} ms`));
    }, timeoutMs);
    const onAbort = () => giveUp(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    const settle = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    child.once('error', (error) => {
      settle();
      child.removeAllListeners('close');
      execFault(program).then((fault) => {
        reject(fault === undefined ? error : systemError(errno(error) ?? 'EACCES', `${program} ${fault}`));
      }, reject);
    });
    child.once('exit', () => {
      const drained = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, limits.helperDrainMs);
      child.once('close', () => clearTimeout(drained));
    });
    child.once('close', (status, signalName) => {
      settle();
      const number = signalName === null ? status : 128 + osConstants.signals[signalName];
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
