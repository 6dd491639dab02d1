/** The command line: what is asked for, help from the table, and that every mistake names itself. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseArguments } from '../../src/cli/arguments.ts';
import type { CommandSpec } from '../../src/cli/command-spec.ts';
import { commands, exitCodes } from '../../src/cli/commands.ts';
import { UsageError } from '../../src/config.ts';

const test = suite('arguments');

test('run takes flags in both forms, lists by repetition, switches alone', () => {
  const invocation = parseArguments([
    'run',
    '--port',
    '1',
    '--host=::1',
    '--allow-root',
    '/a',
    '--allow-root=/b',
    '--allow-http',
  ]);
  if (invocation.kind !== 'command') throw new Error(`is ${invocation.kind}`);
  assert.is(invocation.command, 'run');
  assert.equal(
    { ...invocation.flags },
    { port: '1', host: '::1', 'allow-root': ['/a', '/b'], 'allow-http': true },
  );
});

test('help and version are asked for in the usual ways', () => {
  for (const argv of [['--help'], ['-h'], ['help'], ['run', '--help'], ['run', '--port', '1', '-h']])
    assert.is(parseArguments(argv).kind, 'help', argv.join(' '));
  for (const argv of [['--version'], ['-V']]) assert.is(parseArguments(argv).kind, 'version');
});

test('the help of every command shows each flag with its meaning and default, examples, and fits 80 columns', () => {
  for (const [name, spec] of Object.entries<CommandSpec>(commands)) {
    const help = parseArguments([name, '--help']);
    if (help.kind !== 'help') throw new Error(`is ${help.kind}`);
    const words = help.text.replace(/\s+/g, ' ');
    for (const { flag, doc } of spec.flags) {
      assert.ok(words.includes(` --${flag} `), `${name} --${flag}`);
      assert.ok(words.includes(doc), `${name} --${flag}: ${doc}`);
    }
    assert.ok(spec.examples.length > 0, name);
    for (const [line] of spec.examples) assert.ok(help.text.includes(`  tope-updater ${line}\n`), line);
    const [tooLong] = help.text.split('\n').filter((line) => line.length > 80 && !line.startsWith('  tope-'));
    assert.is(tooLong, undefined);
    assert.ok(help.text.endsWith('\n'), 'ends its last line');
  }
  const help = parseArguments(['run', '--help']);
  assert.match(help.kind === 'help' ? help.text.replace(/\s+/g, ' ') : '', /--port PORT .*\(default 12315\)/);
});

test('the general help names every command and every exit status', () => {
  const help = parseArguments(['--help']);
  if (help.kind !== 'help') throw new Error(`is ${help.kind}`);
  for (const [name, { summary }] of Object.entries(commands)) {
    assert.match(help.text, new RegExp(`^  ${name} `, 'm'));
    assert.ok(help.text.replace(/\s+/g, ' ').includes(summary), name);
  }
  for (const meaning of Object.values(exitCodes)) assert.ok(help.text.includes(meaning), meaning);
});

test('one letter does for the flags that have one', () => {
  const invocation = parseArguments(['pack', 'here', '-o', 'there.zip']);
  if (invocation.kind !== 'command') throw new Error(`is ${invocation.kind}`);
  assert.equal({ ...invocation.flags }, { output: 'there.zip' });
  assert.equal(invocation.operands, ['here']);
});

test('a value that begins with a dash is told how to write, in place of being called ambiguous', () => {
  assert.throws(
    () => parseArguments(['run', '--rate-limit', '-1']),
    /^run: --rate-limit is given no value \(one that begins with a dash is written --rate-limit=-VALUE; see tope-updater run --help\)$/,
  );
});

test('help COMMAND shows that command', () => {
  for (const first of ['help', '--help', '-h'])
    assert.equal(parseArguments([first, 'install']), parseArguments(['install', '--help']));
});

const mistakes: readonly (readonly [readonly string[], string])[] = [
  [[], 'no command given'],
  [['fly'], '"fly" (see'],
  [['instal'], 'unknown command "instal"; did you mean "install"?'],
  [['stauts'], 'did you mean "status"?'],
  [['rolback'], 'did you mean "rollback"?'],
  [['help', 'rolback'], 'did you mean "rollback"?'],
  [['help', 'run', 'now'], '"now"'],
  [['status', '--wacht'], 'did you mean "--watch"?'],
  [['run', '--alow-root=/a'], 'did you mean "--allow-root"?'],
  [['--port', '1'], '"--port"'],
  [['constructor'], '"constructor"'],
  [['run', '--prot', '1'], "'--prot'"],
  [['run', '-x'], "'-x'"],
  [['run', '--port'], "'--port"],
  [['run', '--allow-http=yes'], "'--allow-http'"],
  [['run', 'now'], '"now"'],
  [['run', '--', '--port'], '"--port"'],
  [['pack'], 'DIR|manifest.json is missing'],
  [['init', 'a', 'b'], '"b"'],
  [['pack', 'a', '-q'], "'-q'"],
  [['run', '--__proto__', '1'], "'--__proto__'"],
];
for (const [argv, named] of mistakes)
  test(`a mistake is named: ${argv.join(' ') || '(nothing)'}`, () => {
    try {
      parseArguments(argv);
    } catch (thrown) {
      assert.instance(thrown, UsageError);
      assert.ok((thrown as UsageError).message.includes(named), (thrown as UsageError).message);
      return;
    }
    throw new Error('nothing was refused');
  });

test.run();
