/** Why the kernel does not execute a file that is there: its error leaves that open. Reads the file's beginning and the mounts only. */
import { open, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { machine } from 'node:os';
import { limits } from '../limits.ts';
import { rawBytes } from './raw-text.ts';

/** In words that follow the file's name; undefined: it is not there, or nothing is found against it. */
export async function execFault(path: string): Promise<string | undefined> {
  const fault = await certainFault(path);
  if (fault !== undefined) return fault;
  const bytes = await beginning(path);
  if (bytes === undefined || isElf(bytes) || isScript(bytes)) return undefined;
  return bytes.length === 0
    ? 'is empty'
    : 'is neither a program of this system nor a script that begins with #!';
}

/** The same where nobody can execute it. A shell takes a file without a header for a script of its own. */
export async function certainFault(path: string): Promise<string | undefined> {
  const name = rawBytes(path);
  const found = await stat(name).catch(() => undefined);
  if (found === undefined) return undefined;
  if (found.isDirectory()) return 'is a directory';
  if (!found.isFile()) return 'is no regular file';
  if ((found.mode & 0o111) === 0)
    return `is not executable: its mode is 0${(found.mode & 0o7777).toString(8).padStart(3, '0')}`;
  const mount = await noexecMount(await realpath(path).catch(() => path));
  if (mount !== undefined) return `lies on ${mount}, which is mounted noexec`;
  const bytes = await beginning(path);
  if (bytes === undefined) return undefined;
  if (isScript(bytes)) return await scriptFault(bytes);
  return isElf(bytes) ? await programFault(bytes) : undefined;
}

/** The mount point of the file, where it forbids programs. */
async function noexecMount(path: string): Promise<string | undefined> {
  const table = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  const mounts = table.split('\n').map((line) => line.split(' '));
  const holders = mounts.filter(([, , , , point = '']) => path === point || path.startsWith(slashed(point)));
  // The longest name is the nearest, of two mounts at one place the later hides the other.
  const longest = Math.max(0, ...holders.map(([, , , , point = '']) => point.length));
  const nearest = holders.findLast(([, , , , point = '']) => point.length === longest);
  return nearest?.[5]?.split(',').includes('noexec') ? nearest[4] : undefined;
}

function slashed(point: string): string {
  return point.endsWith('/') ? point : `${point}/`;
}

/** Undefined where it cannot be read: a program needs no such right. */
async function beginning(path: string): Promise<Buffer | undefined> {
  const file = await open(rawBytes(path), 'r').catch(() => undefined);
  try {
    const bytes = Buffer.alloc(limits.execHeaderBytes);
    const read = await file?.read(bytes, 0, bytes.length, 0);
    return read && bytes.subarray(0, read.bytesRead);
  } finally {
    await file?.close();
  }
}

function isScript(bytes: Buffer): boolean {
  return bytes.toString('latin1', 0, 2) === '#!';
}

function isElf(bytes: Buffer): boolean {
  return bytes.toString('latin1', 0, 4) === '\x7fELF' && bytes.length >= 64;
}

async function programFault(bytes: Buffer): Promise<string | undefined> {
  const machineName = foreignMachine(bytes);
  if (machineName !== undefined) {
    if ((await hasEmulators()) || (await isOfInit(bytes))) return undefined;
    return `is a program for ${machineName}, and this is ${machine()}`;
  }
  const loader = loaderOf(bytes);
  if (loader === undefined || (await isThere(loader))) return undefined;
  return `needs the loader ${loader}, which is not there: it was built for another C library`;
}

async function scriptFault(bytes: Buffer): Promise<string | undefined> {
  const line = bytes.subarray(2).toString('utf8').split('\n', 1)[0] ?? '';
  const [interpreter = ''] = line.trim().split(/[ \t]/, 1);
  if (line.endsWith('\r'))
    return 'is a script whose lines end as on Windows (CR LF): its #! line is read wrongly';
  if (interpreter === '' || (await isThere(interpreter))) return undefined;
  return `is a script for ${interpreter}, which is not there`;
}

/** Whose program it is, where it is none of this machine. ELF: 32 or 64 bits at 4, byte order at 5, machine at 18. */
function foreignMachine(bytes: Buffer): string | undefined {
  const number = isLittle(bytes) ? bytes.readUInt16LE(18) : bytes.readUInt16BE(18);
  const name = machines[number];
  const runs = runnable[machine()];
  if (runs === undefined || (name !== undefined && runs.includes(name))) return undefined;
  return name ?? `machine ${number}`;
}

/** Made for the machine that pid 1 is made for, whatever machine this process is shown: it may be emulated itself. */
async function isOfInit(bytes: Buffer): Promise<boolean> {
  const init = await beginning('/proc/1/exe');
  return init === undefined || !isElf(init) || init.subarray(18, 20).equals(bytes.subarray(18, 20));
}

/** Something may run what the kernel cannot: binfmt_misc(5). */
async function hasEmulators(): Promise<boolean> {
  const entries = await readdir('/proc/sys/fs/binfmt_misc').catch(() => []);
  return entries.some((entry) => entry !== 'register' && entry !== 'status');
}

const machines: Readonly<Record<number, string>> = {
  3: 'x86',
  8: 'mips',
  20: 'powerpc',
  21: 'powerpc64',
  22: 's390x',
  40: 'arm',
  62: 'x86_64',
  183: 'aarch64',
  243: 'riscv',
};

/** By what uname(2) says; on a machine of another name nothing is known. */
const runnable: Readonly<Record<string, readonly string[]>> = {
  x86_64: ['x86_64', 'x86'],
  aarch64: ['aarch64', 'arm'],
  armv7l: ['arm'],
  armv6l: ['arm'],
};

/** The name in the program header PT_INTERP; undefined: it has none, or it lies beyond what was read. */
function loaderOf(bytes: Buffer): string | undefined {
  if (!isLittle(bytes)) return undefined;
  const is64 = bytes[4] === 2;
  const table = is64 ? Number(bytes.readBigUInt64LE(32)) : bytes.readUInt32LE(28);
  const entryBytes = bytes.readUInt16LE(is64 ? 54 : 42);
  const count = bytes.readUInt16LE(is64 ? 56 : 44);
  for (let index = 0; index < count; index++) {
    const at = table + index * entryBytes;
    if (at + 40 > bytes.length) return undefined;
    if (bytes.readUInt32LE(at) !== 3) continue;
    const start = is64 ? Number(bytes.readBigUInt64LE(at + 8)) : bytes.readUInt32LE(at + 4);
    const end = bytes.indexOf(0, start);
    return end === -1 ? undefined : bytes.subarray(start, end).toString('utf8');
  }
  return undefined;
}

function isLittle(bytes: Buffer): boolean {
  return bytes[5] === 1;
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
