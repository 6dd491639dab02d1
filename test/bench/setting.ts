/** What every measurement is given: the executable, the store, the folders, how often. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { openStore, type Store } from './store.ts';

export interface Bench {
  readonly executable: string;
  /** The version of Node inside the executable. */
  readonly runtime: string;
  readonly rounds: number;
  readonly store: Store;
  /** Where all of the following are. */
  readonly scratch: string;
  /** What the store serves. */
  readonly www: string;
  /** The package's files as they are. */
  readonly plain: string;
  say(line: string): void;
  close(): Promise<void>;
}

/**
 * From the environment: BENCH_ROUNDS (5), BENCH_DIR (a folder on the disk to measure, kept afterwards; else one below
 * the temporary folder), BENCH_EXECUTABLE (else what `make dist` makes for this machine).
 */
export async function openBench(): Promise<Bench> {
  const kept = process.env.BENCH_DIR;
  const scratch = kept === undefined ? mkdtempSync(join(tmpdir(), 'tope-bench-')) : resolve(kept);
  const [www, plain] = [join(scratch, 'www'), join(scratch, 'plain')];
  for (const path of [www, plain]) mkdirSync(path, { recursive: true });
  // The store's program may run as another user, who must get through to what it serves.
  chmodSync(scratch, 0o755);
  const executable = process.env.BENCH_EXECUTABLE ?? builtExecutable();
  const store = await openStore(www, join(scratch, 'store'));
  return {
    executable,
    runtime:
      /download\/release\/v(\d+\.\d+\.\d+)\//.exec(readFileSync(executable, 'latin1'))?.[1] ?? 'unknown',
    rounds: Number(process.env.BENCH_ROUNDS ?? 5),
    store,
    scratch,
    www,
    plain,
    say: (line) => console.log(`  ${line}`),
    close: async () => {
      await store.close();
      if (kept === undefined) rmSync(scratch, { recursive: true, force: true });
    },
  };
}

/** Built anew only where its inputs have changed. */
function builtExecutable(): string {
  const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
  execFileSync(process.execPath, ['--import', 'tsx', 'build/dist.ts', arch], { stdio: 'inherit' });
  return resolve(`dist/tope-updater-${arch}`);
}
