/**
 * Which files are tests, and which of them are long: the quick suite is every `*.test.ts`, what takes too long for it is
 * in a `*.long.test.ts`.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

export type Suite = 'quick' | 'long' | 'all';

/** The suite's test files at or below a path, by name; a file that is named itself is one whatever it is called. */
export function testFiles(path: string, suite: Suite): string[] {
  if (statSync(path).isFile()) return [path];
  return filesBelow(path).filter((file) => suite === 'all' || isLong(file) === (suite === 'long'));
}

export function isLong(file: string): boolean {
  return file.endsWith('.long.test.ts');
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
