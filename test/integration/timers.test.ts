/** What happens by itself after a while, with a clock whose waits are a hundred times shorter than they say. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { realClock } from '../../src/host/clock.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Clock, Files, Host, Log } from '../../src/host/host.ts';
import { realMemory } from '../../src/host/memory.ts';
import { realNet } from '../../src/host/net.ts';
import { realProcesses } from '../../src/host/processes.ts';
import { limits } from '../../src/limits.ts';
import { createUpdater } from '../../src/updater/runner.ts';
import type { RunningUpdater } from '../../src/updater/state.ts';
import { type Call, hangingFiles } from '../fixtures/hanging-files.ts';
import { plainSettings } from '../fixtures/plain-settings.ts';
import { concurrently } from '../runner/concurrently.ts';
import { until } from './daemon.ts';
import { type Device, withDevice } from './harness.ts';
import { dataOnly } from './updates.ts';

const tests = concurrently('after a while');
/** Of the bounds of what hangs; short, and long enough for a busy machine. */
Object.assign(limits, { stageStuckMs: 6_000, stepStuckMs: 6_000 });

const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** The updater within this process: all is real but the length of its timers. */
async function startUpdater(device: Device, files: Files = realFiles()): Promise<RunningUpdater> {
  const clock = realClock();
  const hasty: Clock = { ...clock, after: (ms, action) => clock.after(ms / 100, action) };
  const host: Host = {
    files,
    clock: hasty,
    processes: realProcesses(),
    net: realNet({ environment: {}, caFile: undefined, clientCertFile: undefined, clientKeyFile: undefined }),
    log: silent,
    memory: await realMemory(),
  };
  for (const name of ['tmp', 'backups']) mkdirSync(join(device.work, name));
  const updater = createUpdater(host, plainSettings(device.work, device.root), []);
  await updater.recover();
  return updater;
}

const reach = (updater: RunningUpdater, stage: string) =>
  until(
    () => `${stage}: ${JSON.stringify(updater.progress())}`,
    () => updater.progress().stage === stage,
  );

tests('60 s of success become idle', () =>
  withDevice(async (device) => {
    const updater = await startUpdater(device);
    await updater.download(
      await device.offer({
        version: '2.0.0',
        modules: [{ name: 'data', src: 'model.bin', dst: device.dataFile }],
        files: { 'model.bin': 'new' },
      }),
    );
    await reach(updater, 'toInstall');
    await updater.update({ version: '2.0.0', allow_downgrade: false });
    await reach(updater, 'success');
    const successAt = performance.now();
    await reach(updater, 'idle');
    const tookMs = performance.now() - successAt;
    assert.ok(tookMs > 300, `after ${tookMs} ms, a hundredth of what it means`);
    assert.is(updater.progress().error, null);
    await updater.stop();
  }),
);

tests('a failure stays until the next download', () =>
  withDevice(async (device) => {
    const updater = await startUpdater(device);
    const request = await device.offer(device.usual('2.0.0'));
    await updater.download({ ...request, package_md5: '0'.repeat(32) });
    await reach(updater, 'failed');
    await sleep(1_500);
    assert.is(updater.progress().stage, 'failed');
    await updater.download(request);
    await reach(updater, 'toInstall');
    await updater.stop();
  }),
);

tests('a staged file that the disk never takes ends the install, by name, and nothing has changed', () =>
  withDevice(async (device) => {
    const real = realFiles();
    let left = 1;
    const hanging: Files = {
      ...real,
      open: async (path, how) => {
        const file = await real.open(path, how);
        const isStaged = path.startsWith(device.root) && how === 'create' && left-- > 0;
        return isStaged ? { ...file, write: () => new Promise<never>(() => undefined) } : file;
      },
    };
    const updater = await startUpdater(device, hanging);
    const before = device.files();
    await updater.download(await device.offer(dataOnly(device, '2.0.0')));
    await reach(updater, 'toInstall');
    await updater.update({ version: '2.0.0', allow_downgrade: false });
    await reach(updater, 'failed');
    assert.match(
      updater.progress().error ?? '',
      /^DEPLOYMENT_FAILED: staging data does not go on: nothing was processed for 6 s/,
    );
    await updater.settled();
    assert.equal(device.files(), before);
  }),
);

const hangs: readonly (readonly [what: string, isMeant: (device: Device) => Call, named: RegExp])[] = [
  [
    'a backup that the disk never takes',
    ({ work }) =>
      (name, path) =>
        (name === 'hardLink' || name === 'write') && path.includes(`${work}/backups/data.`),
    /saving backups/,
  ],
  [
    'a staged file that is never durable',
    ({ root }) =>
      (name, path) =>
        name === 'sync' && path.startsWith(root),
    /staging|durable|backups/,
  ],
  [
    'a directory that is never durable',
    ({ root }) => {
      let left = 1; // the way back syncs it, too
      return (name, path) => name === 'syncDirectory' && path.startsWith(root) && left-- > 0;
    },
    /making what was written durable/,
  ],
];
for (const [what, isMeant, named] of hangs)
  tests.long(`${what} ends the install, by name, and nothing has changed`, () =>
    withDevice(async (device) => {
      let isOn = false;
      const meant = isMeant(device);
      const updater = await startUpdater(
        device,
        // Without a sync of the whole filesystem each file and directory is made durable by itself.
        {
          ...hangingFiles((name, path) => isOn && meant(name, path)),
          openFilesystem: async () => undefined,
        },
      );
      const before = device.files();
      await updater.download(await device.offer(dataOnly(device, '2.0.0')));
      await reach(updater, 'toInstall');
      isOn = true;
      await updater.update({ version: '2.0.0', allow_downgrade: false });
      await reach(updater, 'failed');
      isOn = false;
      assert.match(updater.progress().error ?? '', named);
      assert.match(updater.progress().error ?? '', /^DEPLOYMENT_FAILED: .* does not go on/);
      await updater.settled();
      assert.equal(device.files(), before);
    }),
  );

tests.run();
