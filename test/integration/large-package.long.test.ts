/**
 * A package of 300 MB updates two running services, served by nginx and by Node: files, modes, order of restarts,
 * reports. Meanwhile GET /progress answers at once, and nothing in the daemon blocks its event loop for 20 ms.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { contentBytes, digestsOf, type PackageSpec } from '../fixtures/package-builder.ts';
import { type Daemon, programArgv, until } from './daemon.ts';
import { type Device, makeDevice, type Request } from './harness.ts';
import { nginxMissing, startNginx } from './nginx.ts';

const blobBytes = 100 * 1024 * 1024;
/** The three large files: views of one buffer of random bytes, each from another offset. */
const random = Buffer.alloc(blobBytes + 3, contentBytes({ random: 1024 * 1024 }));
const blobs = [0, 1, 2].map((offset) => random.subarray(offset, offset + blobBytes));
const tests = suite('a package of 300 MB');
const isExecutable = programArgv.length === 1;
const withoutNginx = nginxMissing();
if (withoutNginx !== undefined) console.log(`skipped: served by nginx: ${withoutNginx}`);
let device: Device;
let request: Request;

tests.before(async () => {
  device = await makeDevice();
  request = await device.offer(largePackage());
});
tests.after(() => device.close());

(withoutNginx === undefined ? tests : tests.skip)(
  'served by nginx, updates two running services',
  async () => {
    const nginx = await startNginx(device.store.folder, join(device.folder, 'nginx'));
    try {
      const path = new URL(request.package_url).pathname;
      await updatesAndGoesBack('nginx', { ...request, package_url: `${nginx.url}${path}` });
    } finally {
      await nginx.close();
    }
  },
);

tests('served by Node, updates two running services', () => updatesAndGoesBack('Node', request));

tests.run();

/**
 * Measures anew, once, where the first measurement is bad. What the daemon did to its loop is judged on any machine with
 * the bundle. With the executable, whose pages come back from the page cache, and of the answers it is printed and not
 * judged where other programs wanted the processors all the time: it then says nothing of ours.
 */
async function updatesAndGoesBack(server: string, wanted: Request): Promise<void> {
  const measured = [await measuredUpdate(server, wanted)];
  if (!measured.every(isFluent)) measured.push(await measuredUpdate(server, wanted));
  if (measured.some(isFluent)) return;
  const isBusy = measured.every(({ waitedShare }) => waitedShare > busyShare);
  const isLoopFine = isExecutable || measured.some(isUnblocked);
  if (!isBusy || !isLoopFine) assert.unreachable(`twice: ${JSON.stringify(measured)}`);
  console.log(`\nskipped: ${server}: judging delays: the machine was busy with other programs`);
}

interface Measured {
  /** GET /progress, the slowest answer. */
  readonly answerMs: number;
  /** Longest time that the event loop was blocked by the daemon's own doing, from its first answer to its end. */
  readonly loopMs: number;
  /** Share of the time in which the daemon could have run and had no processor. */
  readonly waitedShare: number;
}

const busyShare = 0.1;

function isFluent(measured: Measured): boolean {
  return measured.answerMs < 100 && isUnblocked(measured);
}

function isUnblocked({ loopMs }: Measured): boolean {
  return loopMs < 20;
}

async function measuredUpdate(server: string, wanted: Request): Promise<Measured> {
  const before = device.files();
  const loopFile = join(device.folder, `loop-${server}.json`);
  // Without the threads that collect garbage, as the executables run: on a busy machine it waits for them.
  const daemon = await device.start([], {
    NODE_OPTIONS: `--v8-pool-size=0 --require=${join(import.meta.dirname, 'loop-delay.cjs')}`,
    LOOP_DELAY_FILE: loopFile,
    NODE_V8_COVERAGE: undefined,
  });
  const reportsBefore = device.deviceApi.reports.length;
  const eventsBefore = device.events().length;
  assert.ok(existsSync(loopFile), 'the measurement was not loaded');
  daemon.kill('SIGUSR2');
  const polls = pollProgress(daemon);
  const started = performance.now();

  assert.is((await daemon.post('download', wanted)).code, 200);
  await daemon.reach('toInstall', 'failed');
  const downloadedMs = performance.now() - started;
  assert.is((await daemon.post('update', { version: wanted.version })).code, 200);
  const end = await daemon.reach('success', 'failed');
  const installedMs = performance.now() - started;
  const { p99, max } = spread(await polls.end());
  assert.is(end.stage, 'success', end.error ?? '');

  await isInstalled();
  const events = device.events().slice(eventsBefore);
  assert.equal(events.slice(0, 2), ['stop beta 1.0.0', 'stop alpha 1.0.0']);
  assert.equal(events.slice(2).sort(), ['start alpha 2.0.0', 'start beta 2.0.0']);
  assert.equal(startOrder(daemon), ['alpha', 'beta']);
  await until('the last report', () => device.deviceApi.reports.at(-1)?.stage === 'success');
  areOrderly(device.deviceApi.reports.slice(reportsBefore));
  console.log(
    `\nmeasured: ${server}: download ${seconds(downloadedMs)}, all ${seconds(installedMs)}; GET /progress: 99 % within ${p99.toFixed(1)} ms, max ${max.toFixed(1)} ms`,
  );

  assert.is((await daemon.post('rollback')).code, 200);
  const back = await daemon.reach('success', 'failed');
  assert.is(back.stage, 'success', back.error ?? '');
  assert.equal(device.files(), before);
  await until('the old services run', () => device.running().join() === 'alpha 1.0.0,beta 1.0.0');
  assert.is(await daemon.end('SIGTERM'), 0);
  return { answerMs: max, ...loopDelay(server, loopFile) };
}

