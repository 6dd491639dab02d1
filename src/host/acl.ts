/**
 * POSIX access control lists (acl(5)). Of a file that has one, the group bits of stat(2) are its mask, the most that any name in
 * it may do: what the owning group may do is read from the list itself. By getxattr(2) with node:ffi (Node 26 and newer), else
 * by the program getfacl, where it is installed.
 */

import fs from 'node:fs';
import { cText, foreign } from './foreign.ts';
import { toolOutput } from './tool-output.ts';

/** What the list of a file lets its owning group do, as three bits; undefined: there is no list. */
export interface GroupReader {
  /** A program is started for each. */
  readonly isCostly: boolean;
  /** Of the thing itself, no symlink's. */
  ofName(name: string | Buffer): Promise<number | undefined>;
  /** `fd` may have been opened with O_PATH. */
  ofDescriptor(fd: number): Promise<number | undefined>;
}

/** See anchors.ts. */
const O_PATH = 0o10000000;
const getfacl = '/usr/bin/getfacl';
/** What a filesystem keeps in one attribute at most (xattr(7)). */
const longestList = 65_536;

/** How this system is asked; undefined where it cannot be. */
export function groupReader(): GroupReader | undefined {
  return byForeignCall() ?? (fs.existsSync(getfacl) ? byProgram : undefined);
}

/** The owning group's bits in the value of `system.posix_acl_access` (linux/posix_acl_xattr.h). Undefined where it is no such value. */
export function groupBitsOf(value: Buffer): number | undefined {
  if (value.length < 4 || value.readUInt32LE(0) !== 2) return undefined;
  const owningGroup = 0x04;
  for (let at = 4; at + 8 <= value.length; at += 8)
    if (value.readUInt16LE(at) === owningGroup) return value.readUInt16LE(at + 2) & 7;
  return undefined;
}

type Call = (path: bigint, name: bigint, value: bigint, size: bigint) => bigint;

function byForeignCall(): GroupReader | undefined {
  const call = { arguments: ['uint64', 'uint64', 'uint64', 'uint64'], return: 'int64' } as const;
  const libc = foreign<Readonly<Record<'getxattr' | 'lgetxattr', Call>>>({ getxattr: call, lgetxattr: call });
  if (libc === undefined) return undefined;
  const { functions, pointerTo } = libc;
  const value = Buffer.alloc(longestList);
  const attribute = cText('system.posix_acl_access');
  const read = (of: Call, name: string | Uint8Array) => {
    const path = cText(name);
    const length = of(pointerTo(path), pointerTo(attribute), pointerTo(value), BigInt(value.length));
    return length > 0n ? groupBitsOf(value.subarray(0, Number(length))) : undefined;
  };
  return {
    isCostly: false,
    ofName: async (name) => read(functions.lgetxattr, name),
    ofDescriptor: async (fd) => read(functions.getxattr, `/proc/self/fd/${fd}`),
  };
}

const byProgram: GroupReader = {
  isCostly: true,
  async ofName(name) {
    const fd = await new Promise<number>((resolve, reject) =>
      fs.open(name, O_PATH | fs.constants.O_NOFOLLOW, (error, fd) => (error ? reject(error) : resolve(fd))),
    );
    try {
      return await byProgram.ofDescriptor(fd);
    } finally {
      fs.closeSync(fd);
    }
  },
  async ofDescriptor(fd) {
    const { stdout } = await toolOutput(getfacl, ['-acnps', '--', `/proc/${process.pid}/fd/${fd}`]);
    const bits = /^group::([r-])([w-])([x-])/m.exec(stdout);
    return bits?.slice(1).reduce((sum, bit) => sum * 2 + (bit === '-' ? 0 : 1), 0);
  },
};
