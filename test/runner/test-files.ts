/** Which files are tests. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** The test files at or below a path, by name; a file that is named itself is one whatever it is called. */
export function testFiles(path: string): string[] {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path)
    .filter((name) => name !== 'fixtures')
    .map((name) => join(path, name))
    .flatMap((child) => (statSync(child).isDirectory() || child.endsWith('.test.ts') ? testFiles(child) : []))
    .sort();
}
