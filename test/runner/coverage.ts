/** Which lines of src the test files and the programs they started ran: V8 counts, c8 prints. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundlePath } from '../../build/bundle.ts';

/** What makes a process of Node write down its counts in `folder`, on its way out. */
export function counted(folder: string): NodeJS.ProcessEnv {
  mkdirSync(folder, { recursive: true });
  return { NODE_V8_COVERAGE: folder };
}

/**
 * Prints the table of what was counted in `folder` and writes coverage/lcov.info; `compiled` holds the scripts of the test
 * files. Throws where c8 fails.
 */
export function printCoverage(folder: string, compiled: string): void {
  const scripts = readdirSync(compiled, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.mjs'))
    .map((name) => resolve(compiled, name));
  // The last by name: its maps are used in place of those that Node wrote down.
  writeFileSync(join(folder, 'maps.json'), JSON.stringify(mapsOf([bundlePath, ...scripts])));
  const c8 = join('node_modules', 'c8', 'bin', 'c8.js');
  const argv = [c8, 'report', '--config', 'build/coverage.json', '--temp-directory', folder];
  const { status, error } = spawnSync(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error(`c8 ended with ${status}: no coverage`, { cause: error });
}

/**
 * Counts of nothing, and the source maps of scripts, as Node writes them down, but with the sources' paths in full: by any
 * other c8 takes a script of several sources for one whose every line ran.
 */
function mapsOf(scripts: readonly string[]): object {
  const maps = scripts.map((script) => {
    const data = JSON.parse(readFileSync(`${script}.map`, 'utf8'));
    data.sources = data.sources.map((source: string) => resolve(dirname(script), source));
    const lines = readFileSync(script, 'utf8').split('\n');
    return [pathToFileURL(script).href, { lineLengths: lines.map(({ length }) => length), data }];
  });
  return { result: [], 'source-map-cache': Object.fromEntries(maps) };
}
