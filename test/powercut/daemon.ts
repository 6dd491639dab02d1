/**
 * The built program as a child process, reached over its unix socket. The socket lies outside the work directory, so
 * that nothing here touches the filesystem under test.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { request as httpRequest } from 'node:http';
import { fileURLToPath } from 'node:url';
import type { PackageRequest } from '../../src/download/request.ts';
import type { Stage } from '../../src/updater/state.ts';
import { run } from './run-tool.ts';

export const program = fileURLToPath(new URL('../../dist/tope-updater.cjs', import.meta.url));

export interface DaemonPlace {
  readonly workDirectory: string;
  readonly allowedRoot: string;
  readonly socket: string;
  /** Of downloads, bytes per second. */
  readonly rateLimit?: number;
}

export interface Daemon {
  readonly pid: number;
  /** Resolves when it is gone: exit status, or the signal's name. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
  /** All it has printed. */
  output(): string;
  post(path: string, body: object): Promise<unknown>;
  get(path: string): Promise<unknown>;
  stage(): Promise<Stage>;
  /** Waits for a resting stage; rejects after `limitMs`, or when the program ends. */
  rest(limitMs?: number): Promise<Stage>;
  /** Gone at once, if it is not yet. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with how it ended, rejects when it takes too long. */
  terminate(): Promise<number | NodeJS.Signals | null>;
  /** The same, and rejects unless it exits with 0. */
  stop(): Promise<void>;
}

const resting: readonly Stage[] = ['idle', 'toInstall', 'success', 'failed'];

/**
 * Starts `run` and waits until it answers. `env` is added to the environment, `flags` are V8's, `within` stands before the command
 * line; signals reach what that starts only where it becomes it.
 */
export async function startDaemon(
  place: DaemonPlace,
  env: Readonly<Record<string, string>> = {},
  flags: readonly string[] = [],
  within: readonly string[] = [],
): Promise<Daemon> {
  const options = {
    '--dir': place.workDirectory,
    '--socket': place.socket,
    '--allow-root': place.allowedRoot,
    '--report-url': 'http://127.0.0.1:9/report',
    '--gui': '/nonexistent/gui',
    ...(place.rateLimit === undefined ? {} : { '--rate-limit': String(place.rateLimit) }),
  };
  const argv = [process.execPath, ...flags, program, 'run', ...Object.entries(options).flat()];
  const [command = '', ...args] = [...within, ...argv];
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let output = '';
  const collect = (chunk: Buffer) => {
    output += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  let isGone = false;
  // A harness that throws must not leave a root daemon behind.
  const killOnExit = () => child.kill('SIGKILL');
  process.on('exit', killOnExit);
  const ended = endOf(child).finally(() => {
    isGone = true;
    process.off('exit', killOnExit);
  });

  const stage = async (): Promise<Stage> => {
    const { data } = (await call(place.socket, 'GET', '/api/v1.0/progress')) as { data: { stage: Stage } };
    return data.stage;
  };
  const until = async <T>(
    what: string,
    limitMs: number,
    attempt: () => Promise<T | undefined>,
  ): Promise<T> => {
    const deadline = performance.now() + limitMs;
    for (;;) {
      const got = await attempt();
      if (got !== undefined) return got;
      if (isGone) throw new Error(`the daemon ended before ${what}:\n${output}`);
      if (performance.now() > deadline) throw new Error(`no ${what} within ${limitMs} ms:\n${output}`);
      await pause(5);
    }
  };
  const terminate = async () => {
    child.kill('SIGTERM');
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
    }, 20_000);
    const status = await ended;
    clearTimeout(timer);
    if (isLate) throw new Error(`still running 20 s after SIGTERM:\n${output}`);
    return status;
  };
  await until('answer', 20_000, () => stage().catch(() => undefined));
  // It has looked at what an earlier run left, so that its stage is the one it goes on from.
  await until('look around', 20_000, async () => (/start: saved stage/.test(output) ? true : undefined));
  return {
    pid: child.pid ?? 0,
    ended,
    output: () => output,
    post: (path, body) => call(place.socket, 'POST', path, body),
    get: (path) => call(place.socket, 'GET', path),
    stage,
    rest: (limitMs = 30_000) =>
      until('rest', limitMs, async () => {
        const now = await stage();
        return resting.includes(now) ? now : undefined;
      }),
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    terminate,
    async stop() {
      const status = await terminate();
      if (status !== 0) throw new Error(`SIGTERM ended it with ${status}:\n${output}`);
    },
  };
}

/** What the boot does before the services; gives what it said, rejects where it fails. */
export async function recoverAtBoot(place: DaemonPlace, within: readonly string[] = []): Promise<string> {
  const options = ['--dir', place.workDirectory, '--allow-root', place.allowedRoot];
  return await run([...within, process.execPath, program, 'recover', ...options]);
}

/** Downloads a package and waits until it may be installed. */
export async function downloadTo(daemon: Daemon, request: PackageRequest): Promise<void> {
  const reply = await daemon.post('/api/v1.0/download', request);
  const stage = await daemon.rest();
  if (stage !== 'toInstall')
    throw new Error(`the download ended as ${stage}: ${JSON.stringify(reply)}\n${daemon.output()}`);
}

function endOf(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (status, signal) => resolve(status ?? signal));
  });
}

/** One request over the socket; resolves with the JSON that was answered, rejects where nobody answers. */
export function call(socketPath: string, method: string, path: string, body?: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const request = httpRequest({ socketPath, method, path, headers, timeout: 10_000 }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () => {
        try {
          resolve(JSON.parse(text));
        } catch (thrown) {
          reject(thrown);
        }
      });
      response.on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error(`${method} ${path}: no answer`)));
    request.on('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
