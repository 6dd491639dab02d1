/**
 * The extended attributes of open files (attribute-kinds.ts): no name is followed. By fgetxattr(2) and its like with node:ffi
 * (Node 26 and newer), in microseconds; else by getfattr and setfattr, where they are installed, a process for each file.
 */

import { existsSync } from 'node:fs';
import { goesWithFile } from '../attribute-kinds.ts';
import { limits } from '../limits.ts';
import { cText, type Foreign, foreign } from './foreign.ts';
import type { Attributes } from './host.ts';
import { systemError } from './system-error.ts';
import { toolOutput } from './tool-output.ts';

export interface FileAttributes {
  readonly values: Attributes;
  /** Names of those that cannot be had, or are more than limits.attributeBytes hold. */
  readonly beyond: readonly string[];
  /** The machine cannot tell. */
  readonly isUnknown?: true;
}

export interface AttributeCalls {
  read(fd: number): Promise<FileAttributes>;
  /** `value` in base64; undefined removes the attribute, also where there is none. Rejects with a system error. */
  write(fd: number, name: string, value: string | undefined): Promise<void>;
  /**
   * Takes away the access lists that what was just made has inherited from its directory, whose owner chose them. True where
   * there was one. Does nothing without node:ffi, where it would cost a process for each file. Throws a system error.
   */
  dropInherited(fd: number): boolean;
}

const accessLists = ['system.posix_acl_access', 'system.posix_acl_default'].map(cText);

/** How this system is asked. Where it cannot be, no file has any, and none can be set (ENOTSUP). */
export function attributeCalls(): AttributeCalls {
  return byForeignCall() ?? byPrograms();
}

interface Functions {
  readonly flistxattr: (fd: number, list: bigint, size: bigint) => bigint;
  readonly fgetxattr: (fd: number, name: bigint, value: bigint, size: bigint) => bigint;
  readonly fsetxattr: (fd: number, name: bigint, value: bigint, size: bigint, flags: number) => number;
  readonly fremovexattr: (fd: number, name: bigint) => number;
}

function byForeignCall(): AttributeCalls | undefined {
  const libc = foreign<Functions>({
    flistxattr: { arguments: ['int32', 'uint64', 'uint64'], return: 'int64' },
    fgetxattr: { arguments: ['int32', 'uint64', 'uint64', 'uint64'], return: 'int64' },
    fsetxattr: { arguments: ['int32', 'uint64', 'uint64', 'uint64', 'int32'], return: 'int32' },
    fremovexattr: { arguments: ['int32', 'uint64'], return: 'int32' },
  });
  if (libc === undefined) return undefined;
  const { functions, pointerTo } = libc;
  return {
    async read(fd) {
      const longest = functions.flistxattr(fd, 0n, 0n);
      if (longest <= 0n) return { values: {}, beyond: [] };
      const list = Buffer.alloc(Number(longest));
      const length = Number(functions.flistxattr(fd, pointerTo(list), longest));
      const names = list.toString('utf8', 0, Math.max(0, length)).split('\0').filter(goesWithFile);
      const value = Buffer.alloc(limits.attributeBytes);
      return bounded(names, (name) => {
        const text = cText(name);
        const size = functions.fgetxattr(fd, pointerTo(text), pointerTo(value), BigInt(value.length));
        return size < 0n ? undefined : value.toString('base64', 0, Number(size));
      });
    },
    async write(fd, name, value) {
      const text = cText(name);
      // Of an empty value there is no place in the memory; its length says so.
      const bytes = Buffer.concat([Buffer.from(value ?? '', 'base64'), Buffer.alloc(1)]);
      const result =
        value === undefined
          ? functions.fremovexattr(fd, pointerTo(text))
          : functions.fsetxattr(fd, pointerTo(text), pointerTo(bytes), BigInt(bytes.length - 1), 0);
      if (result === 0) return;
      const code = codeOf(libc);
      if (value === undefined && code === 'ENODATA') return;
      throw systemError(code, `setting the attribute ${name}`);
    },
    dropInherited(fd) {
      const there = accessLists.filter((name) => functions.fgetxattr(fd, pointerTo(name), 0n, 0n) >= 0n);
      for (const name of there)
        if (functions.fremovexattr(fd, pointerTo(name)) !== 0)
          throw systemError(codeOf(libc), 'removing an inherited access list');
      return there.length > 0;
    },
  };
}

