/** What is said of a manifest that is no JSON: line, column, and what would have to be there; in the same words on every Node. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseManifest } from '../../src/package/manifest.ts';
import { parseStrictJson } from '../../src/package/strict-json.ts';

const test = suite('faults of JSON');

const cases: readonly (readonly [string, string, string])[] = [
  ['nothing', '', 'line 1 column 1: a value is expected, not the end of the text'],
  ['a comma too many', '{\n  "a": 1,\n}', 'line 3 column 1: a key in quotes is expected, not "}"'],
  ['a comma too many in a list', '[1,\n 2,\n]', 'line 3 column 1: a value is expected, not "]"'],
  ['a comma that is missing', '{\n  "a": 1\n  "b": 2 }', 'line 3 column 3: "," or "}" is expected, not """'],
  ['a comma missing in a list', '["a"\n "b"]', 'line 2 column 2: "," or "]" is expected, not """'],
  ['no quotes', '{ version: 1 }', 'line 1 column 3: a key in quotes is expected, not "v"'],
  ['other quotes', '{\n "a": \'x\' }', 'line 2 column 7: a value is expected, not "\'"'],
  ['no colon', '{ "a" 1 }', 'line 1 column 7: ":" is expected, not "1"'],
  [
    'a text without end',
    '{ "a": "x\n}',
    'line 1 column 10: the quote that ends the text is expected, not the end of the line',
  ],
  [
    'a wrong escape',
    '{ "a": "C:\\x" }',
    'line 1 column 11: an escape such as "\\n" or "\\\\" is expected, not "\\"',
  ],
  ['cut', '{ "a": [1, {', 'line 1 column 13: a key in quotes is expected, not the end of the text'],
  ['text behind it', '{}\n\n{}', 'line 3 column 1: the end of the text is expected, not "{"'],
  ['a wrong bracket', '{"a": [1}', 'line 1 column 9: "," or "]" is expected, not "}"'],
  ['Python', '{"a": True}', 'line 1 column 7: a value is expected, not "T"'],
  ['a key twice', '{ "a": 1,\n  "\\u0061": 2 }', 'line 2 column 3: the key "a" is given twice in one object'],
  ['a byte order mark', '\ufeff{}', 'it begins with a byte order mark (BOM): save it as UTF-8 without one'],
];
for (const [what, text, says] of cases)
  test(what, () => {
    assert.throws(
      () => parseStrictJson(text),
      (thrown: unknown) => {
        assert.instance(thrown, SyntaxError);
        assert.is((thrown as Error).message, says);
        return true;
      },
    );
  });

test('what JSON.parse takes is taken, and the other way round', () => {
  const texts = [
    '1',
    '-0.5e+3',
    '"\\u00e9\\n"',
    '[]',
    '{}',
    ' [ { "a" : [ null , true , false ] } ] ',
    '01',
    '1.',
    '.5',
    '"\t"',
    'nul',
    '+1',
    '[1,]',
    '{"a":}',
  ];
  for (const text of texts) {
    const ours = outcome(() => parseStrictJson(text));
    assert.equal(
      ours,
      outcome(() => JSON.parse(text)),
      text,
    );
  }
});

test('the device says so of a package in one line without escapes', () => {
  const text = '{\n  "version": "1.0.0",\n  "modules": [],\n}\n';
  assert.throws(
    () => parseManifest(Buffer.from(text)),
    /^INVALID_MANIFEST: manifest\.json: not valid JSON: line 4 column 1: a key in quotes is expected, not "}"$/,
  );
});

function outcome(act: () => unknown): unknown {
  try {
    return act();
  } catch {
    return 'refused';
  }
}

test.run();
