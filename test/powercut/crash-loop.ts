/**
 * A crash loop: the built program is killed a moment after each of its starts, in the middle of an install whose health
 * check takes longer than that moment. Left alone at last it must rest with a whole set and nothing left over, and the
 * same update must succeed when nobody interferes.
 */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Stage } from '../../src/updater/state.ts';
import { type Daemon, downloadTo, pause, startDaemon } from './daemon.ts';
import { type Device, judgeDevice, makeDevice, servePackage } from './device.ts';
import { treeOnDisk } from './disk-tree.ts';
import { makeScratch, removeScratch } from './filesystems.ts';
import { difference } from './model-tree.ts';

export interface CrashLoopRun {
  /** Starts that end by a kill. */
  readonly starts: number;
  /** From a start to its kill. */
  readonly lifeMs: number;
}

export interface CrashLoopResult {
  /** Kills that came while the daemon said it was installing. */
  readonly killsInInstall: number;
  /** Where the start that was left alone came to rest, and with which set. */
  readonly stage: Stage;
  readonly set: 'old' | 'new';
  /** The first thing that is wrong; undefined: nothing. */
  readonly bad: string | undefined;
  readonly ms: number;
}

export async function crashLoop(options: CrashLoopRun): Promise<CrashLoopResult> {
  const started = performance.now();
  const scratch = await makeScratch();
  try {
    await mkdir(join(scratch, 'device'));
    const device = await makeDevice(join(scratch, 'device'), join(scratch, 'socket'));
    const served = await servePackage(device, scratch, 'slow health');
    try {
      await withDaemon(device, (daemon) => downloadTo(daemon, served.request));
      let killsInInstall = 0;
      for (let start = 0; start < options.starts; start++) {
        const seen = await live(device, options.lifeMs, start === 0 ? served.request.version : undefined);
        if (seen === 'installing') killsInInstall += 1;
      }
      const stage = await withDaemon(device, (daemon) => daemon.rest());
      const judged = await judgeDevice(device, undefined, false);
      const strays = await straysIn(device.workDirectory);
      await withDaemon(device, async (daemon) => {
        await downloadTo(daemon, served.request);
        await daemon.post('/api/v1.0/update', { version: served.request.version });
        const end = await daemon.rest();
        if (end !== 'success') throw new Error(`left alone the update ends as ${end}:\n${daemon.output()}`);
      });
      const isUnchanged = difference(device.oldTree, await treeOnDisk(device.allowedRoot)).length === 0;
      const bad = [
        judged.is === 'bad' ? judged.why : undefined,
        strays.length > 0 ? `left over: ${strays.join(', ')}` : undefined,
        isUnchanged ? 'left alone the update changes nothing' : undefined,
      ].find((why) => why !== undefined);
      const set = judged.is === 'old' ? 'old' : 'new';
      return { killsInInstall, stage, set, bad, ms: performance.now() - started };
    } finally {
      served.close();
    }
  } finally {
    await removeScratch(scratch);
  }
}

/** One life, ended by SIGKILL; the stage just before. `version`: asks for its install first. */
async function live(device: Device, lifeMs: number, version: string | undefined): Promise<Stage> {
  const born = performance.now();
  const daemon = await startDaemon(device);
  try {
    if (version !== undefined) await daemon.post('/api/v1.0/update', { version });
    await pause(Math.max(0, lifeMs - (performance.now() - born)));
    return await daemon.stage();
  } finally {
    await daemon.kill();
  }
}

async function withDaemon<T>(device: Device, action: (daemon: Daemon) => Promise<T>): Promise<T> {
  const daemon = await startDaemon(device);
  try {
    const result = await action(daemon);
    await daemon.stop();
    return result;
  } finally {
    await daemon.kill();
  }
}

/** What a transaction must not leave in the work directory. */
async function straysIn(workDirectory: string): Promise<string[]> {
  const names = await Promise.all(
    ['tmp', 'backups'].map(async (directory) =>
      (await readdir(join(workDirectory, directory))).map((name) => `${directory}/${name}`),
    ),
  );
  return names.flat().filter((name) => /^backups\/journal$|\.bak$|\.new$|\.part$/.test(name));
}
