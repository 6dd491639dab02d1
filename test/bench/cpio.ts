/**
 * Writes a cpio archive of the format "newc", which swupdate takes: each member is a header of "070701" and thirteen
 * fields of 8 hexadecimal digits, its name with a NUL, its content, each padded to 4 bytes; the last is TRAILER!!!.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';

/** `members`: paths of files, each of which fits into memory, in the order wanted. */
export function writeCpio(path: string, members: readonly string[]): void {
  writeFileSync(path, '');
  for (const member of members) appendMember(path, basename(member), readFileSync(member));
  appendMember(path, 'TRAILER!!!', Buffer.alloc(0));
}

function appendMember(path: string, name: string, content: Uint8Array): void {
  const regularFile = 0o100644;
  // inode, mode, uid, gid, links, mtime, size, four device numbers, length of the name with its NUL, checksum
  const fields = [1, regularFile, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0];
  const hex = fields.map((field) => field.toString(16).toUpperCase().padStart(8, '0')).join('');
  appendFileSync(path, padded(Buffer.from(`070701${hex}${name}\0`)));
  appendFileSync(path, padded(content));
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