/** Of the call that failed just now. */
function codeOf({ errorNumber }: Foreign<Functions>): string {
  return codes.get(errorNumber()) ?? 'EIO';
}

/** Numbers of Linux, the same on x86 and ARM; what programs print for them in the C locale. */
const faults = [
  { number: 1, code: 'EPERM', text: 'Operation not permitted' },
  { number: 7, code: 'E2BIG', text: 'Argument list too long' },
  { number: 22, code: 'EINVAL', text: 'Invalid argument' },
  { number: 28, code: 'ENOSPC', text: 'No space left on device' },
  { number: 30, code: 'EROFS', text: 'Read-only file system' },
  { number: 34, code: 'ERANGE', text: 'Numerical result out of range' },
  { number: 61, code: 'ENODATA', text: 'No such attribute' },
  { number: 95, code: 'ENOTSUP', text: 'Operation not supported' },
  { number: 122, code: 'EDQUOT', text: 'Disk quota exceeded' },
] as const;
const codes = new Map<number, string>(faults.map(({ number, code }) => [number, code]));

const getfattr = '/usr/bin/getfattr';
const setfattr = '/usr/bin/setfattr';

/** One after the other: a process takes the event loop a millisecond to start, and 32 at once would take it 32. */
function byPrograms(): AttributeCalls {
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(action: () => Promise<T>): Promise<T> => {
    const result = last.then(action);
    last = result.catch(() => undefined);
    return result;
  };
  return {
    read: (fd) => inTurn(() => programs.read(fd)),
    write: (fd, name, value) => inTurn(() => programs.write(fd, name, value)),
    dropInherited: () => false,
  };
}

const programs: Omit<AttributeCalls, 'dropInherited'> = {
  async read(fd) {
    if (!existsSync(getfattr)) return { values: {}, beyond: [], isUnknown: true };
    const { stdout } = await toolOutput(getfattr, [
      '--absolute-names',
      '-d',
      '-m',
      '-',
      '-e',
      'base64',
      '--',
      `/proc/${process.pid}/fd/${fd}`,
    ]);
    const values = new Map<string, string>();
    for (const line of stdout.split('\n')) {
      const [, name, value] = /^([^#=][^=]*)=0s(.*)$/.exec(line) ?? [];
      if (name !== undefined && value !== undefined) values.set(unescaped(name), value);
    }
    return bounded([...values.keys()].filter(goesWithFile), (name) => values.get(name));
  },
  async write(fd, name, value) {
    if (!existsSync(setfattr)) throw systemError('ENOTSUP', `${setfattr} is not installed`);
    const what = value === undefined ? ['-x', name] : ['-n', name, '-v', `0s${value}`];
    const { isDone, stderr } = await toolOutput(setfattr, [...what, '--', `/proc/${process.pid}/fd/${fd}`]);
    if (isDone) return;
    const code = faults.find(({ text }) => stderr.includes(text))?.code ?? 'EIO';
    if (value === undefined && code === 'ENODATA') return;
    throw systemError(code, `setting the attribute ${name}: ${stderr.trim()}`);
  },
};

/** getfattr(1) writes some bytes of a name as a backslash and three octal digits. */
function unescaped(name: string): string {
  const bytes = name.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
  return bytes === name ? name : Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Capabilities and access list first: no other attribute takes their room. */
function bounded(names: readonly string[], valueNamed: (name: string) => string | undefined): FileAttributes {
  const values: Record<string, string> = {};
  const beyond: string[] = [];
  let bytes = 0;
  for (const name of names.toSorted()) {
    const value = valueNamed(name);
    const size = name.length + (value?.length ?? 0);
    if (value === undefined || bytes + size > limits.attributeBytes) {
      beyond.push(name);
      continue;
    }
    values[name] = value;
    bytes += size;
  }
  return { values, beyond };
}
