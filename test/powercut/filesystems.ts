/**
 * The real filesystems that power cuts are tried on, and how to make, mount and leave them. Everything is asynchronous:
 * the caller may be the one that serves the device (fuse-disk.ts).
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './run-tool.ts';

const MiB = 1024 * 1024;

export interface Filesystem {
  /** As it stands in a summary line. */
  readonly name: string;
  readonly type: 'ext4' | 'xfs' | 'btrfs';
  readonly mountOptions: readonly string[];
  readonly sizeBytes: number;
  readonly make: readonly string[];
}

/** Small images: what is tried on them is how they order and flush, and every state is written out whole. */
export const filesystems: readonly Filesystem[] = [
  { name: 'ext4', type: 'ext4', mountOptions: [], sizeBytes: 16 * MiB, make: ['mkfs.ext4', '-q', '-F'] },
  {
    name: 'ext4,noauto_da_alloc,data=writeback',
    type: 'ext4',
    mountOptions: ['noauto_da_alloc', 'data=writeback'],
    sizeBytes: 16 * MiB,
    make: ['mkfs.ext4', '-q', '-F'],
  },
  { name: 'xfs', type: 'xfs', mountOptions: [], sizeBytes: 32 * MiB, make: ['mkfs.xfs', '-q', '-f'] },
  {
    name: 'btrfs',
    type: 'btrfs',
    mountOptions: [],
    sizeBytes: 32 * MiB,
    make: ['mkfs.btrfs', '-q', '-f', '-M', '-m', 'single', '-d', 'single'],
  },
];

/** Why this filesystem cannot be tried on this machine, or undefined. Tries the loop mount instead of guessing. */
export async function whyUnavailable(filesystem: Filesystem): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'not root';
  for (const device of ['/dev/fuse', '/dev/loop-control']) if (!existsSync(device)) return `no ${device}`;
  const directory = await makeScratch();
  const image = join(directory, 'image');
  try {
    await makeFilesystem(filesystem, image);
    await mount(filesystem, image, directory);
    await unmount(directory);
    return undefined;
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message.replaceAll('\n', ' ') : String(thrown);
  } finally {
    await removeScratch(directory);
  }
}

/** Writes an empty filesystem to the file `image`. */
export async function makeFilesystem(filesystem: Filesystem, image: string): Promise<void> {
  await writeFile(image, '');
  await truncate(image, filesystem.sizeBytes);
  // mkfs.xfs refuses small images unless it believes that its own tests ask.
  await run([...filesystem.make, image], { env: { TEST_DIR: '1', TEST_DEV: '1', QA_CHECK_FS: '1' } });
}

/** Mounts an image (or a file served by fuse-disk.ts) on a directory through a loop device. */
export async function mount(filesystem: Filesystem, image: string, directory: string): Promise<void> {
  const options = ['loop', ...filesystem.mountOptions].join();
  await run(['mount', '-o', options, '-t', filesystem.type, image, directory]);
}

export async function unmount(directory: string): Promise<void> {
  await run(['umount', directory]);
}

/**
 * The same where namespaces that are gone had copies of the mount: resolves when the image is nobody's any more, so that what is
 * written to it next does not meet what the filesystem still had to write.
 */
export async function unmountFully(directory: string, image: string): Promise<void> {
  await unmount(directory);
  for (const deadline = Date.now() + 30_000; (await run(['losetup', '-j', image])) !== ''; )
    if (Date.now() > deadline) throw new Error(`${image} stays in use`);
    else await new Promise((resolve) => setTimeout(resolve, 10));
}

/** The same where processes of it were killed just now and may not be gone yet. */
export async function unmountSoon(directory: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await unmount(directory);
    } catch (thrown) {
      if (tries === 100 || !/busy/.test(String(thrown))) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** A new directory for images and mounts, in memory where the machine has a place for that. */
export async function makeScratch(): Promise<string> {
  return mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'powercut-'));
}

/** Removes it again, with whatever a failed run left mounted below it. */
export async function removeScratch(directory: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  const ours = mounts.filter((path) => path === directory || path.startsWith(`${directory}/`));
  for (const path of ours.reverse()) await run(['umount', '-l', path]);
  await rm(directory, { recursive: true, force: true });
}
