/** Runs one test file in a process of its own and reads from its output what came of it. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isolation } from './namespaces.ts';

export interface FileOutcome {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly output: string;
  readonly seconds: number;
}

export interface FileRunner {
  /** Never rejects: what breaks is an outcome with `failed` above 0. */
  run(file: string): Promise<FileOutcome>;
  /** Ends every file that runs now, and what it started. */
  endAll(): void;
  /** Why files share the machine, where they do. */
  readonly whyShared: string | undefined;
}

export function fileRunner(options: {
  /** What Node runs for a file; itself where there is none. */
  readonly scripts: ReadonlyMap<string, string>;
  /** How long a file may take before it is ended. */
  readonly timeoutMs: (file: string) => number;
  /** For the files' processes, beside the runner's own environment. */
  readonly env: (file: string) => NodeJS.ProcessEnv;
}): FileRunner {
  const { isolate, whyShared } = isolation();
  const running = new Set<number>();
  return {
    whyShared,
    endAll: () => {
      for (const group of running) endGroup(group);
    },
    run: async (file) => {
      const started = Date.now();
      const { scripts, timeoutMs, env } = options;
      const script = scripts.get(file) ?? file;
      const argv = isolate([process.execPath, '--enable-source-maps', '--expose-gc', script]);
      const outcome =
        neverRuns(file) ?? (await result(argv, { timeoutMs: timeoutMs(file), env: env(file), running }));
      return { file, ...outcome, seconds: (Date.now() - started) / 1000 };
    },
  };
}

type Result = Omit<FileOutcome, 'file' | 'seconds'>;

function neverRuns(file: string): Result | undefined {
  if (/\.run\(\)/.test(readFileSync(file, 'utf8'))) return undefined;
  return failure('the file never calls .run(): its tests would pass without running');
}

interface Setting {
  readonly timeoutMs: number;
  readonly env: NodeJS.ProcessEnv;
  /** The process groups of what runs now. */
  readonly running: Set<number>;
}

async function result(argv: readonly string[], setting: Setting): Promise<Result> {
  const { output, status, isLate } = await outputOf(argv, setting);
  const counts = [...output.matchAll(/^ {2}(Total|Passed|Skipped):\s+(\d+)/gm)];
  if (isLate) {
    const why = counts.length === 0 ? '' : ', though its tests have ended: a server or a timer is left open';
    return failure(`${output}\nstill running after ${setting.timeoutMs} ms${why}`);
  }
  if (counts.length === 0) return failure(`${output}\nno test ran`);
  const sum = (label: string) => counts.filter((m) => m[1] === label).reduce((n, m) => n + Number(m[2]), 0);
  const [passed, skipped] = [sum('Passed'), sum('Skipped')];
  // Tests of a whole file may be left out, but never without a word.
  if (sum('Total') + skipped === 0 && !/^skipped:/m.test(output)) return failure(`${output}\nno test ran`);
  const failed = Math.max(sum('Total') - passed - skipped, status === 0 ? 0 : 1);
  return { passed, failed, skipped, output };
}

function failure(output: string): Result {
  return { passed: 0, failed: 1, skipped: 0, output };
}

/** Runs a command in a process group of its own, `isLate`: it was ended. */
async function outputOf(
  argv: readonly string[],
  { timeoutMs, env, running }: Setting,
): Promise<{ output: string; status: number | null; isLate: boolean }> {
  const [command = '', ...args] = argv;
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env, NO_COLOR: '1', FORCE_COLOR: '0' },
    detached: true,
  });
  const group = child.pid;
  if (group !== undefined) running.add(group);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    if (group !== undefined) endGroup(group);
  }, timeoutMs);
  const status = await new Promise<number | null>((resolve) => {
    child.on('close', resolve);
    child.on('error', (error) => {
      output += error.message;
      resolve(null);
    });
  });
  clearTimeout(timer);
  if (group !== undefined) running.delete(group);
  return { output, status, isLate };
}

function endGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch (thrown) {
    if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'ESRCH')) throw thrown;
  }
}
