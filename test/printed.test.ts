/** What others chose is shown as text: in a line, in lines with colours, and in lists of names. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { listText } from '../src/deploy/name-list.ts';
import { printed, printedLines } from '../src/printed.ts';

const test = suite('printed text');

test('in one line nothing is obeyed, and line ends are seen', () => {
  assert.is(
    printed('a\nb\r\u001b[31m\u0085\u202e\u2028é中'),
    'a\\nb\\u000d\\u001b[31m\\u0085\\u202e\\u2028é中',
  );
});

test('in lines the line ends stay, and of the sequences those that are ours', () => {
  const text = '\u001b[1mbold\u001b[0m\n\u001b[31mred\u001b]0;title\u0007';
  assert.is(
    printedLines(text, (sequence) => ['\u001b[0m', '\u001b[1m'].includes(sequence)),
    '\u001b[1mbold\u001b[0m\n\\u001b[31mred\\u001b]0;title\\u0007',
  );
  assert.is(printedLines(text).includes('\u001b'), false);
});

test('a name in a list forges no line', () => {
  assert.is(listText(['a\nforged', 'b']), 'a\\nforged, b');
});

test.run();
