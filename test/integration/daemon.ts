/**
 * The built daemon as a child process, and its HTTP API as calls. It runs dist/tope-updater.cjs, or the executable that
 * the environment variable TOPE_UPDATER_BIN names, so that a packed executable takes the same tests.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Progress {
  readonly stage: string;
  readonly progress: number;
  readonly message: string;
  readonly error: string | null;
}

/** Any reply of the API: the envelope. */
export interface Reply<Data = { readonly status: string }> {
  readonly code: number;
  readonly msg: string;
  readonly data: Data;
}

export interface Daemon {
  readonly pid: number;
  readonly url: string;
  /** Everything it printed so far. */
  printed(): string;
  /** POST to `/api/v1.0/NAME`. */
  post(
    name: 'download' | 'update' | 'cancel' | 'rollback' | 'audit' | 'hold' | 'release',
    body?: object,
  ): Promise<Reply>;
  /** GET from `/api/v1.0/NAME`. */
  get<Data>(name: 'progress' | 'history' | 'versions'): Promise<Reply<Data>>;
  progress(): Promise<Progress>;
  /** Polls until it is in one of the stages. */
  reach(...stages: string[]): Promise<Progress>;
  kill(signal: NodeJS.Signals): void;
  /** Sends the signal and waits for the end: the exit status, or the signal that ended it. */
  end(signal: NodeJS.Signals): Promise<number | string>;
  /** Resolves when it has ended by itself or by a signal. */
  readonly ended: Promise<number | string>;
}

const { TOPE_UPDATER_BIN: given } = process.env;
const program = given ?? join(import.meta.dirname, '../../dist/tope-updater.cjs');

/** It brings its own Node. */
export const isPacked = !/\.c?js$/.test(program);

/** The command line that starts the program: an executable itself, a script by Node. */
export const programArgv: readonly [string, ...string[]] = isPacked ? [program] : [process.execPath, program];

/** Runs the program to its end, as for `--help` or a start that is refused. */
export function runToEnd(args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const [command, ...first] = programArgv;
  return spawnSync(command, [...first, ...args], {
    encoding: 'utf8',
    timeout: 20_000,
    env: environmentOf({}),
  });
}

/** Starts `run` of the program on a free port and waits until it answers. Rejects with what it printed when it ends instead. */
export async function startDaemon(
  flags: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = {},
  argv = programArgv,
): Promise<Daemon> {
  const [command, ...first] = argv;
  const child = spawn(command, [...first, 'run', '--port', '0', ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environmentOf(environment),
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
  }
  const ended = new Promise<number | string>((resolve) => {
    child.once('close', (status, signal) => resolve(signal ?? status ?? 'no status'));
  });
  let hasEnded = false;
  void ended.then(() => {
    hasEnded = true;
  });
  const port = await until('the daemon listens', () => {
    if (hasEnded) throw new Error(`the daemon ended instead of listening:\n${printed}`);
    return /listening on \S+ port (\d+)/.exec(printed)?.[1];
  });
  const url = `http://127.0.0.1:${port}`;

  const call = <Data>(name: string, body?: object) => askDaemon<Data>(`${url}/api/v1.0/${name}`, body);
  const progress = async () => (await call<Progress>('progress')).data;
  return {
    pid: child.pid ?? 0,
    url,
    printed: () => printed,
    post: (name, body = {}) => call(name, body),
    get: (name) => call(name),
    progress,
    reach: async (...stages) => {
      let last: Progress | undefined;
      return until(
        () => `stage ${stages.join(' or ')}; last: ${JSON.stringify(last)}\n${printed}`,
        async () => {
          last = await progress();
          return stages.includes(last.stage) ? last : undefined;
        },
      );
    },
    kill: (signal) => {
      if (!hasEnded) child.kill(signal);
    },
    end: (signal) => {
      if (!hasEnded) child.kill(signal);
      return ended;
    },
    ended,
  };
}

/** A POST where there is a body. By node:http: fetch costs three times the processor time, and tests ask thousands of times. */
async function askDaemon<Data>(url: string, body: object | undefined): Promise<Reply<Data>> {
  const post = { method: 'POST', headers: { 'content-type': 'application/json' } };
  const asked = request(url, { signal: AbortSignal.timeout(10_000), ...(body === undefined ? {} : post) });
  asked.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return (await json(response)) as Reply<Data>;
}

/** Polls, ever less often, until `look` finds something; fails after half a minute, saying what never came. */
export async function until<T>(
  what: string | (() => string),
  look: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 30_000,
): Promise<T> {
  const began = Date.now();
  for (let spent = 0; spent < timeoutMs; spent = Date.now() - began) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    await sleep(Math.min(20 + spent / 10, 150));
  }
  throw new Error(`never came: ${typeof what === 'string' ? what : what()}`);
}

/** For programs that cannot be told to take any free port; taken again at once. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('a TCP server without a port');
  return address.port;
}

/** Nothing of the test's own settings (proxies, Node options) but what measures the coverage. */
export function environmentOf(more: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  const { PATH, NODE_V8_COVERAGE } = process.env;
  return { PATH, ...(NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE }), ...more };
}
