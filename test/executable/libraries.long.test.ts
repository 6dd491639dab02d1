/** The libraries that each executable asks a device for are those that docs/building.md names, none newer. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { arches, nodeVersion } from '../../build/runtime.ts';

const test = suite('libraries of the executables');
const page = readFileSync('docs/building.md', 'utf8');
const libraries = /^(ld-linux.*|lib(c|m|dl|pthread|stdc\+\+|gcc_s|atomic))\.so\.\d+$/;

for (const arch of arches) {
  const path = `dist/tope-updater-${arch}`;
  const why = whyNot(path);
  if (why !== undefined) console.log(`skipped: libraries of ${arch}: ${why}`);
  (why === undefined ? test : test.skip)(`${arch} asks for what the table says`, () => {
    const node = nodeVersion(path);
    const row = page
      .split('\n')
      .find((line) => line.startsWith(`| \`tope-updater-${arch}\` |`) && line.includes(` ${node}`));
    if (row === undefined) console.log(`${arch} carries Node ${node}, which the table does not have`);
    for (const [family, newest] of newestSymbols(path)) {
      if (row !== undefined)
        assert.match(row, `\`${family}_${newest}\``, `${path} asks for ${family}_${newest}`);
      else console.log(`  it asks for ${family}_${newest}`);
      if (family === 'GLIBC') assert.not(isNewer(newest, '2.28'), `${path} asks for ${family}_${newest}`);
    }
    for (const library of neededLibraries(path)) assert.match(library, libraries);
  });
}

test.run();

function whyNot(path: string): string | undefined {
  if (!existsSync(path)) return `${path} is not there (make dist)`;
  if (spawnSync('readelf', ['--version']).status !== 0) return 'readelf (binutils) is not installed';
  return undefined;
}

/** Of every family of versioned symbols but the compiler's own, which came long before the others. */
function newestSymbols(path: string): Map<string, string> {
  const newest = new Map<string, string>();
  for (const [, family = '', version = ''] of readelf('-V', path).matchAll(
    /Name: (GLIBC|GLIBCXX|CXXABI|LIBATOMIC)_([\d.]+) /g,
  ))
    if (isNewer(version, newest.get(family) ?? '0')) newest.set(family, version);
  assert.ok(newest.has('GLIBC'), 'no symbols were found');
  return newest;
}

function neededLibraries(path: string): string[] {
  return [...readelf('-d', path).matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name = '']) => name);
}

function readelf(what: string, path: string): string {
  const env = { ...process.env, LC_ALL: 'C' };
  const maxBuffer = 64e6; // of an executable that exports every symbol
  return spawnSync('readelf', ['-W', what, path], { encoding: 'utf8', env, maxBuffer }).stdout;
}

function isNewer(version: string, other: string): boolean {
  return version.localeCompare(other, 'en', { numeric: true }) > 0;
}
