/**
 * JSON that means the same to every reader. Pure. Of two equal keys other parsers take the first, and `__proto__` is a key like
 * any other here: ways to show one manifest to the signer and another to the device. Both are errors, as is deep nesting.
 */

import { jsonFault, placeOf } from './json-fault.ts';
import { quoted } from './path-fault.ts';

const maxDepth = 32;

/** The value of a JSON text; throws a SyntaxError that says what is wrong and where. */
export function parseStrictJson(text: string): unknown {
  refuseAmbiguity(text);
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw new SyntaxError(jsonFault(text), { cause: thrown });
  }
}

/** Walks brackets and keys before JSON.parse builds anything: depth costs no memory. What is no JSON is left to that to explain. */
function refuseAmbiguity(text: string): void {
  // One element for every open bracket: the keys seen so far, or undefined for an array.
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '{' || character === '[') {
      if (open.length === maxDepth)
        throw new SyntaxError(`nested more than ${maxDepth} levels deep at ${placeOf(text, at)}`);
      open.push(character === '{' ? new Set() : undefined);
    } else if (character === '}' || character === ']') {
      open.pop();
    } else if (character === '"') {
      const end = endOfString(text, at);
      const key = isKey(text, end) ? keyOf(text.slice(at, end)) : undefined;
      const fault = key === undefined ? undefined : keyFault(open.at(-1), key);
      if (fault !== undefined)
        throw new SyntaxError(`${placeOf(text, at)}: the key ${quoted(key ?? '')} ${fault}`);
      at = end - 1;
    }
  }
}

/** Unquoted by JSON.parse, since "\u0061" and "a" are the same key. Undefined: it is none; the parser says so. */
function keyOf(quotedKey: string): string | undefined {
  try {
    return JSON.parse(quotedKey) as string;
  } catch {
    return undefined;
  }
}

/** `keys`: those of its object so far, to which it is added. */
function keyFault(keys: Set<string> | undefined, key: string): string | undefined {
  if (key === '__proto__') return 'is not accepted';
  if (keys?.has(key)) return 'is given twice in one object';
  keys?.add(key);
  return undefined;
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
