/**
 * A block device that remembers: one image, served as a file over /dev/fuse without any library, for a loop device to
 * stand on. Every write and every flush the filesystem above sends down is recorded in order.
 *
 * Invariants: requests are answered one at a time, in the order the kernel hands them over; a write is recorded when it
 * is acknowledged. The event loop of this process serves the mount, so nothing in this process may touch the file or
 * anything mounted on it synchronously: that would wait for itself.
 *
 * Protocol (linux/fuse.h 7.31, little endian): each request is a 40-byte header (u32 length, u32 opcode, u64 unique,
 * u64 node, u32 uid, gid, pid, padding) and its arguments; each reply u32 length, i32 -errno, u64 unique and a body.
 */
import fs from 'node:fs';
import { errno } from '../../src/errors.ts';
import { run } from './run-tool.ts';

export type DiskEvent =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'flush' }
  | { readonly kind: 'mark'; readonly name: string };

/** How many writes and flushes there were. */
export function recordedCounts(events: readonly DiskEvent[]): { writes: number; flushes: number } {
  const count = (wanted: DiskEvent['kind']) => events.filter(({ kind }) => kind === wanted).length;
  return { writes: count('write'), flushes: count('flush') };
}

export interface FuseDisk {
  /** Grows while the disk is in use. */
  readonly events: readonly DiskEvent[];
  mark(name: string): void;
  /** Unmounts the file (its users must be gone) and ends the server. */
  stop(): Promise<void>;
}

const headerBytes = 40;
const replyHeaderBytes = 16;
const maxTransferBytes = 128 * 1024;
/** The one file is the root of the mount. */
const rootNode = 1n;

const opcode = {
  forget: 2,
  getattr: 3,
  setattr: 4,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
} as const;

const initFlags = { asyncRead: 1, bigWrites: 1 << 5, maxPages: 1 << 22 };
const enosys = 38;

/** Mounts `image` (changed in place by writes) as a file over `path`, which is created. */
export async function serveFuseDisk(image: Buffer, path: string): Promise<FuseDisk> {
  const events: DiskEvent[] = [];
  const fd = fs.openSync('/dev/fuse', 'r+');
  fs.writeFileSync(path, '');
  const served = serve(fd, image, events);
  const options = 'fd=3,rootmode=100600,user_id=0,group_id=0';
  await run(['mount', '-i', '-t', 'fuse', '-o', options, 'powercut', path], { fd3: fd });
  return {
    events,
    mark: (name) => events.push({ kind: 'mark', name }),
    async stop() {
      await run(['umount', path]);
      await served;
      fs.closeSync(fd);
    },
  };
}

/** Answers requests until the file is unmounted. */
async function serve(fd: number, image: Buffer, events: DiskEvent[]): Promise<void> {
  const buffer = Buffer.alloc(maxTransferBytes + 4096);
  while (true) {
    const received = await readRequest(fd, buffer);
    if (received === 'unmounted') return;
    if (received === 'none') continue;
    const request = buffer.subarray(0, received);
    const answer = handle(request, image, events);
    if (answer !== undefined) reply(fd, request.readBigUInt64LE(8), answer);
  }
}

function readRequest(fd: number, buffer: Buffer): Promise<number | 'none' | 'unmounted'> {
  return new Promise((resolve, reject) => {
    fs.read(fd, buffer, 0, buffer.length, null, (error, length) => {
      if (error === null) return resolve(length);
      if (error.code === 'ENODEV') return resolve('unmounted');
      // EPERM: not mounted yet. ENOENT: the request was withdrawn. The others: ask again.
      if (['EPERM', 'ENOENT', 'EINTR', 'EAGAIN'].includes(error.code ?? ''))
        return setTimeout(() => resolve('none'), 1);
      reject(error);
    });
  });
}

/** A body, or an errno; undefined where the kernel expects no reply. */
function handle(request: Buffer, image: Buffer, events: DiskEvent[]): Buffer | number | undefined {
  const operation = request.readUInt32LE(4);
  const transfer = () => ({
    offset: Number(request.readBigUInt64LE(headerBytes + 8)),
    length: request.readUInt32LE(headerBytes + 16),
  });
  switch (operation) {
    case opcode.init:
      return initReply(request.readUInt32LE(headerBytes + 8));
    case opcode.getattr:
    case opcode.setattr:
      return attributes(image.length);
    case opcode.open:
      return Buffer.alloc(16);
    case opcode.read: {
      const { offset, length } = transfer();
      return image.subarray(offset, Math.min(offset + length, image.length));
    }
    case opcode.write: {
      const { offset, length } = transfer();
      const start = headerBytes + 40;
      const bytes = Buffer.from(request.subarray(start, start + length));
      bytes.copy(image, offset);
      events.push({ kind: 'write', offset, bytes });
      const written = Buffer.alloc(8);
      written.writeUInt32LE(length, 0);
      return written;
    }
    case opcode.fsync:
      events.push({ kind: 'flush' });
      return 0;
    case opcode.flush:
    case opcode.release:
    case opcode.destroy:
      return 0;
    case opcode.statfs:
      return Buffer.alloc(80);
    case opcode.forget:
    case opcode.batchForget:
    case opcode.interrupt:
      return undefined;
    default:
      return enosys; // discard, write-zeroes, extended attributes: the kernel does without
  }
}

function initReply(maxReadahead: number): Buffer {
  const body = Buffer.alloc(64);
  body.writeUInt32LE(7, 0); // protocol 7.31
  body.writeUInt32LE(31, 4);
  body.writeUInt32LE(maxReadahead, 8);
  body.writeUInt32LE(initFlags.asyncRead | initFlags.bigWrites | initFlags.maxPages, 12);
  body.writeUInt16LE(12, 16); // background requests, and where congestion begins
  body.writeUInt16LE(10, 18);
  body.writeUInt32LE(maxTransferBytes, 20);
  body.writeUInt32LE(1, 24); // time granularity in ns
  body.writeUInt16LE(maxTransferBytes / 4096, 28);
  return body;
}

function attributes(sizeBytes: number): Buffer {
  const body = Buffer.alloc(104);
  body.writeBigUInt64LE(3600n, 0); // valid for an hour
  const attribute = body.subarray(16);
  attribute.writeBigUInt64LE(rootNode, 0);
  attribute.writeBigUInt64LE(BigInt(sizeBytes), 8);
  attribute.writeBigUInt64LE(BigInt(sizeBytes / 512), 16);
  attribute.writeUInt32LE(0o100600, 60);
  attribute.writeUInt32LE(1, 64);
  attribute.writeUInt32LE(4096, 80);
  return body;
}

function reply(fd: number, unique: bigint, answer: Buffer | number): void {
  const body = typeof answer === 'number' ? Buffer.alloc(0) : answer;
  const message = Buffer.alloc(replyHeaderBytes + body.length);
  message.writeUInt32LE(message.length, 0);
  message.writeInt32LE(typeof answer === 'number' ? -answer : 0, 4);
  message.writeBigUInt64LE(unique, 8);
  body.copy(message, replyHeaderBytes);
  try {
    fs.writeSync(fd, message);
  } catch (thrown) {
    if (errno(thrown) !== 'ENOENT') throw thrown; // the asker was killed meanwhile
  }
}
