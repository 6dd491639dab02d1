/**
 * Power cuts on a real filesystem: the built program updates a device on a recorded block device; then each image the
 * device could hold after a cut is mounted, the program is started on it, and the files are judged.
 *
 * Invariant: everything is asynchronous, because this process serves the recorded device (see fuse-disk.ts).
 */
import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Daemon, downloadTo, startDaemon } from './daemon.ts';
import { type Device, type Ending, judgeDevice, makeDevice, servePackage } from './device.ts';
import { diskCuts } from './disk-cuts.ts';
import { treeOnDisk } from './disk-tree.ts';
import {
  type Filesystem,
  makeFilesystem,
  makeScratch,
  mount,
  removeScratch,
  unmount,
} from './filesystems.ts';
import { type DiskEvent, serveFuseDisk } from './fuse-disk.ts';
import type { Tree } from './model-tree.ts';
import { run } from './run-tool.ts';

export interface RealDiskRun {
  readonly filesystem: Filesystem;
  readonly ending: Ending;
  /** How many images to look at. */
  readonly cuts: number;
  readonly seed: number;
}

export interface RealDiskResult {
  readonly writes: number;
  readonly flushes: number;
  readonly cuts: number;
  readonly old: number;
  readonly new: number;
  /** What went wrong, image by image. */
  readonly bad: readonly string[];
  /** Images the kernel would not mount: the filesystem's own failure, nothing of ours ran. */
  readonly unmountable: number;
  readonly ms: number;
}

interface Recorded {
  readonly device: Device;
  readonly base: Buffer;
  readonly events: readonly DiskEvent[];
  /** How the files look when the update has succeeded; undefined where it cannot. */
  readonly newTree: Tree | undefined;
}

export async function cutOnRealDisk(options: RealDiskRun): Promise<RealDiskResult> {
  const started = performance.now();
  const scratch = await makeScratch();
  try {
    await mkdir(join(scratch, 'mounted'));
    const recorded = await record(options, scratch);
    const result = { cuts: 0, old: 0, new: 0, unmountable: 0 };
    const bad: string[] = [];
    for (const cut of diskCuts(recorded.base, recorded.events, options.cuts, options.seed)) {
      result.cuts += 1;
      await writeFile(join(scratch, 'image'), cut.image);
      const outcome = await recoverImage(
        options.filesystem,
        scratch,
        recorded,
        cut.marks.includes('success'),
      );
      if (outcome.is === 'bad') bad.push(`${cut.what}: ${outcome.why}`);
      else result[outcome.is] += 1;
    }
    const count = (kind: DiskEvent['kind']) => recorded.events.filter((event) => event.kind === kind).length;
    return {
      ...result,
      bad,
      writes: count('write'),
      flushes: count('flush'),
      ms: performance.now() - started,
    };
  } finally {
    await removeScratch(scratch);
  }
}

/** The update on the recorded device, from before the mount to after the unmount. */
async function record({ filesystem, ending }: RealDiskRun, scratch: string): Promise<Recorded> {
  const at = (name: string) => join(scratch, name);
  await makeFilesystem(filesystem, at('image'));
  await mount(filesystem, at('image'), at('mounted'));
  const device = await makeDevice(at('mounted'), at('socket'));
  await writeFile(at('mounted/neighbour'), 'x');
  const served = await servePackage(device, scratch, ending);
  const before = await startDaemon(device);
  await downloadTo(before, served.request);
  await before.stop();
  served.close();
  await unmount(at('mounted'));

  const base = await readFile(at('image'));
  // From before the mount: the journal's own superblock is written by it.
  const disk = await serveFuseDisk(Buffer.from(base), at('disk'));
  await mount(filesystem, at('disk'), at('mounted'));
  const neighbour = startNeighbour(at('mounted/neighbour'));
  const daemon = await startDaemon(device);
  await daemon.post('/api/v1.0/update', { version: served.request.version });
  const stage = await daemon.rest();
  if (stage === 'success') disk.mark('success');
  if (stage !== (ending === 'success' ? 'success' : 'failed'))
    throw new Error(`the recorded update ended as ${stage}:\n${daemon.output()}`);
  await daemon.stop();
  await neighbour.stop();
  await run(['sync', '-f', at('mounted')]);
  const newTree = ending === 'success' ? await treeOnDisk(device.allowedRoot) : undefined;
  await unmount(at('mounted'));
  await disk.stop();
  return { device, base, events: disk.events, newTree };
}

type Outcome = { readonly is: 'old' | 'new' | 'unmountable' } | { readonly is: 'bad'; readonly why: string };

async function recoverImage(
  filesystem: Filesystem,
  scratch: string,
  { device, newTree }: Recorded,
  succeeded: boolean,
): Promise<Outcome> {
  const mounted = join(scratch, 'mounted');
  try {
    await mount(filesystem, join(scratch, 'image'), mounted);
  } catch (thrown) {
    if (thrown instanceof Error && /mount/.test(thrown.message)) return { is: 'unmountable' };
    throw thrown;
  }
  let daemon: Daemon | undefined;
  try {
    daemon = await startDaemon(device);
    await daemon.rest();
    await daemon.stop();
    const judged = await judgeDevice(device, newTree, succeeded);
    return judged.is === 'bad' ? { is: 'bad', why: `${judged.why}\n${daemon.output()}` } : judged;
  } catch (thrown) {
    return { is: 'bad', why: thrown instanceof Error ? thrown.message : String(thrown) };
  } finally {
    await daemon?.kill();
    await unmount(mounted);
  }
}

/** Another program of the device, that syncs a file of its own all the time and so makes the filesystem commit. */
function startNeighbour(path: string): { stop: () => Promise<void> } {
  const code = `const fs = require('node:fs'); let n = 0; setInterval(() => {
    const fd = fs.openSync(process.argv[1], 'r+'); fs.writeSync(fd, 'y' + n++); fs.fsyncSync(fd); fs.closeSync(fd); }, 4)`;
  const child = spawn(process.execPath, ['-e', code, path], { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  return {
    stop: () => {
      child.kill('SIGKILL');
      return ended;
    },
  };
}
