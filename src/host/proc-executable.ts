/** Looks for programs as the kernel and execvp(3) do. Paths may hold any bytes (raw-text.ts). */
import { constants } from 'node:fs';
import { access, realpath, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { errno } from '../errors.ts';
import { rawBytes } from './raw-text.ts';

/** The path execvp(3) would execute, or undefined. */
export async function findExecutable(
  name: string,
  cwd: string,
  path = '/usr/bin:/bin',
): Promise<string | undefined> {
  if (name === '' || name.includes('\0')) return undefined;
  const places = name.includes('/')
    ? [name]
    : path.split(':').map((directory) => `${directory || '.'}/${name}`);
  for (const place of places.map((relative) => resolve(cwd, relative))) {
    if (await isExecutableFile(place)) return place;
  }
  return undefined;
}

export async function isExecutableFile(path: string): Promise<boolean> {
  return await unlessAbsent(async () => {
    await access(rawBytes(path), constants.X_OK);
    return (await stat(rawBytes(path))).isFile();
  });
}

export async function isDirectory(path: string): Promise<boolean> {
  return await unlessAbsent(async () => (await stat(rawBytes(path))).isDirectory());
}

/** The directory itself, or the nearest one above that is there. */
export async function nearestDirectory(path: string): Promise<string> {
  let directory = path;
  while (directory !== '/' && !(await isDirectory(directory))) directory = dirname(directory);
  return directory;
}

/** Whether both paths lead to one file. */
export async function leadTo(a: string, b: string): Promise<boolean> {
  return await unlessAbsent(async () => (await realpath(rawBytes(a))) === (await realpath(rawBytes(b))));
}

async function unlessAbsent(look: () => Promise<boolean>): Promise<boolean> {
  try {
    return await look();
  } catch (thrown) {
    if (errno(thrown) === undefined) throw thrown;
    return false;
  }
}
