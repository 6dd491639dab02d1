/**
 * Writes a tar archive (POSIX.1-1988 ustar) of small files.
 *
 * An archive is blocks of 512 bytes: for each file a header, then its content filled up with zeros; two blocks of zeros
 * end it. In a header numbers are octal text, ended by NUL:
 *
 *     0 name 100 | 100 mode 8 | 108 uid 8 | 116 gid 8 | 124 size 12 | 136 mtime 12 | 148 checksum 8 | 156 type 1
 *     157 link 100 | 257 "ustar" NUL "00" | 265 user 32 | 297 group 32 | 329 device 16 | 345 prefix 155 | 500 zeros 12
 *
 * The checksum is the sum of the header's bytes, with spaces in its own place.
 */

export interface TarFile {
  /** Relative, at most 100 ASCII characters. */
  readonly name: string;
  readonly content: Uint8Array;
  readonly modifiedMs: number;
}

const blockBytes = 512;

/** The archive, piece by piece. Files belong to root and are for their owner alone. */
export async function* tarOf(files: AsyncIterable<TarFile> | Iterable<TarFile>): AsyncGenerator<Uint8Array> {
  for await (const file of files) {
    yield headerOf(file);
    yield file.content;
    yield new Uint8Array(-file.content.length & (blockBytes - 1));
  }
  yield new Uint8Array(2 * blockBytes);
}

function headerOf({ name, content, modifiedMs }: TarFile): Uint8Array {
  if (!/^[ -~]{1,100}$/.test(name)) throw new Error(`a name that a tar header cannot hold: ${name}`);
  const header = Buffer.alloc(blockBytes);
  const octal = (value: number, digits: number, at: number) =>
    header.write(value.toString(8).padStart(digits, '0'), at, 'latin1');
  header.write(name, 0, 'latin1');
  octal(0o600, 7, 100);
  octal(0, 7, 108);
  octal(0, 7, 116);
  octal(content.length, 11, 124);
  octal(Math.max(0, Math.floor(modifiedMs / 1000)), 11, 136);
  header.write('        0', 148, 'latin1');
  header.write('ustar\0' + '00', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0`, 148, 'latin1');
  return header;
}
