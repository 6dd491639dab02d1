/**
 * Power cuts on a real filesystem while the updater replaces itself: the launcher and the built program take a package that brings a
 * new updater, of one of many kinds, on a recorded block device, until all is at rest. Then each image that the device could hold
 * after a cut is booted, by the launcher and with another boot's id, until it is at rest, and judged. Some of these lives are
 * recorded, too, and cut a second time.
 *
 * Invariant: everything is asynchronous, because this process serves the recorded device (see fuse-disk.ts).
 */
import { randomUUID } from 'node:crypto';
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Stage } from '../../src/updater/state.ts';
import { startDeviceApi } from '../fixtures/device-api-server.ts';
import { type NewUpdaterKind, newUpdaters } from '../fixtures/new-updaters.ts';
import { neitherOldNorNew } from './boot-verdict.ts';
import { pause } from './daemon.ts';
import { diskCuts } from './disk-cuts.ts';
import { treeOnDisk } from './disk-tree.ts';
import {
  type Filesystem,
  makeFilesystem,
  makeScratch,
  mount,
  removeScratch,
  unmountSoon,
} from './filesystems.ts';
import { type DiskEvent, recordedCounts, serveFuseDisk } from './fuse-disk.ts';
import type { Tree } from './model-tree.ts';
import { startNeighbour, treeOfSwitched } from './real-disk.ts';
import { run } from './run-tool.ts';
import { makeSelfDevice, type SelfDevice, serveSelfPackage } from './self-device.ts';
import {
  type Rest,
  restOf,
  type Told,
  toldWrongly,
  type Undisturbed,
  updaterThatStands,
} from './self-verdict.ts';
import { recoverByLauncher, type Supervised, supervise } from './supervised.ts';

export interface SelfDiskRun {
  readonly filesystem: Filesystem;
  readonly kind: NewUpdaterKind;
  /** How many images of the update to look at. */
  readonly cuts: number;
  /** Every so many of the lives after a cut is cut again, twice. */
  readonly againEvery: number;
  readonly seed: number;
}

export interface SelfDiskResult {
  readonly writes: number;
  readonly flushes: number;
  readonly cuts: number;
  /** Second cuts, which are among the others. */
  readonly again: number;
  readonly old: number;
  readonly new: number;
  readonly waiting: number;
  /** On how many the boot came first, with a journal to act on. */
  readonly boots: number;
  readonly unmountable: number;
  readonly bad: readonly string[];
  readonly ms: number;
}

/** Of real time, for a life until it is at rest. */
const patienceMs = 60_000;

interface Story {
  readonly filesystem: Filesystem;
  readonly scratch: string;
  readonly device: SelfDevice;
  /** Hears what device-api is told of the end. */
  readonly listeners: Set<(told: Told) => void>;
  /** How the files look when all are switched, whatever becomes of the update. */
  readonly switchedTree: Tree;
  /** Undefined in the life that makes it. */
  readonly undisturbed: Undisturbed | undefined;
}

interface Life {
  /** What the outside world had seen before. */
  readonly told: readonly string[];
  readonly asksForUpdate?: boolean;
  readonly isRecorded?: boolean;
  /** `recover` runs before the services, as at boot. */
  readonly bootsFirst?: boolean;
}

interface Lived {
  readonly rest: Rest | 'unmountable' | { readonly bad: string };
  readonly events: readonly DiskEvent[];
  /** There was a journal to act on before the services. */
  readonly isBooted: boolean;
}

export async function cutSelfUpdate(options: SelfDiskRun): Promise<SelfDiskResult> {
  const started = performance.now();
  const scratch = await makeScratch();
  const listeners: Story['listeners'] = new Set();
  const deviceApi = await startDeviceApi({
    onReport: ({ stage }) => {
      if (stage === 'success' || stage === 'failed')
        for (const listener of listeners) listener(`reported ${stage}`);
    },
  });
  try {
    const { filesystem, seed } = options;
    const { device, base } = await prepare(options, scratch, deviceApi.url);
    const before = { filesystem, scratch, device, listeners, switchedTree: await treeOfSwitched(scratch) };
    const recorded = await live({ ...before, undisturbed: undefined }, base, {
      told: [],
      asksForUpdate: true,
      isRecorded: true,
    });
    if (typeof recorded.rest === 'string' || !('is' in recorded.rest))
      throw new Error(`the recorded update: ${JSON.stringify(recorded.rest)}`);
    const story: Story = { ...before, undisturbed: recorded.rest.found };
    const result = { cuts: 0, again: 0, old: 0, new: 0, waiting: 0, boots: 0, unmountable: 0 };
    const bad: string[] = [];
    const judge = async (image: Buffer, life: Life, what: string): Promise<Lived> => {
      result.cuts += 1;
      const lived = await live(story, image, { ...life, bootsFirst: result.cuts % 2 === 0 });
      if (lived.isBooted) result.boots += 1;
      if (lived.rest === 'unmountable') result.unmountable += 1;
      else if ('bad' in lived.rest) bad.push(`${options.kind}, ${what}: ${lived.rest.bad}`);
      else result[lived.rest.is] += 1;
      return lived;
    };
    for (const cut of diskCuts(base, recorded.events, options.cuts, seed)) {
      const isRecorded = result.cuts % options.againEvery === 1;
      const first = { image: Buffer.from(cut.image), marks: cut.marks, what: cut.what };
      const lived = await judge(first.image, { told: first.marks, isRecorded }, first.what);
      if (!isRecorded) continue;
      const seconds = diskCuts(first.image, lived.events, 2, seed + result.cuts);
      seconds.next(); // before the first write: the first cut again
      for (const second of seconds) {
        result.again += 1;
        const told = [...first.marks, ...second.marks];
        await judge(second.image, { told }, `${first.what}, then ${second.what}`);
      }
    }
    return {
      ...result,
      bad,
      ...recordedCounts(recorded.events),
      ms: performance.now() - started,
    };
  } finally {
    await deviceApi.close();
    await removeScratch(scratch);
  }
}

