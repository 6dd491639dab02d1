/** An open file of the model disk: writes are logged per 4 KiB block, growth of the file apart from its content. */
import type { FileStat, OpenFile, OpenHow } from '../../src/host/host.ts';
import { blockBytes, readContent } from './file-content.ts';
import { blocks, type ModelLog } from './model-log.ts';
import { nodeAt } from './model-lookup.ts';
import type { ModelNode } from './model-state.ts';
import { systemError } from './system-error.ts';

/** Opens an inode; `path` serves the error texts only. Every call after close() fails with EBADF. */
export function openModelFile(log: ModelLog, inode: number, path: string, how: OpenHow): OpenFile {
  const release = log.hold(inode);
  let closed = false;
  const alive = (call: string): void => {
    if (closed) throw systemError('EBADF', call, path);
  };
  const writable = (call: string): void => {
    alive(call);
    if (how === 'read') throw systemError('EBADF', call, path);
  };
  return {
    async read(buffer, offset, length, position) {
      alive('read');
      const node = nodeAt(log.state, inode);
      if (node.kind !== 'file') throw systemError('EISDIR', 'read', path);
      return readContent(node.content, buffer, offset, position, length);
    },
    async write(bytes, position) {
      writable('write');
      writeBlocks(log, inode, path, bytes, how === 'append' ? sizeOf(log, inode) : position);
    },
    async sync() {
      alive('fsync');
      log.sync(inode, false, `fsync ${path}`);
    },
    async syncData() {
      alive('fdatasync');
      log.sync(inode, true, `fdatasync ${path}`);
    },
    async truncate(sizeBytes) {
      writable('ftruncate');
      log.change({ kind: 'size', inode, sizeBytes }, `ftruncate ${path}`);
    },
    async setMode(mode) {
      alive('fchmod');
      log.change({ kind: 'mode', inode, mode }, `fchmod ${path}`);
    },
    async setOwner(uid, gid) {
      alive('fchown');
      log.change({ kind: 'owner', inode, uid, gid }, `fchown ${path}`);
    },
    async setModified() {
      alive('futimes');
    },
    async stat() {
      alive('fstat');
      return modelStat(nodeAt(log.state, inode), inode, log.changeCount());
    },
    async attributes() {
      alive('fgetxattr');
      const { named } = nodeAt(log.state, inode);
      return { values: named ?? {}, beyond: [] };
    },
    async setAttribute(name, value) {
      alive('fsetxattr');
      if (value === undefined && nodeAt(log.state, inode).named?.[name] === undefined) return;
      log.change({ kind: 'attribute', inode, name, value }, `fsetxattr ${name} ${path}`);
    },
    async close() {
      alive('close');
      closed = true;
      release();
    },
  };
}

/**
 * A node as stat(2) shows it. Modification times are not modelled: nothing may depend on them after a power cut. Its time of change is
 * that of the whole disk: whoever looks for changes finds one too many.
 */
export function modelStat(node: ModelNode, inode: number, changes: number): FileStat {
  return {
    kind: node.kind,
    sizeBytes: node.kind === 'file' ? node.content.sizeBytes : blockBytes,
    allocatedBytes: 0,
    mode: node.mode,
    uid: node.uid,
    gid: node.gid,
    device: BigInt(node.device),
    inode: BigInt(inode),
    modifiedMs: 0,
    changedNs: BigInt(changes),
  };
}

/**
 * Like write(2) on a filling disk: what fits is written before ENOSPC. Zeros behind the end are logged as one growth of
 * the file: to every reader they are a hole, and a log of a thousand steps that change nothing helps nobody.
 */
function writeBlocks(log: ModelLog, inode: number, path: string, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    const offset = position + done;
    const sizeBytes = sizeOf(log, inode);
    const zeros = offset >= sizeBytes ? leadingZeroBytes(bytes.subarray(done), offset) : 0;
    const length = zeros > 0 ? zeros : Math.min(bytes.length - done, blockBytes - (offset % blockBytes));
    takeSpace(log, inode, path, offset + length);
    if (offset + length > sizeBytes)
      log.change({ kind: 'size', inode, sizeBytes: offset + length }, `write (size) ${path}`);
    if (zeros === 0) {
      const block = Buffer.from(bytes.subarray(done, done + length));
      log.change({ kind: 'data', inode, offset, bytes: block }, `write (data at ${offset}) ${path}`);
    }
    done += length;
  }
}

const zeroBlock = Buffer.alloc(blockBytes);

/** How many bytes from here on are whole blocks (or a last part of one) of zeros. */
function leadingZeroBytes(bytes: Uint8Array, offset: number): number {
  let length = 0;
  while (length < bytes.length) {
    const end = Math.min(bytes.length, length + blockBytes - ((offset + length) % blockBytes));
    if (!zeroBlock.subarray(0, end - length).equals(bytes.subarray(length, end))) break;
    length = end;
  }
  return length;
}

/** Throws ENOSPC where the file cannot grow to `sizeBytes`, or where its own blocks cannot be written anew. */
function takeSpace(log: ModelLog, inode: number, path: string, sizeBytes: number): void {
  const grownBytes = Math.max(
    (blocks(sizeBytes) - blocks(sizeOf(log, inode))) * blockBytes,
    log.overwriteBytes(),
  );
  if (grownBytes > 0 && grownBytes > log.freeBytes(nodeAt(log.state, inode).device))
    throw systemError('ENOSPC', 'write', path);
}

function sizeOf(log: ModelLog, inode: number): number {
  const node = nodeAt(log.state, inode);
  if (node.kind !== 'file') throw new Error(`inode ${inode} is a ${node.kind}, not a file`);
  return node.content.sizeBytes;
}
