/**
 * SIGKILL at every file-changing system call of the built program: strace holds the running daemon at the n-th call of
 * a kind and kills it there, before the call takes effect; then the program is started again and the files are judged.
 *
 * strace counts calls per thread and per kind, so the daemon runs its file work on one thread (UV_THREADPOOL_SIZE=1)
 * and without io_uring. An undisturbed run under strace tells which calls there are.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Stage } from '../../src/updater/state.ts';
import { type Daemon, downloadTo, pause, startDaemon } from './daemon.ts';
import { type Device, type Ending, judgeDevice, makeDevice, servePackage } from './device.ts';
import { treeOnDisk } from './disk-tree.ts';
import { makeScratch, removeScratch } from './filesystems.ts';
import type { Tree } from './model-tree.ts';
import { run } from './run-tool.ts';

export interface KillPointRun {
  readonly ending: Ending;
  /** At most this many points, spread evenly. */
  readonly points: number;
}

export interface KillPointResult {
  /** File-changing calls of an undisturbed run. */
  readonly calls: number;
  readonly kills: number;
  /** Points the run did not reach (calls are not quite the same in each run): it ended undisturbed. */
  readonly missed: number;
  readonly old: number;
  readonly new: number;
  readonly bad: readonly string[];
  readonly ms: number;
}

interface Point {
  readonly call: string;
  /** Counts from 1, on the thread that does the file work. */
  readonly nth: number;
}

const fileChanging =
  'openat,pwrite64,pwritev,fsync,fdatasync,rename,renameat2,unlink,rmdir,mkdir,link,symlink,chmod,fchmod,lchown,fchown,ftruncate';
const oneThread = { UV_USE_IO_URING: '0', UV_THREADPOOL_SIZE: '1' };

/** Why kills cannot be tried on this machine, or undefined. */
export async function whyNoStrace(): Promise<string | undefined> {
  try {
    await run(['strace', '-qq', '-o', '/dev/null', '-e', 'inject=getpid:signal=KILL:when=9999', 'true']);
    return undefined;
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message.replaceAll('\n', ' ') : String(thrown);
  }
}

export async function killAtEveryCall(options: KillPointRun): Promise<KillPointResult> {
  const started = performance.now();
  const scratch = await makeScratch();
  try {
    const device = await prepare(options.ending, scratch);
    const { points, newTree } = await undisturbed(options.ending, scratch, device);
    const chosen = spread(points, options.points);
    const result = { kills: 0, missed: 0, old: 0, new: 0 };
    const bad: string[] = [];
    for (const point of chosen) {
      const { killed, shownStage } = await killAt(scratch, device, point);
      if (killed) result.kills += 1;
      else result.missed += 1;
      const outcome = await recoverAndJudge(device, newTree, shownStage === 'success');
      if (outcome.is === 'bad') bad.push(`${point.call} ${point.nth}: ${outcome.why}`);
      else result[outcome.is] += 1;
    }
    return { ...result, bad, calls: points.length, ms: performance.now() - started };
  } finally {
    await removeScratch(scratch);
  }
}

/** A device with the verified package waiting, kept as `template` and copied for each kill. */
async function prepare(ending: Ending, scratch: string): Promise<Device> {
  const home = join(scratch, 'device');
  await mkdir(home);
  const device = await makeDevice(home, join(scratch, 'socket'));
  const served = await servePackage(device, scratch, ending);
  const daemon = await startDaemon(device);
  await downloadTo(daemon, served.request);
  await daemon.stop();
  served.close();
  await rm(join(device.workDirectory, 'lock'), { recursive: true }); // a socket cannot be copied
  await run(['cp', '-a', home, join(scratch, 'template')]); // with extended attributes
  return device;
}

async function undisturbed(
  ending: Ending,
  scratch: string,
  device: Device,
): Promise<{ readonly points: readonly Point[]; readonly newTree: Tree | undefined }> {
  const log = join(scratch, 'calls');
  const daemon = await startDaemon(device, oneThread);
  const tracer = await trace(daemon, ['-o', log, '-e', `trace=${fileChanging}`]);
  await daemon.post('/api/v1.0/update', { version: '1.1.0' });
  const stage = await daemon.rest();
  if (stage !== (ending === 'success' ? 'success' : 'failed'))
    throw new Error(`the undisturbed update ended as ${stage}:\n${daemon.output()}`);
  await daemon.stop();
  await tracer.ended;
  const newTree = ending === 'success' ? await treeOnDisk(device.allowedRoot) : undefined;
  return { points: pointsIn(await readFile(log, 'utf8')), newTree };
}

