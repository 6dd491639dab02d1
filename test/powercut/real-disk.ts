/**
 * Power cuts on a real filesystem: the built program updates a device on a recorded block device; then each image the
 * device could hold after a cut is mounted, the program is started on it, and the files are judged. On every second image the
 * boot comes first, as `tope-updater recover` before the services: they are judged there, too.
 *
 * Invariant: everything is asynchronous, because this process serves the recorded device (see fuse-disk.ts).
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { neitherOldNorNew } from './boot-verdict.ts';
import { type Daemon, downloadTo, recoverAtBoot, startDaemon } from './daemon.ts';
import { type Device, type Ending, judgeDevice, leaving, makeDevice, servePackage } from './device.ts';
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
import { type DiskEvent, recordedCounts, serveFuseDisk } from './fuse-disk.ts';
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
  /** On how many of them the boot came first, with a journal to act on; and how many of these were half of a switch. */
  readonly boots: number;
  readonly halves: number;
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
  /** How they look when all are switched, whatever becomes of the update. */
  readonly switchedTree: Tree;
}

export async function cutOnRealDisk(options: RealDiskRun): Promise<RealDiskResult> {
  const started = performance.now();
  const scratch = await makeScratch();
  try {
    await mkdir(join(scratch, 'mounted'));
    const recorded = await record(options, scratch);
    const result = { cuts: 0, old: 0, new: 0, boots: 0, halves: 0, unmountable: 0 };
    const bad: string[] = [];
    for (const cut of diskCuts(recorded.base, recorded.events, options.cuts, options.seed)) {
      result.cuts += 1;
      await writeFile(join(scratch, 'image'), cut.image);
      const outcome = await recoverImage(options.filesystem, scratch, recorded, {
        succeeded: cut.marks.includes('success'),
        bootsFirst: result.cuts % 2 === 0,
      });
      if ('boot' in outcome && outcome.boot !== 'none') result.boots += 1;
      if ('boot' in outcome && outcome.boot === 'half') result.halves += 1;
      if (outcome.is === 'bad') bad.push(`${cut.what}: ${outcome.why}`);
      else result[outcome.is] += 1;
    }
    return {
      ...result,
      bad,
      ...recordedCounts(recorded.events),
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
  if (newTree?.has(leaving)) throw new Error(`the module ${leaving} is still there:\n${daemon.output()}`);
  await unmount(at('mounted'));
  await disk.stop();
  const switchedTree = newTree ?? (await treeOfSwitched(scratch));
  return { device, base, events: disk.events, newTree, switchedTree };
}

/** The same update on a device whose programs are healthy. */
export async function treeOfSwitched(scratch: string): Promise<Tree> {
  const directory = join(scratch, 'healthy');
  const device = await makeDevice(directory, join(scratch, 'healthy-socket'));
  const served = await servePackage(device, directory, 'success');
  const daemon = await startDaemon(device);
  await downloadTo(daemon, served.request);
  await daemon.post('/api/v1.0/update', { version: served.request.version });
  const stage = await daemon.rest();
  await daemon.stop();
  served.close();
  if (stage !== 'success') throw new Error(`the healthy update ended as ${stage}:\n${daemon.output()}`);
  return await treeOnDisk(device.allowedRoot);
}

type Outcome =
  /** What the boot found before the services: no journal (or it did not come first), a whole set, half of a switch. */
  | { readonly is: 'old' | 'new'; readonly boot: 'none' | 'whole' | 'half' }
  | { readonly is: 'unmountable' }
  | { readonly is: 'bad'; readonly why: string };

async function recoverImage(
  filesystem: Filesystem,
  scratch: string,
  { device, newTree, switchedTree }: Recorded,
  { succeeded, bootsFirst }: { readonly succeeded: boolean; readonly bootsFirst: boolean },
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
    const wrongNow = async () =>
      neitherOldNorNew(await treeOnDisk(device.allowedRoot), device.oldTree, switchedTree);
    let boot: 'none' | 'whole' | 'half' = 'none';
    // As systemd does it: without a journal the unit is skipped.
    if (bootsFirst && existsSync(join(device.workDirectory, 'backups/journal'))) {
      boot = (await wrongNow()) === undefined ? 'whole' : 'half';
      const said = await recoverAtBoot(device);
      const wrong = await wrongNow();
      if (wrong !== undefined) return { is: 'bad', why: `${wrong}\n${said}` };
    }
    daemon = await startDaemon(device);
    await daemon.rest();
    await daemon.stop();
    const judged = await judgeDevice(device, newTree, succeeded);
    if (judged.is === 'bad') return { is: 'bad', why: `${judged.why}\n${daemon.output()}` };
    return { is: judged.is, boot };
  } catch (thrown) {
    return { is: 'bad', why: thrown instanceof Error ? thrown.message : String(thrown) };
  } finally {
    await daemon?.kill();
    await unmount(mounted);
  }
}

/** Another program of the device, that syncs a file of its own all the time and so makes the filesystem commit. */
export function startNeighbour(path: string): { stop: () => Promise<void> } {
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
