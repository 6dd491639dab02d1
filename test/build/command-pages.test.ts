/** The manual page, the completion and the documentation are what the table of commands says. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { commandPages } from '../../build/command-pages.ts';
import { commands } from '../../src/cli/commands.ts';

const test = suite('command pages');
const root = join(import.meta.dirname, '../..');

for (const [path, content] of Object.entries(commandPages()))
  test(`${path} is up to date (npx tsx build/command-pages.ts makes it)`, () => {
    assert.is(readFileSync(join(root, path), 'utf8'), content);
  });

const completions: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['commands', ['st'], ['status']],
  ['all commands', [''], [...Object.keys(commands), '--help', '--version']],
  ['flags of a command', ['pack', '--s'], ['--sign', '--self', '--store']],
  ['flags that another command has', ['status', '--sign'], []],
  ['a folder', ['run', '--dir', 'sr'], ['src']],
  ['a file', ['verify', 'package.j'], ['package.json']],
  ['nothing where a number is wanted', ['run', '--port', ''], []],
];
for (const [what, words, expected] of completions)
  test(`bash completes ${what}`, () => {
    const script = `source deploy/completion.bash; COMP_WORDS=(tope-updater "$@"); COMP_CWORD=$#; _tope_updater; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', ...words], {
      cwd: root,
      encoding: 'utf8',
    });
    assert.is(stderr, '');
    assert.equal(
      stdout.split('\n').filter((line) => line !== ''),
      expected,
    );
  });

test('the manual page has no line that groff warns about', () => {
  const made = spawnSync('groff', ['-man', '-Tutf8', '-ww', join(root, 'deploy/tope-updater.8')], {
    encoding: 'utf8',
  });
  if (made.error !== undefined) return console.log('skipped: groff: not installed');
  assert.equal([made.status, made.stderr], [0, '']);
  assert.match(made.stdout, /tope/);
});

test.run();
