/**
 * Power cuts on a real filesystem while the built program downloads what is missing of a package: before and after each question to the
 * store, and at writes between. What was written so far has by chance reached the disk at each of these moments, or it has not.
 *
 * Invariant: everything is asynchronous, because this process serves the recorded device (see fuse-disk.ts).
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { PackageRequest } from '../../src/download/request.ts';
import { packagesWithPatches } from '../download/mixed-package.ts';
import { call, type Daemon, type DaemonPlace, downloadTo, pause, startDaemon } from './daemon.ts';
import { type DiskCut, diskCuts } from './disk-cuts.ts';
import {
  type Filesystem,
  makeFilesystem,
  makeScratch,
  mount,
  removeScratch,
  unmount,
} from './filesystems.ts';
import { type DiskEvent, recordedCounts, serveFuseDisk } from './fuse-disk.ts';
import { run } from './run-tool.ts';

export interface DownloadCutsResult {
  readonly writes: number;
  readonly flushes: number;
  readonly questions: number;
  readonly cuts: number;
  /** How many downloads went on with bytes that were there, and how many found them torn and fetched all. */
  readonly wentOn: number;
  readonly torn: number;
  /** Before the request was on the disk: nothing is known of it. */
  readonly notAccepted: number;
  readonly bad: readonly string[];
  readonly ms: number;
}

interface Store {
  readonly url: string;
  /** What is asked for, `a-b` or `whole`. */
  readonly asked: string[];
  /** Called before each answer, and when it has been sent. */
  onMoment: (what: string) => Promise<void>;
  bytes: Buffer;
  close(): void;
}

/** So slow that making is worth it on any machine, and the pieces follow each other with time between. */
const rateLimit = 600_000;

/** `cuts`: at writes between, besides those at the questions. */
export async function cutDownloads(filesystem: Filesystem, cuts: number): Promise<DownloadCutsResult> {
  const started = performance.now();
  const scratch = await makeScratch();
  const at = (name: string) => join(scratch, name);
  const store = await startStore();
  try {
    await mkdir(at('mounted'));
    const place: DaemonPlace = {
      workDirectory: at('mounted/work'),
      allowedRoot: at('mounted/opt'),
      socket: at('socket'),
      rateLimit,
    };
    const { before, now } = await packagesWithPatches(join(place.allowedRoot, 'web'));
    const base = await installedBase(filesystem, scratch, place, store, before);
    store.bytes = now;
    const request = requestOf(store, now, '2.0.0');
    const events = await record(filesystem, scratch, place, store, base, request);
    const undisturbed = [...store.asked];
    const result = { cuts: 0, wentOn: 0, torn: 0, notAccepted: 0 };
    const bad: string[] = [];
    for (const cut of [...cutsAtMarks(base, events), ...diskCutsCopied(base, events, cuts)]) {
      result.cuts += 1;
      await writeFile(at('image'), cut.image);
      const outcome = await resumed(
        filesystem,
        scratch,
        place,
        store,
        cut.marks.includes('accepted'),
        undisturbed,
      );
      if (outcome.startsWith('bad')) bad.push(`${cut.what}: ${outcome}`);
      else result[outcome as 'wentOn' | 'torn' | 'notAccepted'] += 1;
    }
    const { writes, flushes } = recordedCounts(events);
    return {
      ...result,
      bad,
      writes,
      flushes,
      questions: undisturbed.length,
      ms: performance.now() - started,
    };
  } finally {
    store.close();
    await removeScratch(scratch);
  }
}

/** The disk of a device that has the version before. */
async function installedBase(
  filesystem: Filesystem,
  scratch: string,
  place: DaemonPlace,
  store: Store,
  before: Buffer,
): Promise<Buffer> {
  const [image, mounted] = [join(scratch, 'image'), join(scratch, 'mounted')];
  await makeFilesystem(filesystem, image);
  await mount(filesystem, image, mounted);
  for (const path of [place.workDirectory, place.allowedRoot]) await mkdir(path);
  store.bytes = before;
  const daemon = await startDaemon({ ...place, rateLimit: 1_000_000_000 });
  await downloadTo(daemon, requestOf(store, before, '1.0.0'));
  await daemon.post('/api/v1.0/update', { version: '1.0.0' });
  const stage = await daemon.rest();
  if (stage !== 'success') throw new Error(`the first update ended as ${stage}:\n${daemon.output()}`);
  await daemon.stop();
  await unmount(mounted);
  return await readFile(image);
}

/** A whole download, undisturbed; at each moment of the store the filesystem is synced from outside. */
async function record(
  filesystem: Filesystem,
  scratch: string,
  place: DaemonPlace,
  store: Store,
  base: Buffer,
  request: PackageRequest,
): Promise<readonly DiskEvent[]> {
  const mounted = join(scratch, 'mounted');
  const disk = await serveFuseDisk(Buffer.from(base), join(scratch, 'disk'));
  await mount(filesystem, join(scratch, 'disk'), mounted);
  store.asked.length = 0;
  const daemon = await startDaemon(place);
  store.onMoment = async (what) => {
    await pause(60); // what came is taken
    disk.mark(what);
    await run(['sync', '-f', mounted]);
    disk.mark(`${what}, synced`);
  };
  try {
    await daemon.post('/api/v1.0/download', request);
    disk.mark('accepted');
    const stage = await daemon.rest();
    if (stage !== 'toInstall')
      throw new Error(`the recorded download ended as ${stage}:\n${daemon.output()}`);
    disk.mark('toInstall');
    await daemon.stop();
  } finally {
    store.onMoment = async () => undefined;
    await daemon.kill();
    await unmount(mounted);
    await disk.stop();
  }
  return disk.events;
}

