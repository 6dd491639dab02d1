/** Which lines of src the test files and the programs they started ran: V8 counts, c8 prints. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** What makes a process of Node write down its counts in `folder`, on its way out. */
export function counted(folder: string): NodeJS.ProcessEnv {
  mkdirSync(folder, { recursive: true });
  return { NODE_V8_COVERAGE: folder };
}

/** Prints the table of what was counted in `folder` and writes coverage/lcov.info. Throws where c8 fails. */
export function printCoverage(folder: string): void {
  const c8 = join('node_modules', 'c8', 'bin', 'c8.js');
  const argv = [c8, 'report', '--config', 'build/coverage.json', '--temp-directory', folder];
  const { status, error } = spawnSync(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error(`c8 ended with ${status}: no coverage`, { cause: error });
}
