/** docs/troubleshooting.md has one section for each error code, in the order of src/errors.ts, with its API code. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { apiCode, errorCodes } from '../../src/errors.ts';

const test = suite('docs/troubleshooting.md');
const docs = join(import.meta.dirname, '../../docs');
const page = readFileSync(join(docs, 'troubleshooting.md'), 'utf8');
const sections = [...page.matchAll(/^## ([A-Z0-9_]+)\n\n(\d{3})\. ([\s\S]*?)(?=^## )/gm)];

test('every error code has its section', () => {
  assert.equal(
    sections.map(([, code]) => code),
    errorCodes,
  );
});

for (const [, code = '', number, text = ''] of sections)
  test(`${code}: its API code, and what to do or why`, () => {
    const known = errorCodes.find((one) => one === code);
    assert.is(Number(number), known && apiCode(known));
    assert.match(text, /^- /m);
  });

test.run();
