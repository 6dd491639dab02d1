/**
 * POSIX access control lists (acl(5)). Where a file has one, the group bits that stat(2) gives are its mask: the most that any
 * user or group named in it may do. A mode taken from them would let the owning group do what it never could, so what the
 * owning group may do is read from the list itself.
 *
 * Node has no call for it. With node:ffi (Node 26 and newer) getxattr(2) is called, which takes microseconds where the inode is
 * at hand; without it the program getfacl, where it is installed: nobody sets lists on a device without their programs.
 */
import fs from 'node:fs';

/** What the list of a file lets its owning group do, as three bits; undefined: there is no list. */
export interface GroupReader {
  /** A program is started for each. */
  readonly isCostly: boolean;
  /** Of the thing itself, no symlink's. */
  ofName(name: fs.PathLike): Promise<number | undefined>;
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

/**
 * The owning group's bits in the value of `system.posix_acl_access`: a version (2), then entries of tag, permissions and id
 * (linux/posix_acl_xattr.h). Undefined where it is no such value.
 */
export function groupBitsOf(value: Buffer): number | undefined {
  if (value.length < 4 || value.readUInt32LE(0) !== 2) return undefined;
  const owningGroup = 0x04;
  for (let at = 4; at + 8 <= value.length; at += 8)
    if (value.readUInt16LE(at) === owningGroup) return value.readUInt16LE(at + 2) & 7;
  return undefined;
}

type Call = (path: bigint, name: bigint, value: bigint, size: bigint) => bigint;

/** The part of node:ffi used here; experimental, so its absence is an ordinary case. */
interface ForeignFunctions {
  dlopen(
    library: null,
    signatures: Readonly<Record<'getxattr' | 'lgetxattr', { arguments: readonly string[]; return: string }>>,
  ): { functions: Readonly<Record<'getxattr' | 'lgetxattr', Call>> };
  getRawPointer(buffer: Uint8Array): bigint;
}

function byForeignCall(): GroupReader | undefined {
  // Absent from Node 20.11, whatever the types say.
  const builtin = process.getBuiltinModule as ((id: string) => object | undefined) | undefined;
  const ffi = builtin?.('node:ffi') as ForeignFunctions | undefined;
  if (ffi === undefined) return undefined;
  try {
    const four = { arguments: ['uint64', 'uint64', 'uint64', 'uint64'], return: 'int64' };
    const { getxattr, lgetxattr } = ffi.dlopen(null, { getxattr: four, lgetxattr: four }).functions;
    const value = Buffer.alloc(longestList);
    const attribute = Buffer.from('system.posix_acl_access\0');
    const read = (call: Call, name: fs.PathLike) => {
      const path = Buffer.concat([Buffer.from(name as string), Buffer.of(0)]);
      const [at, what, into] = [path, attribute, value].map((buffer) => ffi.getRawPointer(buffer));
      const length = Number(call(at ?? 0n, what ?? 0n, into ?? 0n, BigInt(value.length)));
      return length > 0 ? groupBitsOf(value.subarray(0, length)) : undefined;
    };
    return {
      isCostly: false,
      ofName: async (name) => read(lgetxattr, name),
      ofDescriptor: async (fd) => read(getxattr, `/proc/self/fd/${fd}`),
    };
  } catch {
    return undefined; // a libc or a sandbox without it
  }
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
    const { execFile } = await import('node:child_process');
    return new Promise((resolve) => {
      const name = `/proc/${process.pid}/fd/${fd}`;
      execFile(getfacl, ['-acnps', '--', name], { env: {}, timeout: 10_000 }, (_, text) => {
        const bits = /^group::([r-])([w-])([x-])/m.exec(text);
        resolve(bits?.slice(1).reduce((sum, bit) => sum * 2 + (bit === '-' ? 0 : 1), 0));
      });
    });
  },
};