/** At each mark: all that was written, and only what was flushed. */
function* cutsAtMarks(base: Buffer, events: readonly DiskEvent[]): Generator<DiskCut> {
  const [issued, flushed] = [Buffer.from(base), Buffer.from(base)];
  const marks: string[] = [];
  let pending: Extract<DiskEvent, { kind: 'write' }>[] = [];
  for (const event of events) {
    if (event.kind === 'write') {
      event.bytes.copy(issued, event.offset);
      pending.push(event);
    } else if (event.kind === 'flush') {
      for (const { bytes, offset } of pending) bytes.copy(flushed, offset);
      pending = [];
    } else {
      marks.push(event.name);
      yield { image: Buffer.from(issued), marks: [...marks], what: `at ${event.name}` };
      if (pending.length > 0)
        yield { image: Buffer.from(flushed), marks: [...marks], what: `at ${event.name}, unflushed lost` };
    }
  }
}

function* diskCutsCopied(base: Buffer, events: readonly DiskEvent[], cuts: number): Generator<DiskCut> {
  for (const cut of diskCuts(base, events, cuts, 1)) yield { ...cut, image: Buffer.from(cut.image) };
}

/** Starts the program on the image: the download goes on by itself, and ends with the right bytes. */
async function resumed(
  filesystem: Filesystem,
  scratch: string,
  place: DaemonPlace,
  store: Store,
  isAccepted: boolean,
  undisturbed: readonly string[],
): Promise<string> {
  const mounted = join(scratch, 'mounted');
  await mount(filesystem, join(scratch, 'image'), mounted);
  store.asked.length = 0;
  let daemon: Daemon | undefined;
  try {
    daemon = await startDaemon(place);
    const stage = await daemon.rest();
    const { data } = (await call(place.socket, 'GET', '/api/v1.0/progress')) as {
      data: { error: string | null };
    };
    await daemon.stop();
    if (stage === 'idle' && !isAccepted) return 'notAccepted';
    if (stage !== 'toInstall') return `bad: it ends as ${stage}: ${data.error}\n${daemon.output()}`;
    const bytes = await readFile(join(place.workDirectory, 'tmp/package.zip'));
    if (!bytes.equals(store.bytes)) return 'bad: other bytes';
    const left = (await run(['ls', join(place.workDirectory, 'tmp')]))
      .split('\n')
      .filter((name) => /part|tail|new/.test(name));
    if (left.length > 0) return `bad: left: ${left.join(', ')}`;
    const isWhole = store.asked.includes('whole');
    if (isWhole && !/downloading once more from byte 0/.test(daemon.output()))
      return `bad: the whole was asked for: ${store.asked.join(', ')}\n${daemon.output()}`;
    if (isWhole) return 'torn';
    const sum = (ranges: readonly string[]) =>
      ranges.reduce(
        (bytesAsked, range) => bytesAsked - Number(range.split('-')[0]) + Number(range.split('-')[1]) + 1,
        0,
      );
    if (sum(store.asked) > sum(undisturbed) + 100)
      return `bad: more than all is asked for: ${store.asked.join(', ')}`;
    return 'wentOn';
  } catch (thrown) {
    return `bad: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  } finally {
    await daemon?.kill();
    await unmount(mounted);
  }
}

function requestOf(store: Store, bytes: Buffer, version: string): PackageRequest {
  return {
    version,
    package_url: store.url,
    package_name: 'package.zip',
    package_size: bytes.length,
    package_md5: createHash('md5').update(bytes).digest('hex'),
  };
}

async function startStore(): Promise<Store> {
  const server = createServer((request, response) => {
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const { bytes } = store;
    store.asked.push(first === undefined ? 'whole' : `${first}-${last || bytes.length - 1}`);
    const number = store.asked.length;
    const answer = async () => {
      await store.onMoment(`question ${number}`);
      const etag = `"${bytes.length}"`;
      if (first === undefined) response.writeHead(200, { etag, 'content-length': bytes.length }).end(bytes);
      else {
        const end = last ? Number(last) + 1 : bytes.length;
        const range = `bytes ${first}-${end - 1}/${bytes.length}`;
        response.writeHead(206, { etag, 'content-range': range, 'content-length': end - Number(first) });
        response.end(bytes.subarray(Number(first), end));
      }
    };
    answer().catch((thrown: unknown) => response.destroy(thrown as Error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const store: Store = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/package.zip`,
    asked: [],
    onMoment: async () => undefined,
    bytes: Buffer.alloc(0),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
  return store;
}
