/**
 * Which files are tests, and which of them are long: what takes too long for the quick suite is in a `*.long.test.ts`,
 * or is a `test.long` beside the quick tests of its subject (suites.ts).
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export type Suite = 'quick' | 'long' | 'all';

/** The suite's test files at or below a path, by name; a file that is named itself is one whatever it is called. */
export function testFiles(path: string, suite: Suite): string[] {
  if (statSync(path).isFile()) return [path];
  return filesBelow(path).filter((file) => {
    if (suite === 'all') return true;
    return suite === 'long' ? isLong(file) || hasLongTests(file) : !isLong(file);
  });
}

/** Files that take minutes, some waiting and some computing, come first: last, they would leave cores idle. */
export function longestFirst(files: readonly string[]): string[] {
  const takesMinutes = (file: string) => isLong(file) && /^test\/(systemd|powercut|executable)\//.test(file);
  return [...files.filter(takesMinutes).reverse(), ...files.filter((file) => !takesMinutes(file))];
}

/** Which tests of this file the runner wants; all of a file that is run by itself. */
export function wantedSuite(): Suite {
  const { TEST_SUITE } = process.env;
  return TEST_SUITE === 'quick' || TEST_SUITE === 'long' ? TEST_SUITE : 'all';
}

export function isLong(file: string): boolean {
  return file.endsWith('.long.test.ts');
}

function hasLongTests(file: string): boolean {
  return /\btests?\.long\b/.test(readFileSync(file, 'utf8'));
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name !== 'fixtures')
    .map((name) => join(folder, name))
    .flatMap((child) =>
      statSync(child).isDirectory() ? filesBelow(child) : child.endsWith('.test.ts') ? [child] : [],
    )
    .sort();
}
