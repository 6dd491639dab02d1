/**
 * The built program's commands as a user calls them: in a pipe, or on a pseudo-terminal that util-linux' `script` makes.
 */
import { spawn } from 'node:child_process';
import { programArgv } from '../integration/daemon.ts';

export interface CommandEnd {
  /** Exit status, or the signal that ended it. */
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** What is piped in, or typed at once. */
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Acts on the running command once it has printed `when`; one after the other. */
  readonly on?: readonly Reaction[];
}

interface Reaction {
  readonly when: RegExp;
  readonly act: (command: Running) => void;
}

export interface Running {
  kill(signal: NodeJS.Signals): void;
  type(text: string): void;
}

const timeoutMs = 60_000;

/** Runs a command to its end, its output in pipes. */
export function command(args: readonly string[], options: CommandOptions = {}): Promise<CommandEnd> {
  const [program, ...first] = programArgv;
  return runProgram([program, ...first, ...args], options);
}

/** Runs a command on a terminal of 100 columns; what it shows, escape sequences and all, is `stdout`. */
export function commandOnTerminal(
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandEnd> {
  const line = [...programArgv, ...args].map((word) => `'${word}'`).join(' ');
  const environment = { TERM: 'xterm', ...options.environment };
  return runProgram(['script', '-qec', `stty cols 100 rows 30; exec ${line}`, '/dev/null'], {
    ...options,
    environment,
  });
}

function runProgram(argv: readonly string[], options: CommandOptions): Promise<CommandEnd> {
  const { PATH, NODE_V8_COVERAGE } = process.env;
  const coverage = NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE };
  const [program = '', ...args] = argv;
  const child = spawn(program, args, {
    env: { PATH, ...coverage, ...options.environment },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const text = { stdout: '', stderr: '' };
  const reactions = [...(options.on ?? [])];
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (piece: string) => {
      text[name] += piece;
      if (!reactions[0]?.when.test(text[name])) return;
      reactions.shift()?.act({
        kill: (signal) => child.kill(signal),
        type: (typed) => child.stdin.write(typed),
      });
    });
  child.stdin.on('error', () => undefined);
  // A terminal has no end of input: what is typed stays typed.
  if (program === 'script') child.stdin.write(options.input ?? '');
  else child.stdin.end(options.input ?? '');
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => {
      clearTimeout(timer);
      resolve({ status: status ?? signal ?? 'unknown', ...text });
    });
  });
}
