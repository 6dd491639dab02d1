/**
 * Where a text that is no JSON stops being it, by line and column, and what would have to stand there. Pure. JSON.parse says that in
 * other words with every version, and often not where.
 */
import { quoted } from './path-fault.ts';

interface Fault {
  readonly at: number;
  readonly expected: string;
}

/** `line 3 column 5: a key in quotes is expected, not "}"`. `text`: what JSON.parse refused, nested no deeper than it takes. */
export function jsonFault(text: string): string {
  if (text.startsWith('\ufeff'))
    return 'it begins with a byte order mark (BOM): save it as UTF-8 without one';
  const end = value(text, 0);
  const { at, expected } =
    typeof end === 'object' ? end : { at: afterBlanks(text, end), expected: 'the end of the text' };
  const found = at < text.length ? quoted(String.fromCodePoint(text.codePointAt(at) ?? 0)) : undefined;
  const words = found === '"\\u{a}"' ? 'the end of the line' : (found ?? 'the end of the text');
  return `${placeOf(text, at)}: ${expected} is expected, not ${words}`;
}

/** `line 3 column 5` of a position. */
export function placeOf(text: string, at: number): string {
  const before = text.slice(0, at);
  return `line ${before.split('\n').length} column ${at - before.lastIndexOf('\n')}`;
}

/** The position behind the value that begins at `from`, or after blanks. */
function value(text: string, from: number): number | Fault {
  const at = afterBlanks(text, from);
  const first = text[at];
  if (first === '{' || first === '[') return list(text, at + 1, first === '{');
  if (first === '"') return string(text, at);
  const end = matchEnd(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y, text, at);
  return end ?? { at, expected: 'a value' };
}

/** What stands between brackets, from behind the first of them. */
function list(text: string, from: number, isObject: boolean): number | Fault {
  const closing = isObject ? '}' : ']';
  let at = afterBlanks(text, from);
  if (text[at] === closing) return at + 1;
  for (;;) {
    const end = isObject ? member(text, at) : value(text, at);
    if (typeof end === 'object') return end;
    at = afterBlanks(text, end);
    if (text[at] === closing) return at + 1;
    if (text[at] !== ',') return { at, expected: `"," or "${closing}"` };
    at = afterBlanks(text, at + 1);
  }
}

function member(text: string, at: number): number | Fault {
  if (text[at] !== '"') return { at, expected: 'a key in quotes' };
  const end = string(text, at);
  if (typeof end === 'object') return end;
  const colon = afterBlanks(text, end);
  return text[colon] === ':' ? value(text, colon + 1) : { at: colon, expected: '":"' };
}

function string(text: string, start: number): number | Fault {
  for (let at = start + 1; ; ) {
    const character = text[at];
    if (character === '"') return at + 1;
    if (character === undefined || character < ' ') return { at, expected: 'the quote that ends the text' };
    const end = character === '\\' ? matchEnd(/\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4})/y, text, at) : at + 1;
    if (end === undefined) return { at, expected: String.raw`an escape such as "\n" or "\\"` };
    at = end;
  }
}

function afterBlanks(text: string, at: number): number {
  return matchEnd(/[ \t\n\r]*/y, text, at) ?? at;
}

function matchEnd(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}
