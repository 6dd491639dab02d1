/** Every face that the page can show, and a server that makes it show them. */

import type { HistoryEntry } from '../../src/history.ts';
import { realClock } from '../../src/host/clock.ts';
import { createEvents } from '../../src/http/events.ts';
import { startServer } from '../../src/http/server.ts';
import type { Progress, ProgressFacts } from '../../src/updater/state.ts';
import { collectingLog, scriptedUpdater } from '../fixtures/scripted-updater.ts';

export interface Face {
  readonly name: string;
  readonly progress: Progress;
  /** What the title reads then, in either language. */
  readonly title: string;
  /** The button to press for it. */
  readonly opensBy?: 'showHistory' | 'showDetails' | 'askInstall' | 'askRollback';
}

const longError =
  'HEALTH_CHECK_FAILED: device-api: http://127.0.0.1:9080/health answered 500 Internal Server Error for 20 s after ' +
  'its start, the last answer was {"status":"starting","database":"migrating"}';
const done = progress('success', 100);
const idle = progress('idle', 0, { kind: null, version: null });
const download = { bytes_fetched: 4_937_216, bytes_reused: 8_819_105, requests: 5 };
const waits = {
  ...progress('toInstall', 100),
  message: '4.9 of 33.6 MB downloaded, the rest is already here',
};
const counted = { bytes: 13_756_321, totalBytes: 33_554_432 };

export const faces: readonly Face[] = [
  { name: 'idle', progress: idle, title: '^(Ready|就绪)$' },
  {
    name: 'downloading',
    progress: progress('downloading', 41, { ...counted, download }),
    title: '^(Downloading|正在下载)$',
  },
  { name: 'verifying', progress: progress('verifying', 0), title: '^(Checking|正在校验)$' },
  { name: 'toInstall', progress: waits, title: '^(Ready to install|可以安装)$' },
  {
    name: 'install question',
    progress: waits,
    title: '^(Ready to install|可以安装)$',
    opensBy: 'askInstall',
  },
  { name: 'what is new', progress: waits, title: '^(Ready to install|可以安装)$', opensBy: 'showDetails' },
  { name: 'what is installed', progress: idle, title: '^(Ready|就绪)$', opensBy: 'showDetails' },
  {
    name: 'consent',
    progress: { ...idle, message: 'waits for your consent to version 1.6.0' },
    title: '^(Update available|有可用更新)$',
  },
  {
    name: 'no network',
    progress: {
      ...progress('downloading', 41, counted),
      message: 'waiting for the network: getaddrinfo EAI_AGAIN store.example',
    },
    title: '^(Waiting for the network|正在等待网络)$',
  },
  {
    name: 'installing',
    progress: { ...progress('installing', 63, { ...counted, module: 'device-api' }), message: 'unpacking' },
    title: '^(Installing|正在安装)$',
  },
  {
    name: 'held',
    progress: {
      ...progress('installing', 0),
      message:
        'waiting for printer: a print is running, 3 h 20 min left (until 2026-11-23T23:00:00.000Z at the latest)',
    },
    title: '^(Waiting for printer|正在等待 printer)$',
  },
  {
    name: 'putting back',
    progress: { ...progress('installing', 97), message: 'putting everything back' },
    title: '^(Putting the old version back|正在恢复旧版本)$',
  },
  { name: 'rebooting', progress: progress('rebooting', 94), title: '^(Restarting|正在重启)$' },
  { name: 'success', progress: done, title: '^(Update complete|更新完成)$' },
  {
    name: 'failed',
    progress: { ...progress('failed', 97), error: longError },
    title: '^(Update failed|更新失败)$',
  },
  {
    name: 'failure in full',
    progress: { ...progress('failed', 97), error: longError },
    title: '^(Update failed|更新失败)$',
    opensBy: 'showDetails',
  },
  {
    name: 'further back',
    progress: { ...progress('failed', 97), error: longError },
    title: '^(Update failed|更新失败)$',
    opensBy: 'askRollback',
  },
  {
    name: 'rolling back',
    progress: progress('installing', 95, { kind: 'rollback' }),
    title: '^(Going back|正在回退)$',
  },
  { name: 'history', progress: done, title: '^(Update complete|更新完成)$', opensBy: 'showHistory' },
  { name: 'question', progress: done, title: '^(Update complete|更新完成)$', opensBy: 'askRollback' },
];

export interface Stage {
  readonly url: string;
  show(face: Face): Promise<void>;
  close(): Promise<void>;
}

/** A server whose updater is in whatever state it is told to be in; a count goes on at 800 kB/s. */
export async function startFaces(): Promise<Stage> {
  const updater = scriptedUpdater();
  updater.setHistory(history);
  let shownAtMs = performance.now();
  let shown = idle;
  const current = () => {
    const { facts } = shown;
    if (facts === undefined || facts.totalBytes === 0) return shown;
    const bytes = Math.floor(facts.bytes + 0.8 * 1000 * (performance.now() - shownAtMs));
    return { ...shown, facts: { ...facts, bytes: Math.min(bytes, facts.totalBytes) } };
  };
  const events = createEvents(realClock(), current);
  const options = { host: '127.0.0.1', port: 0, version: '1.0.0', log: collectingLog(), clock: realClock() };
  const screenActions = ['rollback', 'install', 'cancel', 'consent'];
  const server = await startServer(updater, { ...options, events, screenActions });
  return {
    url: `http://127.0.0.1:${server.port}/`,
    async show({ progress }) {
      shown = progress;
      shownAtMs = performance.now();
      updater.setProgress(progress);
      await events.listener(progress, true, null);
      // Until there is a rate to show.
      if (progress.facts?.totalBytes) await new Promise((resolve) => setTimeout(resolve, 1_600));
    },
    close: server.close,
  };
}

function progress(stage: Progress['stage'], percent: number, facts: Partial<ProgressFacts> = {}): Progress {
  return {
    stage,
    progress: percent,
    message: stage,
    error: null,
    facts: {
      kind: 'update',
      version: '1.5.0',
      action: null,
      module: null,
      bytes: 0,
      totalBytes: 0,
      receivedBytes: 0,
      retries: 0,
      waits: 0,
      reusedBytes: 0,
      requests: 0,
      download: null,
      ...facts,
    },
  };
}

const history: readonly HistoryEntry[] = [
  entry('1.5.0', '1.4.0', '2026-11-23T20:44:00.000Z', null),
  entry('1.5.0', '1.4.0', '2026-11-20T09:12:00.000Z', longError),
  entry('1.4.0', '1.3.2', '2026-09-02T07:30:00.000Z', null),
  entry('1.3.2', null, '2026-05-11T12:01:00.000Z', null),
];

function entry(version: string, previous: string | null, at: string, error: string | null): HistoryEntry {
  return {
    id: at,
    kind: 'update',
    version,
    previous_version: previous,
    started_at: at,
    ended_at: at,
    outcome: error === null ? 'success' : 'failed',
    error,
    bytes: 33_554_432,
    modules: ['device-api', 'voice-app', 'models'],
  };
}
