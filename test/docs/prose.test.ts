/** What can be checked of the words: both READMEs have one content, and words that were found hard to read do not come back. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('prose');
const root = join(import.meta.dirname, '../..');
const pages = ['.', 'docs'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name)),
);
const [english, chinese] = [read('README.md'), read('README.zh-CN.md')];

/** A word, and what is said in its place. The change log is history and stays as it was. */
const banned: readonly (readonly [RegExp, string])[] = [
  [/\btold are\b/i, 'a verb that has a subject: "it names ..."'],
  [/\bmended\b/i, '"repaired" or "fixed"'],
  [/\b(rules of|leaves?|in) (the|our) house\b/i, '"this repository", "in the field"'],
  [/密封码/, '消息认证码（MAC）'],
];

for (const page of pages.filter((name) => name !== 'CHANGELOG.md'))
  test(`${page} has none of the words on the list`, () => {
    const found = read(page)
      .split('\n')
      .flatMap((line, index) =>
        banned
          .filter(([word]) => word.test(line))
          .map(([, better]) => `${page}:${index + 1}: ${line.trim()} (better: ${better})`),
      );
    assert.equal(found, []);
  });

for (const [what, ours, theirs] of [
  ['READMEs', english, chinese],
  ['quick starts', read('docs/quick-start.md'), read('docs/quick-start.zh-CN.md')],
] as const) {
  test(`both ${what} have the same headings, by level and number`, () => {
    const levels = (text: string) => withoutCode(text).match(/^#+(?= )/gm);
    assert.equal(levels(theirs), levels(ours));
  });

  test(`both ${what} show the same commands and answers`, () => {
    assert.ok(commandsOf(ours).length > 10);
    assert.equal(commandsOf(theirs), commandsOf(ours));
  });
}

test('both READMEs lead to the same pages, part by part', () => {
  assert.equal(partsOf(chinese).map(linksOf), partsOf(english).map(linksOf));
});

test('both READMEs compare the same programs in the same columns', () => {
  const shape = (text: string) => (text.match(/^\|.*\|$/gm) ?? []).map((row) => row.split('|').length);
  assert.equal(shape(chinese), shape(english));
});

test.run();

function read(page: string): string {
  return readFileSync(join(root, page), 'utf8');
}

function withoutCode(text: string): string {
  return text.replace(/^ {4}.*$|^```[\s\S]*?^```$/gm, '');
}

/** Without the comments, which are in the page's language. */
function commandsOf(text: string): string[] {
  const lines = [...text.matchAll(/^ {4}.*$|^```.*\n([\s\S]*?)^```$/gm)].flatMap(([whole, fenced]) =>
    (fenced ?? whole).split('\n'),
  );
  return lines.map((line) => line.replace(/ +# .*$/, '').trim());
}

function partsOf(text: string): string[] {
  return text.split(/^## /m);
}

/** Where the links of a part lead, each once; the order of words differs between languages. */
function linksOf(part: string): string[] {
  const links = [...part.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) =>
    link.replace('.zh-CN.md', '.md'),
  );
  return [...new Set(links.filter((link) => !link.startsWith('README')))].sort();
}
