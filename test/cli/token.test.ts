/** What `--token-file` may hold: the daemon does not start with a token that no client could ever present. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readToken } from '../../src/cli/token.ts';
import { command } from './command.ts';

const test = suite('the token file');
const folder = mkdtempSync(join(tmpdir(), 'token-'));
const path = join(folder, 'token');
test.after(() => rmSync(folder, { recursive: true, force: true }));

const refused: readonly (readonly [string, string | Uint8Array, RegExp])[] = [
  ['nothing', '', /is empty/],
  ['an empty line', '\n', /is empty/],
  ['blanks alone', ' \t\n', /is empty/],
  ['a blank within', 'open sesame\n', /holds blanks: it must be one word/],
  ['a blank before', ' sesame\n', /holds blanks/],
  ['a blank behind', 'sesame \n', /holds blanks/],
  ['a tab', 'open\tsesame', /holds blanks/],
  ['two lines', 'sesame\nopen\n', /holds more than one line/],
  ['a header of its own', 'sesame\r\nX-Admin: 1', /holds more than one line/],
  ['NUL', 'sesame\0', /holds control characters/],
  ['an escape sequence', '\u001b[31msesame', /holds control characters/],
  ['DEL', 'sesame\u007f', /holds control characters/],
  ['a C1 control character', 'sesame\u0085', /holds control characters/],
  ['letters beyond ASCII', 's\u00e9same', /holds characters that are not ASCII/],
  ['a byte order mark', '\ufeffsesame', /holds characters that are not ASCII/],
  ['more than any token', 's'.repeat(5000), /holds more than 4096 bytes/],
  ['bytes that are no UTF-8', Buffer.from([0x73, 0xff, 0xfe]), /holds characters that are not ASCII/],
];
for (const [what, content, message] of refused)
  test(`${what}: refused`, async () => {
    writeFileSync(path, content);
    const thrown = await readToken(path).then(
      () => undefined,
      (error: Error) => error,
    );
    assert.match(thrown?.message ?? 'taken', message);
    assert.match(thrown?.message ?? '', `--token-file: ${path} `);
    assert.not.match(thrown?.message ?? '', 'same', 'a secret is not repeated');
  });

test('a device without end is not read to its end', async () => {
  const thrown = await readToken('/dev/zero').then(
    () => undefined,
    (error: Error) => error,
  );
  assert.match(thrown?.message ?? 'taken', /\/dev\/zero holds more than 4096 bytes/);
});

for (const [what, content] of [
  ['with a line end', 'Se-s.a_m~e+/==\n'],
  ['with a line end of DOS', 'Se-s.a_m~e+/==\r\n'],
  ['without one', 'Se-s.a_m~e+/=='],
] as const)
  test(`one word ${what}: taken`, async () => {
    writeFileSync(path, content);
    assert.is(await readToken(path), 'Se-s.a_m~e+/==');
  });

test('run does not start with such a file, and says why', async () => {
  const work = join(folder, 'work');
  for (const [content, message] of [
    ['', /--token-file: \S+ is empty/],
    ['open sesame\n', /--token-file: \S+ holds blanks/],
    ['sesame\u0007\n', /--token-file: \S+ holds control characters/],
  ] as const) {
    writeFileSync(path, content);
    const { status, stderr, stdout } = await command([
      'run',
      '--port',
      '0',
      '--dir',
      work,
      '--token-file',
      path,
    ]);
    assert.equal([status, stdout], [2, ''], stderr);
    assert.match(stderr, message);
  }
});

test('a command does not send such a token', async () => {
  writeFileSync(path, 'sesame\r\nX-Admin: 1');
  const { status, stderr } = await command(['status', '--token-file', path]);
  assert.is(status, 2);
  assert.match(stderr, /--token-file: \S+ holds more than one line/);
});

test.run();
