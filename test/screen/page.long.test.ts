/** The page as a document: its size, its policy, its language level, its words. No browser needed. */
import { createHash } from 'node:crypto';
import { transform } from 'esbuild';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errorCodes } from '../../src/errors.ts';
import { realClock } from '../../src/host/clock.ts';
import { startServer } from '../../src/http/server.ts';
import { markup } from '../../src/screen/markup.ts';
import { screenPage } from '../../src/screen/page.ts';
import { script } from '../../src/screen/script.ts';
import { words } from '../../src/screen/words.ts';
import { collectingLog, scriptedUpdater } from '../fixtures/scripted-updater.ts';

const test = suite('page');
const { html, headers } = await screenPage();
const policy = headers['Content-Security-Policy'] ?? '';
const code = /<script>(.*)<\/script>/s.exec(html)?.[1] ?? '';

test('less than 20 kB are served', () => {
  const bytes = Buffer.byteLength(html);
  console.log(`measured: the page has ${bytes} bytes`);
  assert.ok(bytes < 20_000, `${bytes} bytes`);
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

test('the script is JavaScript of 2009: nothing in it is newer than ES5', async () => {
  const options = { target: 'es5', charset: 'utf8', supported: {} } as const;
  // What ES5 has no words for is refused (let, class) or rewritten (arrows, templates): then the two differ.
  const asIs = await transform(code, { target: 'esnext', charset: 'utf8' });
  assert.is((await transform(code, options)).code, asIs.code);
});

test('every element that the script asks for is there', () => {
  const asked = [...script.matchAll(/(?:\$|put)\('(\w+)'/g)].map(([, id]) => id);
  assert.ok(asked.length > 20);
  for (const id of asked) assert.ok(markup.includes(`id="${id}"`), id);
});

test('every word that the script says exists in both languages, and no word is there in vain', () => {
  const said = new Set([...script.matchAll(/\btext\.(\w+)/g)].map(([, name]) => name));
  assert.equal([...said].sort(), Object.keys(words.text).sort());
  const pairs = [words.stages, ...Object.values(words.others), words.errors, words.text].flatMap((table) =>
    Object.values(table),
  );
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
