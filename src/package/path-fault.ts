/**
 * What makes a path from a package unusable, and how such text is shown. Pure. One rule for entries, `src`, `dst` and `files`:
 * whatever passes is the same path to every program, stays below its directory, and can be printed in one line.
 */
import { limits } from '../limits.ts';

/** What does not print: C0, DEL and C1 controls, line separators, marks that reorder text, the byte order mark, lone surrogates, non-characters. */
const unprintable =
  /[^ -~\u00a0-\u061b\u061d-\u200d\u2010-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]/u;

/** Why a relative path (components joined by "/") is refused, as a predicate ("is absolute"); undefined: it is fine. */
export function pathFault(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (path.startsWith('/')) return 'is absolute';
  if (path.includes('\\')) return 'has a backslash';
  if (unprintable.test(path)) return 'has a control or unprintable character';
  if (/^[A-Za-z]:/.test(path)) return 'starts with a drive letter';
  const bytes = bytesBeyond(path, limits.pathBytes);
  if (bytes !== undefined) return `is ${bytes} bytes long, more than ${limits.pathBytes}`;
  const components = path.split('/');
  if (components.length > limits.pathDepth)
    return `is ${components.length} levels deep, more than ${limits.pathDepth}`;
  for (const component of components) {
    const fault = componentFault(component);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function componentFault(component: string): string | undefined {
  if (component === '') return 'has an empty component';
  if (component === '.' || component === '..') return `has a "${component}" component`;
  if (component.endsWith('.') || component.endsWith(' '))
    return 'has a component that ends with a dot or a space';
  const bytes = bytesBeyond(component, limits.nameBytes);
  return bytes === undefined ? undefined : `has a component of ${bytes} bytes, more than ${limits.nameBytes}`;
}

/** Undefined: no more than `most`. Counted only where it may be: UTF-8 has at most three bytes for one unit of UTF-16. */
function bytesBeyond(text: string, most: number): number | undefined {
  if (text.length * 3 <= most) return undefined;
  const bytes = Buffer.byteLength(text);
  return bytes > most ? bytes : undefined;
}

/** True when every character of `text` can go into a log line as it is. */
export function isPrintable(text: string): boolean {
  return !unprintable.test(text);
}

/** `printable` text in quotes. */
export function quoted(text: string): string {
  return `"${printable(text)}"`;
}

/** Text from a package for an error or a log line: what does not print becomes `\u{hex}`, and more than 200 characters are cut. */
export function printable(text: string): string {
  const short = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return short.replace(new RegExp(unprintable, 'gu'), (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`);
}
