/**
 * Reads entries of /proc, of which a process chooses much: bounded by limits.procTextBytes, and a read that does not come back,
 * as of one that hangs in the kernel, is given up.
 */
import fs from 'node:fs';
import { errno } from '../errors.ts';
import { limits } from '../limits.ts';
import { rawText } from './raw-text.ts';

/** Content of one file up to the bound, any bytes (raw-text.ts); undefined when the process is gone, closed to us or hangs. */
export async function readProc(path: string): Promise<string | undefined> {
  return await unlessClosed(() => readSmall(path));
}

/** Target of one link; undefined as above. */
export async function readProcLink(path: string): Promise<string | undefined> {
  return await unlessClosed(async () =>
    rawText(await call<Buffer>((done) => fs.readlink(path, { encoding: 'buffer' }, done))),
  );
}

/** The ids of all processes. */
export async function listProcesses(): Promise<number[]> {
  const names = await call<string[]>((done) => fs.readdir('/proc', done));
  return names.filter((name) => /^\d+$/.test(name)).map(Number);
}

/** A process may end, or belong to another user, at any moment of looking at it. */
async function unlessClosed(read: () => Promise<string>): Promise<string | undefined> {
  try {
    // Once more: a service that is looked at must not seem gone because the machine was busy.
    return (await withinTime(read())) ?? (await withinTime(read()));
  } catch (thrown) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(errno(thrown) ?? '')) return undefined;
    throw thrown;
  }
}

async function withinTime(reading: Promise<string>): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), limits.procReadMs);
  });
  try {
    return await Promise.race([reading, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Files of /proc say they are empty; node's own readFile takes 64 KiB for each of them. */
async function readSmall(path: string): Promise<string> {
  const fd = await call<number>((done) => fs.open(path, 'r', done));
  try {
    const chunks: Buffer[] = [];
    for (let left = limits.procTextBytes; left > 0; ) {
      const buffer = Buffer.allocUnsafe(Math.min(limits.procReadBytes, left));
      const length = await call<number>((done) => fs.read(fd, buffer, 0, buffer.length, null, done));
      if (length === 0) break;
      chunks.push(buffer.subarray(0, length));
      left -= length;
    }
    return rawText(Buffer.concat(chunks));
  } finally {
    await call<void>((done) => fs.close(fd, (error) => done(error, undefined)));
  }
}

function call<T>(start: (done: (error: Error | null | undefined, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error ? reject(error) : resolve(value)));
  });
}
