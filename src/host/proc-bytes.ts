/**
 * Bytes of the kernel as text and back, whatever they are: arguments, environments and paths need not be UTF-8. Pure.
 *
 * A byte that is no UTF-8 becomes the lone surrogate U+DC00 + byte (as Python's `surrogateescape` does), which JSON keeps as
 * an escape and bytesOfText() turns back: a program is started again with the very bytes that it had.
 */

/** The text of any bytes; bytesOfText() of it gives them back. */
export function textOfBytes(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  if (!text.includes('\uFFFD')) return text;
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    parts.push(length > 0 ? bytes.toString('utf8', at, at + length) : escaped(bytes[at] ?? 0));
    at += Math.max(1, length);
  }
  return parts.join('');
}

export function bytesOfText(text: string): Buffer {
  if (!/[\uDC80-\uDCFF]/u.test(text)) return Buffer.from(text);
  const parts = text.split(/([\uDC80-\uDCFF])/u);
  return Buffer.concat(
    parts.map((part, index) =>
      index % 2 === 1 ? Buffer.from([part.charCodeAt(0) & 0xff]) : Buffer.from(part),
    ),
  );
}

/** Of the valid UTF-8 sequence that begins at `at`; 0: there is none. */
function sequenceLength(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  const sequence = bytes.subarray(at, at + length);
  return Buffer.from(sequence.toString('utf8')).equals(sequence) ? length : 0;
}

function escaped(byte: number): string {
  return String.fromCharCode(0xdc00 + byte);
}