/** Two services in folders of their own with a large file beside the program, and a large file of data. */
function largePackage(): PackageSpec {
  const usual = device.usual('2.0.0');
  const blob = (index: number) => ({ content: blobs[index] ?? '', compress: false });
  const program = (name: 'alpha' | 'beta') => {
    const path = device.program(name);
    return `modules/${name}/${path.slice(path.lastIndexOf('/') + 1)}`;
  };
  const folder = (name: string) => join(device.root, name);
  return {
    version: '2.0.0',
    modules: usual.modules.map((module) =>
      module.name === 'data'
        ? module
        : { ...module, src: `modules/${module.name}`, dst: folder(String(module.name)) },
    ),
    files: {
      [program('alpha')]: { content: device.programText('alpha', '2.0.0'), mode: 0o755 },
      'modules/alpha/weights.bin': { ...blob(0), mode: 0o640 },
      [program('beta')]: { content: device.programText('beta', '2.0.0'), mode: 0o755 },
      'modules/beta/weights.bin': blob(1),
      'modules/model.bin': blob(2),
    },
  };
}

async function isInstalled(): Promise<void> {
  const weights = ['alpha', 'beta'].map((name) => join(device.root, name, 'weights.bin'));
  const paths = [...weights, device.dataFile];
  const found = await Promise.all(paths.map(async (path) => (await digestsOf(path)).md5));
  assert.equal(
    found,
    blobs.map((blob) => createHash('md5').update(blob).digest('hex')),
  );
  const modeOf = (path: string) => (statSync(path).mode & 0o7777).toString(8);
  assert.equal(paths.map(modeOf), ['640', '644', '644']);
  for (const name of ['alpha', 'beta'] as const) {
    assert.is(readFileSync(device.program(name), 'utf8'), device.programText(name, '2.0.0'));
    assert.is(modeOf(device.program(name)), '755');
  }
  await until('the new services run', () => device.running().join() === 'alpha 2.0.0,beta 2.0.0');
  await until('tmp is empty', () => device.namesBelow(join(device.work, 'tmp')).length === 0);
}

/** Each stage once and in order, the download in steps of 5 %, all answered. */
function areOrderly(reports: readonly { stage: string; progress: number }[]): void {
  const stages = reports.map(({ stage }) => stage);
  assert.equal(
    stages.filter((stage, index) => stage !== stages[index - 1]),
    ['downloading', 'verifying', 'toInstall', 'installing', 'success'],
  );
  const steps = reports.filter(({ stage }) => stage === 'downloading').map(({ progress }) => progress);
  assert.equal(
    steps,
    [...steps].sort((a, b) => a - b),
  );
  assert.is(new Set(steps.map((percent) => Math.floor(percent / 5))).size, steps.length, steps.join());
}

/** Modules in the order in which the daemon started their services, by its log. */
function startOrder(daemon: Daemon): string[] {
  return [...daemon.printed().matchAll(/ (\w+): started /g)].map(([, name = '']) => name);
}

/** Asks for the progress every 20 ms; gives how long each answer took, in ms. */
function pollProgress(daemon: Daemon): { end(): Promise<number[]> } {
  const latencies: number[] = [];
  let isOver = false;
  const loop = (async () => {
    while (!isOver) {
      const asked = performance.now();
      await daemon.progress();
      latencies.push(performance.now() - asked);
      await sleep(20);
    }
  })();
  return {
    end: async () => {
      isOver = true;
      await loop;
      return latencies;
    },
  };
}

/** What the daemon itself did to its loop. */
function loopDelay(server: string, path: string): Pick<Measured, 'loopMs' | 'waitedShare'> {
  const written = JSON.parse(readFileSync(path, 'utf8')) as Record<string, number>;
  const { samples, wallMaxMs = 0, ownMaxMs = Infinity, ownP999Ms = 0, waitedShare = 0 } = written;
  const figures = `99.9 % below ${ownP999Ms.toFixed(1)} ms, max ${ownMaxMs.toFixed(1)} ms`;
  const withWait = `${wallMaxMs.toFixed(1)} ms with the wait for a processor, ${(100 * waitedShare).toFixed(0)} % of the time`;
  console.log(`\nmeasured: ${server}: event loop delay, ${samples} samples: ${figures} (${withWait})`);
  return { loopMs: ownMaxMs, waitedShare };
}

function spread(values: readonly number[]): { p99: number; max: number } {
  const sorted = [...values].sort((a, b) => a - b);
  return { p99: sorted[Math.floor(sorted.length * 0.99)] ?? 0, max: sorted.at(-1) ?? 0 };
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
