/**
 * CRC-32 as ZIP uses it (ISO 3309, polynomial 0xEDB88320): built into Node from 20.15 and 22.2 on. The 32-bit ARM executable has
 * an older one and no compiler: there zlib computes the sum for the trailer of a gzip member, and those of neighbouring pieces
 * are combined by arithmetic.
 */
import type * as Zlib from 'node:zlib';
import { limits } from '../limits.ts';

/** The CRC of `bytes`, going on from the CRC `value` of what came before (0 at the start); unsigned. */
export type Crc32 = (bytes: Uint8Array, value: number) => number;

/** The fastest implementation that the runtime's zlib offers. */
export function fastestCrc32(zlib: typeof Zlib): Crc32 {
  const builtIn: Crc32 | undefined = zlib.crc32;
  return typeof builtIn === 'function' ? builtIn : gzipCrc32(zlib);
}

/** From the trailer (CRC-32, then length, RFC 1952) of a gzip member that stores the bytes uncompressed. */
export function gzipCrc32(zlib: typeof Zlib): Crc32 {
  // The smallest state zlib can work with, and room for a whole chunk in one piece of output.
  const options = { level: 0, memLevel: 1, windowBits: 9, chunkSize: limits.chunkBytes + 1024 };
  const shift = byteShifter();
  return (bytes, value) => {
    const member = zlib.gzipSync(bytes, options);
    return (shift(value, bytes.length) ^ member.readUInt32LE(member.length - 8)) >>> 0;
  };
}

/** The CRC of a text, moved over so many bytes that follow it: times x^(8n) modulo P, by powers x^(2^k), as zlib's crc32_combine does. */
function byteShifter(): (crc: number, byteCount: number) => number {
  const squares = [0x40000000];
  for (let power = squares[0] ?? 0; squares.length < 32; squares.push(power)) power = multiply(power, power);
  return (crc, byteCount) => {
    let product = crc;
    // The lengths are those of a chunk, far below 2^29: eight times them stays a 32-bit number.
    for (let bits = byteCount * 8, k = 0; bits > 0; bits >>>= 1, k++) {
      if (bits & 1) product = multiply(squares[k] ?? 0, product);
    }
    return product;
  };
}

/** The product of two polynomials modulo P. */
function multiply(a: number, b: number): number {
  let product = 0;
  let power = b;
  for (let bit = 0x80000000; bit !== 0; bit >>>= 1) {
    if (a & bit) product ^= power;
    power = power & 1 ? (power >>> 1) ^ 0xedb88320 : power >>> 1;
  }
  return product;
}
