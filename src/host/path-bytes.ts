/**
 * Names of files as text. A Linux name is any bytes; those that are no UTF-8 (an old Latin-1 name) become lone surrogates
 * U+DC80 to U+DCFF, one for each byte, as Python has them (PEP 383). JSON keeps them, and the way back is exact. Pure.
 */

/** The text of a name or path; the inverse of pathBytes(). */
export function pathText(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  // Only what was no UTF-8 has a replacement character that was not there.
  if (!text.includes('\ufffd') || Buffer.from(text).equals(bytes)) return text;
  let escaped = '';
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    escaped +=
      length === 0 ? String.fromCharCode(0xdc00 + (bytes[at] ?? 0)) : bytes.toString('utf8', at, at + length);
    at += Math.max(length, 1);
  }
  return escaped;
}

/** What the system takes for a path. */
export function pathBytes(path: string): string | Buffer {
  if (!loneByte.test(path)) return path;
  const parts = path
    .split(everyLoneByte)
    .map((part) => (loneByte.test(part) ? Buffer.from([part.charCodeAt(0) - 0xdc00]) : Buffer.from(part)));
  return Buffer.concat(parts);
}

/** With the `u` flag a surrogate that has its partner is no match. */
const loneByte = /[\udc80-\udcff]/u;
const everyLoneByte = /([\udc80-\udcff])/u;

/** Bytes of the UTF-8 sequence that begins here; 0: none does. */
function sequenceLength(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4; length++) {
    const part = bytes.subarray(at, at + length);
    if (part.length === length && Buffer.from(part.toString('utf8')).equals(part)) return length;
  }
  return 0;
}
