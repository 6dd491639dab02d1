/** The picture of a terminal: what is redrawn shows its last state, styles become classes, times become steps. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { recordTerminal, terminalPicture } from '../../build/terminal-picture.ts';

const test = suite('terminal picture');
const escapeCharacter = String.fromCharCode(27);

function recorded(...chunks: readonly string[]) {
  const { write, lines } = recordTerminal();
  for (const [index, chunk] of chunks.entries()) write(chunk.replaceAll('^', escapeCharacter), index * 1000);
  return lines.map(({ cells, atMs }) => ({
    text: cells.map((cell) => cell.character).join(''),
    cells,
    atMs,
  }));
}

test('a line that is redrawn shows its last state, at the time of its line feed', () => {
  const lines = recorded('10 %', '\r^[K5', '0 %\r\n', 'next\n');
  assert.equal(
    lines.map(({ text, atMs }) => [text, atMs]),
    [
      ['50 %', 2000],
      ['next', 3000],
    ],
  );
});

test('styles add up and are reset, also where a chunk ends within a sequence', () => {
  const [line] = recorded('^[1m^[3', '6mA^[0mB\n');
  assert.equal(
    line?.cells.map(({ style }) => style),
    ['b c', ''],
  );
});

test('what it does not know is an error, not a wrong picture', () => {
  assert.throws(() => recorded('^[2J'), /unknown escape/);
  assert.throws(() => recorded('^[48m'), /unknown style/);
});

test('text is escaped, and each line appears in a step of its own', () => {
  const picture = terminalPicture(recorded('a <b> & c\n', 'd\n'));
  assert.match(picture, 'a &#60;b&#62; &#38; c');
  assert.is(/@keyframes h\{(.*)\}/.exec(picture)?.[1]?.split('}').length, 4);
});

test('the picture in the README is small', () => {
  assert.ok(statSync(join(import.meta.dirname, '../../docs/images/demo.svg')).size < 60_000);
});

test.run();
