/** The pages that are made of tables are what the tables say now. The commands' are in test/build, the API's in api.test.ts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configurationPage } from '../../build/configuration-page.ts';
import { limitsPage } from '../../build/limits-page.ts';

const test = suite('generated pages');
const docs = join(import.meta.dirname, '../../docs');

for (const [name, content] of [
  ['configuration', configurationPage],
  ['limits', limitsPage()],
] as const)
  test(`docs/${name}.md is up to date (npx tsx build/${name}-page.ts makes it)`, () => {
    assert.is(readFileSync(join(docs, `${name}.md`), 'utf8'), content);
  });

test.run();