/** The calls of the thread that makes most of them; of opens only those that create. */
function pointsIn(log: string): Point[] {
  const calls = log.split('\n').flatMap((line) => {
    const [, thread, call] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    return thread === undefined || call === undefined ? [] : [{ thread, call, line }];
  });
  const perThread = new Map<string, number>();
  for (const { thread } of calls) perThread.set(thread, (perThread.get(thread) ?? 0) + 1);
  const [worker] = [...perThread].sort((a, b) => b[1] - a[1])[0] ?? [];
  const counts = new Map<string, number>();
  return calls
    .filter(({ thread }) => thread === worker)
    .flatMap(({ call, line }) => {
      const nth = (counts.get(call) ?? 0) + 1;
      counts.set(call, nth);
      return call === 'openat' && !line.includes('O_CREAT') ? [] : [{ call, nth }];
    });
}

/** Runs the update on a fresh copy of the device and kills it at the point, unless it ends before. */
async function killAt(
  scratch: string,
  device: Device,
  point: Point,
): Promise<{ readonly killed: boolean; readonly shownStage: Stage | undefined }> {
  await rm(join(scratch, 'device'), { recursive: true });
  await run(['cp', '-a', join(scratch, 'template'), join(scratch, 'device')]);
  const daemon = await startDaemon(device, oneThread);
  try {
    const inject = `inject=${point.call}:signal=KILL:when=${point.nth}`;
    const tracer = await trace(daemon, ['-o', '/dev/null', '-e', `trace=${point.call}`, '-e', inject]);
    const resting = daemon
      .post('/api/v1.0/update', { version: '1.1.0' })
      .then(() => daemon.rest())
      .catch(() => undefined); // the connection broke because it was killed
    const shownStage = await resting;
    // What is left to do after the end was shown is part of it: the kill may come there, too.
    const status = shownStage === undefined ? await daemon.ended : await daemon.terminate();
    await tracer.ended;
    return { killed: status === 'SIGKILL', shownStage };
  } finally {
    await daemon.kill();
  }
}

type Outcome = { readonly is: 'old' | 'new' } | { readonly is: 'bad'; readonly why: string };

async function recoverAndJudge(
  device: Device,
  newTree: Tree | undefined,
  succeeded: boolean,
): Promise<Outcome> {
  let daemon: Daemon | undefined;
  try {
    daemon = await startDaemon(device);
    await daemon.rest();
    await daemon.stop();
    const outcome = await judgeDevice(device, newTree, succeeded);
    return outcome.is === 'bad' ? { is: 'bad', why: `${outcome.why}\n${daemon.output()}` } : outcome;
  } catch (thrown) {
    return { is: 'bad', why: thrown instanceof Error ? thrown.message : String(thrown) };
  } finally {
    await daemon?.kill();
  }
}

/** Attaches strace to every thread of the daemon. */
async function trace(daemon: Daemon, flags: readonly string[]): Promise<{ readonly ended: Promise<void> }> {
  const tracer = spawn('strace', ['-f', '-qq', '-p', String(daemon.pid), ...flags], { stdio: 'ignore' });
  const ended = endOf(tracer);
  const deadline = performance.now() + 10_000;
  while (!(await isTraced(daemon.pid))) {
    if (performance.now() > deadline) throw new Error('strace does not attach');
    await pause(5);
  }
  return { ended };
}

async function isTraced(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`);
  const statuses = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/status`, 'utf8')),
  );
  return statuses.every((status) => /^TracerPid:\s*[1-9]/m.test(status));
}

function endOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', () => resolve());
  });
}

function spread<T>(all: readonly T[], count: number): T[] {
  if (all.length <= count) return [...all];
  return Array.from({ length: count }, (_, index) => all[Math.floor((index * all.length) / count)]).filter(
    (each) => each !== undefined,
  );
}
