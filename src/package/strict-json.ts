/**
 * JSON that means the same to every reader. Pure. Of two equal keys other parsers take the first, and `__proto__` is a key like
 * any other here: ways to show one manifest to the signer and another to the device. Both are errors, as is deep nesting.
 */

const maxDepth = 32;

/** The value of a JSON text; throws a SyntaxError that says what is wrong and where. */
export function parseStrictJson(text: string): unknown {
  refuseAmbiguity(text);
  return JSON.parse(text);
}

/** Walks brackets and keys before JSON.parse builds anything: depth costs no memory. What is no JSON is left to that to explain. */
function refuseAmbiguity(text: string): void {
  // One element for every open bracket: the keys seen so far, or undefined for an array.
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '{' || character === '[') {
      if (open.length === maxDepth)
        throw new SyntaxError(`nested more than ${maxDepth} levels deep at position ${at}`);
      open.push(character === '{' ? new Set() : undefined);
    } else if (character === '}' || character === ']') {
      open.pop();
    } else if (character === '"') {
      const end = endOfString(text, at);
      if (isKey(text, end)) noteKey(open.at(-1), text.slice(at, end));
      at = end - 1;
    }
  }
}

function noteKey(keys: Set<string> | undefined, quoted: string): void {
  // Unquoted by JSON.parse, since "\u0061" and "a" are the same key.
  const key: unknown = JSON.parse(quoted);
  if (keys === undefined || typeof key !== 'string') return;
  if (key === '__proto__') throw new SyntaxError('the key "__proto__" is not accepted');
  if (keys.has(key)) throw new SyntaxError(`the key ${quoted} is given twice in one object`);
  keys.add(key);
}

/** Position after the closing quote of the string that opens at `start`; the text's end when it is never closed. */
function endOfString(text: string, start: number): number {
  let quote = text.indexOf('"', start + 1);
  while (quote !== -1 && isEscaped(text, quote)) quote = text.indexOf('"', quote + 1);
  return quote === -1 ? text.length : quote + 1;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text[at - 1 - backslashes] === '\\') backslashes++;
  return backslashes % 2 === 1;
}

function isKey(text: string, after: number): boolean {
  let at = after;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return text[at] === ':';
}
