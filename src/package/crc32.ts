/**
 * CRC-32 as ZIP uses it (ISO 3309, reflected polynomial 0xEDB88320). Pure but for loading zlib.
 *
 * Node has it built in from 20.15 and 22.2 on; the 32-bit ARM executable carries an older one and uses the table.
 */

/** The CRC of `bytes`, going on from the CRC `value` of what came before (0 at the start); unsigned. */
export type Crc32 = (bytes: Uint8Array, value: number) => number;

/** The fastest implementation this runtime has. */
export async function loadCrc32(): Promise<Crc32> {
  const zlib = await import('node:zlib');
  const builtIn: Crc32 | undefined = zlib.crc32;
  return typeof builtIn === 'function' ? builtIn : tableCrc32();
}

/** One table look-up a byte; the table is made on the spot (1 KiB). */
export function tableCrc32(): Crc32 {
  const table = new Int32Array(256).map((_, byte) => {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? 0xedb88320 : 0);
    return remainder;
  });
  return (bytes, value) => {
    let crc = ~value;
    for (let at = 0; at < bytes.length; at++) {
      crc = (table[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8);
    }
    return ~crc >>> 0;
  };
}
