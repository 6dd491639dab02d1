/** The command line: what is asked for, help from the table, and that every mistake names itself. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseArguments } from '../../src/cli/arguments.ts';
import { options, UsageError } from '../../src/config.ts';

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

test('the help of run shows every flag with its meaning and default', () => {
  const help = parseArguments(['run', '--help']);
  if (help.kind !== 'help') throw new Error(`is ${help.kind}`);
  for (const { flag, doc } of Object.values(options)) {
    assert.ok(help.text.includes(`  --${flag}`), flag);
    assert.ok(help.text.includes(doc), flag);
  }
  assert.ok(help.text.includes('--config FILE'));
  assert.match(help.text, /--port PORT .*\(default 12315\)/);
});

const mistakes: readonly (readonly [readonly string[], string])[] = [
  [[], 'no command given'],
  [['fly'], '"fly"'],
  [['--port', '1'], '"--port"'],
  [['constructor'], '"constructor"'],
  [['run', '--prot', '1'], "'--prot'"],
  [['run', '-x'], "'-x'"],
  [['run', '--port'], "'--port"],
  [['run', '--allow-http=yes'], "'--allow-http'"],
  [['run', 'now'], '"now"'],
  [['run', '--', '--port'], '"--port"'],
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
