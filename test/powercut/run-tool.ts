/** Runs a program of the system (mount, mkfs, ...) without ever blocking the event loop. */
import { spawn } from 'node:child_process';

export interface RunOptions {
  /** Handed on as descriptor 3. */
  readonly fd3?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** Resolves with stdout; rejects with the program's words when its status is not 0 or it takes too long. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const [program, ...rest] = argv;
  if (program === undefined) throw new Error('nothing to run');
  const child = spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'pipe', ...(options.fd3 === undefined ? [] : [options.fd3])],
    env: { ...process.env, ...options.env },
    timeout: options.timeoutMs ?? 60_000,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => resolve(status ?? signal));
  });
  if (ended !== 0) throw new Error(`${argv.join(' ')}: ${ended}: ${stderr.trim()}`);
  return stdout;
}
