/**
 * Bytes of the kernel as text and back, UTF-8 or not: names, arguments, environments. Pure. A byte that is no UTF-8 becomes the
 * lone surrogate U+DC00 + byte, as Python has it (PEP 383); the way back is exact.
 */

/** The text of any bytes; rawBytes() of it gives them back. */
export function rawText(bytes: Buffer): string {
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

export function rawBytes(text: string): Buffer {
  const parts = text.split(everyLoneByte);
  return Buffer.concat(
    parts.map((part, index) =>
      index % 2 === 1 ? Buffer.from([part.charCodeAt(0) - 0xdc00]) : Buffer.from(part),
    ),
  );
}

/** What the system takes for a path: the text itself where it is all UTF-8. */
export function pathBytes(path: string): string | Buffer {
  return loneByte.test(path) ? rawBytes(path) : path;
}

/** With the `u` flag a surrogate that has its partner is no match. */
const loneByte = /[\udc80-\udcff]/u;
const everyLoneByte = /([\udc80-\udcff])/u;

/** Bytes of the UTF-8 sequence that begins here; 0: none does. */
function sequenceLength(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  const sequence = bytes.subarray(at, at + length);
  return Buffer.from(sequence.toString('utf8')).equals(sequence) ? length : 0;
}
