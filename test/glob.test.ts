/** Patterns of `config` and `keep`: what they match, what they do not, and that no pattern takes long. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { matchesAny, patternFault } from '../src/glob.ts';

const test = suite('patterns');

for (const [pattern, matching, other] of [
  ['printer.cfg', ['printer.cfg'], ['a/printer.cfg', 'printer.cfg/x', 'printerxcfg', 'printer.cf']],
  ['*.cfg', ['a.cfg', '.cfg', '.hidden.cfg'], ['a/b.cfg', 'a.cfg.new', 'cfg']],
  ['conf.d/*', ['conf.d/a', 'conf.d/.a'], ['conf.d', 'conf.d/a/b']],
  ['uploads/**', ['uploads/a', 'uploads/a/b/c', 'uploads'], ['uploads2/a', 'x/uploads/a']],
  ['uploads/', ['uploads/a', 'uploads/a/b'], ['uploads2', 'x/uploads/a']],
  ['**/*.cfg', ['a.cfg', 'x/a.cfg', 'x/y/a.cfg'], ['a.cfgs', 'x/a.cfg/y']],
  ['a/**/z', ['a/z', 'a/b/z', 'a/b/c/z', 'a/z/z'], ['a', 'z', 'a/b', 'b/a/z']],
  ['**', ['a', 'a/b'], []],
  ['?.log', ['1.log'], ['.log', '12.log']],
  ['a*b*c', ['abc', 'aXbYc', 'abbc', 'abcbc'], ['ab', 'acb', 'abcX']],
  ['**/a/**/b', ['a/b', 'x/a/y/b', 'a/a/b/b'], ['a', 'b', 'b/a']],
] as const) {
  test(`${pattern} matches ${matching.join(', ')}${other.length > 0 ? ` and not ${other.join(', ')}` : ''}`, () => {
    for (const path of matching) assert.is(matchesAny([pattern], path), true, path);
    for (const path of other) assert.is(matchesAny([pattern], path), false, path);
  });
}

test('one of several patterns is enough, none matches nothing', () => {
  assert.is(matchesAny(['a', 'b'], 'b'), true);
  assert.is(matchesAny(['a', 'b'], 'c'), false);
  assert.is(matchesAny([], 'a'), false);
});

test('characters beyond the basic plane are one character', () => {
  assert.is(matchesAny(['?'], '🖨'), true);
});

test('a pattern made to take long does not: a regular expression takes hours here', () => {
  const started = process.hrtime.bigint();
  const pattern = `${'*a'.repeat(100)}b`;
  const deep = `${'**/a/'.repeat(30)}b`;
  assert.is(matchesAny([pattern], 'a'.repeat(255)), false);
  assert.is(matchesAny([deep], `${'a/'.repeat(63)}a`), false);
  assert.ok(process.hrtime.bigint() - started < 1_000_000_000n);
});

test('what means something else elsewhere is refused', () => {
  for (const pattern of ['[ab]', '{a,b}', '!a'])
    assert.match(patternFault(pattern) ?? '', /means nothing here/);
  assert.match(patternFault('a**') ?? '', /beside other characters/);
  for (const pattern of ['a', '*', '**', 'a/**/b', '**/*.c?', 'x/'])
    assert.is(patternFault(pattern), undefined);
});

test.run();
