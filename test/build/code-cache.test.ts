/** V8's code of a program, made with the Node at hand: the same bytes each time, and V8 takes them under the same flags alone. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compileProgram } from '../../build/code-cache.ts';
import type { Arch } from '../../build/runtime.ts';

const test = suite('the code of an executable');
const folder = mkdtempSync(join(tmpdir(), 'code-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const flags = ['--lite-mode', '--max-semi-space-size=1'];
const runtime = {
  arch: process.arch as Arch,
  version: process.versions.node,
  path: process.execPath,
  licensePath: undefined,
};
const refused = `require('node:fs');\nfunction end(status) { process.exit(status); }\nend(2);`;

/** Compiles a program in a folder of that name. */
function compiled(name: string, program: string) {
  mkdirSync(join(folder, name));
  writeFileSync(join(folder, name, 'bundle.cjs'), program);
  return compileProgram(runtime, 'bundle.cjs', flags, join(folder, name));
}

/** What V8 says of the code under these flags. */
function verdict(name: string, under: readonly string[]): string {
  const script = `const { readFileSync } = require('node:fs');
const options = { cachedData: readFileSync('program.code') };
const { Script } = require('node:vm');
console.log(new Script(readFileSync('program.js', 'latin1'), options).cachedDataRejected ? 'refused' : 'taken');`;
  const cwd = join(folder, name);
  return spawnSync(process.execPath, [...under, '-e', script], { cwd, encoding: 'utf8' }).stdout.trim();
}

test('is the same wherever it is made, and is taken under the flags of the executable alone', () => {
  assert.equal(compiled('first', refused), {
    main: 'loader.cjs',
    assets: { program: 'program.js', code: 'program.code' },
  });
  compiled('the-second', refused);
  const [first, second] = ['first', 'the-second'].map((name) =>
    readFileSync(join(folder, name, 'program.code')),
  );
  assert.ok(first?.equals(second ?? Buffer.of()));
  assert.is(verdict('first', flags), 'taken');
  assert.is(verdict('first', []), 'refused');
});

test('is made of a start that is refused, of ASCII, or not at all', () => {
  assert.throws(() => compiled('ended', 'process.exit(0);'), /Command failed/);
  assert.throws(() => compiled('thrown', 'throw new Error();'), /Command failed/);
  assert.throws(() => compiled('umlaut', `'ü'; ${refused}`), /is not pure ASCII/);
});

test.run();
