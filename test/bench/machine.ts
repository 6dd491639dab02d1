/** The machine under the benchmark: what it is, what its processes use, and how its disk and page cache are set back. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';

export interface MachineFacts {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMb: number;
  readonly kernel: string;
  readonly system: string;
  /** Type of the filesystem that the benchmark writes to. */
  readonly filesystem: string;
}

/** Facts for the head of the table; nothing that names this very machine. */
export function machineFacts(folder: string): MachineFacts {
  const cpus = os.cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    cores: cpus.length,
    memoryMb: Math.round(os.totalmem() / 2 ** 20),
    kernel: /^\d+\.\d+(\.\d+)?/.exec(os.release())?.[0] ?? os.release(),
    system: /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? os.type(),
    filesystem: execFileSync('stat', ['-f', '-c', '%T', folder]).toString().trim(),
  };
}

export const isRoot = process.getuid?.() === 0;

/**
 * The same start for every measurement of a time: nothing that an earlier one wrote is still on its way to the disk, and
 * free memory is there at once. A hypervisor takes free pages back after seconds and gives each again when it is first
 * written to, which makes the writing of 300 MB to the page cache take from 0.1 to 0.6 s.
 */
export function settleMachine(): void {
  settleDisk();
  const folder = '/dev/shm';
  if (!existsSync(folder)) return;
  const path = join(folder, `tope-bench-${process.pid}`);
  const file = openSync(path, 'w');
  try {
    const chunk = new Uint8Array(2 ** 20);
    const usable = Math.min(os.freemem() / 4, 1.5 * 2 ** 30);
    for (let written = 0; written < usable; written += chunk.length) writeSync(file, chunk);
  } finally {
    closeSync(file);
    rmSync(path);
  }
}

/** Nothing that an earlier measurement wrote is still on its way to the disk. */
export function settleDisk(): void {
  execFileSync('sync');
}

/** Throws the page cache away. Only root can; false where it was not possible. */
export function dropPageCache(): boolean {
  settleDisk();
  if (!isRoot) return false;
  writeFileSync('/proc/sys/vm/drop_caches', '3');
  return true;
}

/**
 * Sets the read-ahead of the disk that holds `path` to Linux's default of 128 KiB, and returns what sets it back: where
 * a disk reads megabytes ahead, each page of the executable that is used brings as much into a small memory cgroup.
 */
export function defaultReadAhead(path: string): () => void {
  const { dev } = statSync(path);
  const setting = `/sys/class/bdi/${dev >> 8}:${dev & 255}/read_ahead_kb`;
  if (!isRoot || !existsSync(setting)) return () => undefined;
  const before = readFileSync(setting, 'latin1');
  writeFileSync(setting, '128');
  return () => writeFileSync(setting, before);
}

/** CPU seconds, user and system, that a process has used so far, its threads included. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The name of the program is in parentheses and may hold anything; utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticksPerSecond = 100; // USER_HZ, fixed in Linux's interface to programs
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

export interface MemoryUse {
  /** Largest resident size so far, and the present one with its two parts, in kB of 1024 bytes. */
  readonly peakKb: number;
  readonly residentKb: number;
  readonly anonymousKb: number;
  readonly fileKb: number;
}

export function memoryOf(pid: number): MemoryUse {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const kb = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
  return {
    peakKb: kb('VmHWM'),
    residentKb: kb('VmRSS'),
    anonymousKb: kb('RssAnon'),
    fileKb: kb('RssFile'),
  };
}

/** Is the program there? If not, and where root and apt are, its Debian package is installed. Else the reason why not. */
export function provideProgram(program: string, debianPackage: string): string | undefined {
  const isThere = () => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
  if (isThere()) return undefined;
  if (!isRoot) return `${program} is not installed, and only root could (Debian package ${debianPackage})`;
  console.log(`installing the Debian package ${debianPackage}`);
  const install = spawnSync('apt-get', ['install', '-y', '--no-install-recommends', debianPackage], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (install.error !== undefined) return `${program} is not installed, and there is no apt-get`;
  return isThere() ? undefined : `apt-get could not install ${debianPackage}`;
}