/** The device with the verified package waiting, and its disk then. */
async function prepare(
  { filesystem, kind }: SelfDiskRun,
  scratch: string,
  reportUrl: string,
): Promise<{ readonly device: SelfDevice; readonly base: Buffer }> {
  const [image, mounted] = [join(scratch, 'image'), join(scratch, 'mounted')];
  await mkdir(mounted);
  await makeFilesystem(filesystem, image);
  await mount(filesystem, image, mounted);
  const device = await makeSelfDevice(newUpdaters[kind], { directory: mounted, scratch, reportUrl });
  await writeFile(join(mounted, 'neighbour'), 'x');
  await writeFile(device.bootIdFile, `${randomUUID()}\n`);
  const served = await serveSelfPackage(device, scratch);
  const supervised = supervise(device);
  await reach(supervised, 'idle');
  await supervised.post('/api/v1.0/download', served.request);
  await reach(supervised, 'toInstall');
  await supervised.end('SIGTERM');
  served.close();
  await unmountSoon(mounted);
  return { device, base: await readFile(image) };
}

/** One life of the device on a disk, from its boot until it is at rest. */
async function live(story: Story, image: Buffer, life: Life): Promise<Lived> {
  const { filesystem, scratch, device } = story;
  const mounted = join(scratch, 'mounted');
  const disk = life.isRecorded ? await serveFuseDisk(Buffer.from(image), join(scratch, 'disk')) : undefined;
  if (disk === undefined) await writeFile(join(scratch, 'image'), image);
  try {
    await mount(filesystem, join(scratch, disk === undefined ? 'image' : 'disk'), mounted);
  } catch (thrown) {
    await disk?.stop();
    if (thrown instanceof Error && /mount/.test(thrown.message))
      return { rest: 'unmountable', events: [], isBooted: false };
    throw thrown;
  }
  await writeFile(device.bootIdFile, `${randomUUID()}\n`);
  const told = new Set(life.told as readonly Told[]);
  const tell = (what: Told) => {
    told.add(what);
    disk?.mark(what);
  };
  story.listeners.add(tell);
  const isBooted = life.bootsFirst === true && (await isThere(join(device.workDirectory, 'backups/journal')));
  try {
    const wrong = isBooted ? await wrongAfterBoot(story) : undefined;
    const rest = wrong === undefined ? await untilRest(story, life, told, tell) : { bad: wrong };
    return { rest, events: disk?.events ?? [], isBooted };
  } finally {
    story.listeners.delete(tell);
    await unmountSoon(mounted);
    await disk?.stop();
  }
}

/** The first thing that is wrong before the services, once the launcher has had the files recovered. */
async function wrongAfterBoot({ device, switchedTree }: Story): Promise<string | undefined> {
  const said = await recoverByLauncher(device);
  const tree = await treeOnDisk(device.allowedRoot);
  const stands = await updaterThatStands(device);
  const wrong = neitherOldNorNew(tree, device.oldTree, switchedTree);
  if (wrong !== undefined) return `${wrong}\n${said}`;
  return stands === 'old' || stands === 'new' ? undefined : `before the services: the updater is ${stands}`;
}

async function untilRest(
  story: Story,
  { asksForUpdate, isRecorded }: Life,
  told: ReadonlySet<Told>,
  tell: (what: Told) => void,
): Promise<Lived['rest']> {
  const { device, scratch } = story;
  const supervised = supervise(device);
  let neighbour: ReturnType<typeof startNeighbour> | undefined;
  try {
    if (asksForUpdate) await reach(supervised, 'toInstall');
    if (isRecorded) neighbour = startNeighbour(join(scratch, 'mounted/neighbour'));
    if (asksForUpdate) {
      await supervised.post('/api/v1.0/update', { version: '1.1.0' });
      tell('accepted');
    }
    let rest: Rest | string = 'nothing seen yet';
    for (const deadline = performance.now() + patienceMs; performance.now() < deadline; await pause(30)) {
      const { stage } = (await supervised.get<{ stage: Stage }>('/api/v1.0/progress')) ?? {};
      if ((stage === 'success' || stage === 'failed') && !told.has(`shown ${stage}`)) tell(`shown ${stage}`);
      rest = await restOf(device, supervised, told, story.undisturbed);
      if (typeof rest !== 'string') break;
    }
    if (asksForUpdate) await supervised.end('SIGTERM');
    const untrue = toldWrongly(device, told);
    if (typeof rest !== 'string' && untrue === undefined) return rest;
    const why = typeof rest === 'string' ? `after ${patienceMs / 1000} s: ${rest}` : `told: ${untrue}`;
    return { bad: `${why}; told: ${[...told].join(', ')}\n${supervised.output()}` };
  } finally {
    await supervised.end('SIGKILL');
    await neighbour?.stop();
    await run(['sync', '-f', join(scratch, 'mounted')]);
  }
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

async function reach(supervised: Supervised, wanted: Stage): Promise<void> {
  let stage: Stage | undefined;
  for (const deadline = performance.now() + patienceMs; performance.now() < deadline; await pause(20)) {
    stage = (await supervised.get<{ stage: Stage }>('/api/v1.0/progress'))?.stage;
    if (stage === wanted) return;
  }
  throw new Error(`the stage is ${stage}, not ${wanted}:\n${supervised.output()}`);
}
