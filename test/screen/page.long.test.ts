/** The page as a document: its size, its policy, its language level, its words. No browser needed. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { transform } from 'esbuild';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errorCodes } from '../../src/errors.ts';
import { realClock } from '../../src/host/clock.ts';
import { startServer } from '../../src/http/server.ts';
import * as text from '../../src/screen/browser/text.ts';
import type { Pair } from '../../src/screen/browser/words.ts';
import * as words from '../../src/screen/browser/words.ts';
import { markup } from '../../src/screen/markup.ts';
import { screenPage } from '../../src/screen/page.ts';
import { collectingLog, scriptedUpdater } from '../fixtures/scripted-updater.ts';

const test = suite('page');
const { html, headers } = await screenPage(['rollback']);
const policy = headers['Content-Security-Policy'] ?? '';
const folder = join(import.meta.dirname, '../../src/screen/browser');
/** What the script is made of. */
const script = readdirSync(folder)
  .filter((name) => name.endsWith('.ts') && name !== 'words.ts' && name !== 'text.ts')
  .map((name) => readFileSync(join(folder, name), 'utf8'))
  .join('\n');
const code = /<script>(.*)<\/script>/s.exec(html)?.[1] ?? '';

test('less than 24 kB are served', () => {
  const bytes = Buffer.byteLength(html);
  console.log(`measured: the page has ${bytes} bytes`);
  assert.ok(bytes < 24_000, `${bytes} bytes`);
});

test('the policy names the digest of the script and of the style, and lets nothing else in', () => {
  const style = /<style>(.*)<\/style>/s.exec(html)?.[1] ?? '';
  const digest = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  assert.equal(policy.split('; '), [
    "default-src 'none'",
    `script-src ${digest(code)}`,
    `style-src ${digest(style)}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ]);
});

test('nothing comes from elsewhere, and nothing is made of markup', () => {
  assert.not.match(html, /\b(?:https?:)?\/\/[a-z]/i);
  assert.not.match(html, /\bsrc=|url\(|@import|\bon[a-z]+="|style="/);
  assert.not.match(code, /innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function/);
});

test('the script is JavaScript of ES2015, as WebKit 602 and Chromium 49 have it', async () => {
  // What ES2015 has no words for is rewritten (?., ??, spread of objects): then the two differ.
  const asIs = await transform(code, { target: 'esnext', charset: 'utf8' });
  assert.is((await transform(code, { target: 'es2015', charset: 'utf8' })).code, asIs.code);
  // Of what stands in for newer syntax, and of the page's own calls, nothing is newer either; nor are those of the DOM.
  assert.not.match(
    code,
    /getOwnPropertyDescriptors|\.(includes|padStart|values|entries|append|closest|replaceWith)\(/,
  );
  // WebKit 602 takes the variable of such a loop for declared twice when it has the name of a parameter.
  assert.not.match(code, /for\((let|const) /);
});

test('every element that the script asks for is there', () => {
  const asked = [...script.matchAll(/(?:\$|put|empty)\('(\w+)'/g)].map(([, id]) => id);
  assert.ok(asked.length > 20);
  for (const id of asked) assert.ok(markup.includes(`id="${id}"`), id);
});

test('every word that the script says exists in both languages, and no word is there in vain', () => {
  const said = new Set([...script.matchAll(/\btext\.(?!ts\b)(\w+)/g)].map(([, name]) => name));
  assert.equal([...said].sort(), Object.keys(text).sort());
  const { further, actions, others, stages, errors, unknown } = words;
  const tables: Record<string, Pair>[] = [stages, errors, text, further, unknown, ...Object.values(others)];
  const pairs = [...tables, ...Object.values(actions)].flatMap((table) => Object.values(table));
  for (const [english, chinese] of [...pairs, ...words.steps]) {
    assert.match(english, /^[ -~…]+$/);
    assert.ok(/[\u4e00-\u9fff]/.test(chinese) || chinese === '{} / {}', chinese);
  }
});

test('every error that an update can end with has words', () => {
  const refusalsOnly = ['VALIDATION_ERROR', 'DOWNLOAD_INCOMPLETE', 'MD5_NOT_VERIFIED', 'VERSION_MISMATCH'];
  assert.equal(
    Object.keys(words.errors).sort(),
    errorCodes.filter((name) => !refusalsOnly.includes(name)).sort(),
  );
});

test('served at / to whoever names us rightly, without a token, by GET and HEAD alone', async () => {
  const options = { host: '127.0.0.1', port: 0, version: '1', log: collectingLog(), clock: realClock() };
  const server = await startServer(scriptedUpdater(), { ...options, token: 'secret' });
  const url = `http://127.0.0.1:${server.port}/`;
  const response = await fetch(url);
  assert.is(response.status, 200);
  assert.is(response.headers.get('content-type'), 'text/html; charset=utf-8');
  assert.is(response.headers.get('content-security-policy'), policy);
  assert.is(response.headers.get('x-frame-options'), 'DENY');
  assert.is(response.headers.get('x-content-type-options'), 'nosniff');
  assert.is(await response.text(), html);
  assert.is((await fetch(url, { method: 'HEAD' })).status, 200);
  assert.is((await fetch(url, { method: 'POST' })).status, 405);
  assert.is((await fetch(url, { headers: { origin: 'http://evil.example' } })).status, 403);
  await server.close();
});

test.run();
