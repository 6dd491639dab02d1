/**
 * Builds the release twice, each time from nothing into a folder of its own, and compares every file.
 *
 * Usage: tsx build/dist-twice.ts [ARCH ...]
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeDist, wantedArches } from './dist.ts';
import { cacheFolder } from './runtime.ts';

const arches = wantedArches(process.argv.slice(2));
const folders = ['first', 'the-second'].map((name) => join(cacheFolder, 'twice', name));
for (const folder of folders) {
  rmSync(folder, { recursive: true, force: true });
  await makeDist(folder, arches, false);
}
const [first, second] = folders.map((folder) => readFileSync(join(folder, 'SHA256SUMS'), 'utf8').split('\n'));
const differing = first?.filter((line) => !second?.includes(line)) ?? [];
rmSync(join(cacheFolder, 'twice'), { recursive: true });
if (differing.length > 0 || first?.length !== second?.length) {
  console.error(`not the same in both builds:\n${differing.join('\n')}`);
  process.exit(1);
}
console.log(`both builds are equal: ${(first?.length ?? 1) - 1} files, byte for byte`);
