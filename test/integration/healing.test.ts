/** Self-healing (spec section 6): what a start makes of what an earlier run left, stage by stage. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { concurrently } from '../runner/concurrently.ts';
import { type Daemon, until } from './daemon.ts';
import { type Device, type Request, withDevice } from './harness.ts';

const tests = concurrently('self-healing');

const fillerBytes = 2_000_000;

/** Alpha, beta and data, with a filler that makes the download last where the store is slow. */
function usual(device: Device): PackageSpec {
  return device.usual('2.0.0', { filler: { content: { random: fillerBytes }, compress: false } });
}

const statePath = (device: Device) => join(device.work, 'tmp/state.json');
const stateOf = (device: Device) => JSON.parse(readFileSync(statePath(device), 'utf8'));
const changeState = (device: Device, change: object) =>
  writeFileSync(statePath(device), JSON.stringify({ ...stateOf(device), ...change }));
const partPath = (device: Device, request: Request) =>
  join(device.work, 'tmp', `${request.package_name}.part`);
/** The report that is owed to device-api apart, it lives longer than the package. */
const leftInTmp = (device: Device) =>
  device.namesBelow(join(device.work, 'tmp')).filter((name) => name !== 'outbox.json');

async function waiting(device: Device): Promise<{ daemon: Daemon; request: Request }> {
  const daemon = await device.start();
  const request = await device.offer(usual(device));
  await daemon.post('download', request);
  await daemon.reach('toInstall');
  return { daemon, request };
}

/** Installs what waits, to show that the device is as healthy as before. */
async function isInstallable(device: Device, daemon: Daemon): Promise<void> {
  await daemon.post('update', { version: '2.0.0' });
  const { stage, error } = await daemon.reach('success', 'failed');
  assert.is(stage, 'success', error ?? '');
  assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
}

tests('downloading: killed, it goes on by itself from the byte it had', () =>
  withDevice(async (device) => {
    const first = await device.start();
    const request = await device.offer(usual(device));
    device.store.throttle(1_500_000);
    await first.post('download', request);
    await until('a third is there', async () => (await first.progress()).progress >= 33);
    await until('state.json knows', () => stateOf(device).bytes_downloaded > fillerBytes / 10);
    await first.end('SIGKILL');
    const { stage, bytes_downloaded, etag } = stateOf(device);
    assert.is(stage, 'downloading');
    assert.ok(bytes_downloaded > fillerBytes / 10, `state.json knows of ${bytes_downloaded} bytes`);
    assert.match(etag, /^"/);
    const sizeOnDisk = readFileSync(partPath(device, request)).length;

    device.store.throttle(undefined);
    const second = await device.start();
    await second.reach('toInstall');
    assert.is(device.store.ranges.at(-1), `bytes=${sizeOnDisk}-`);
    await isInstallable(device, second);
  }),
);

tests.long('downloading: bytes that were damaged on the disk meanwhile are not trusted', () =>
  withDevice(async (device) => {
    const first = await device.start();
    const request = await device.offer(usual(device));
    device.store.throttle(1_500_000);
    await first.post('download', request);
    await until('a third is there', async () => (await first.progress()).progress >= 33);
    await first.end('SIGKILL');
    const bytes = readFileSync(partPath(device, request));
    writeFileSync(partPath(device, request), bytes.fill(0, 1000, 2000));

    device.store.throttle(undefined);
    const second = await device.start();
    await second.reach('toInstall');
    assert.is(device.store.ranges.at(-1), undefined, 'it was downloaded once more from byte 0');
    await isInstallable(device, second);
  }),
);

tests('verifying: a package that was whole is verified again, without the network', () =>
  withDevice(async (device) => {
    const { daemon: first } = await waiting(device);
    await first.end('SIGKILL');
    changeState(device, { stage: 'verifying', verified_at: null });
    const requests = device.store.ranges.length;
    const second = await device.start();
    await second.reach('toInstall');
    assert.is(device.store.ranges.length, requests);
    await isInstallable(device, second);
  }),
);

tests.long('toInstall: waits on after a restart', () =>
  withDevice(async (device) => {
    const { daemon: first } = await waiting(device);
    await first.end('SIGKILL');
    const second = await device.start();
    assert.is((await second.progress()).stage, 'toInstall');
    await isInstallable(device, second);
  }),
);

tests.long('toInstall: expires at a start after 24 hours, with a report, and nothing is left of it', () =>
  withDevice(async (device) => {
    const { daemon: first } = await waiting(device);
    await first.end('SIGTERM');
    changeState(device, { verified_at: new Date(Date.now() - 24 * 3600 * 1000 - 1000).toISOString() });
    const second = await device.start();
    const { error } = await second.reach('failed');
    assert.match(error ?? '', /^PACKAGE_EXPIRED: /);
    assert.equal(leftInTmp(device), []);
    await until('it is reported', () => device.deviceApi.stages().at(-1) === 'failed');
    assert.match(device.deviceApi.reports.at(-1)?.error ?? '', /^PACKAGE_EXPIRED: /);
  }),
);

tests.long('toInstall: the seal outlives a restart; without it the digest of the request is compared', () =>
  withDevice(async (device) => {
    const { daemon: first, request } = await waiting(device);
    await first.end('SIGKILL');
    assert.match(stateOf(device).package_seal.tag, /^[0-9a-f]{32}$/);
    changeState(device, { package_seal: undefined });
    const path = join(device.work, 'tmp', request.package_name);
    const intact = readFileSync(path);
    const changed = Uint8Array.from(intact);
    const middle = intact.length >> 1;
    changed[middle] = (changed[middle] ?? 0) ^ 1;
    for (const bytes of [changed, intact]) {
      const waits = stateOf(device);
      writeFileSync(path, bytes);
      const daemon = await device.start();
      await daemon.reach('toInstall');
      if (bytes === intact) await isInstallable(device, daemon);
      else {
        const before = device.files();
        await daemon.post('update', { version: '2.0.0' });
        const { error } = await daemon.reach('failed');
        assert.match(error ?? '', /^MD5_MISMATCH: .*changed on the disk/);
        assert.equal(device.files(), before);
        await daemon.end('SIGTERM');
        writeFileSync(statePath(device), JSON.stringify(waits));
      }
    }
  }),
);

tests('toInstall: a package whose digest is right and whose seal is not is not installed', () =>
  withDevice(async (device) => {
    const { daemon: first } = await waiting(device);
    await first.end('SIGKILL');
    const { package_seal } = stateOf(device);
    changeState(device, { package_seal: { ...package_seal, tag: '0'.repeat(32) } });
    const second = await device.start();
    const before = device.files();
    await second.post('update', { version: '2.0.0' });
    const { error } = await second.reach('failed');
    assert.match(error ?? '', /^DEPLOYMENT_FAILED: .*other bytes in two readings/);
    assert.equal(device.files(), before);
  }),
);

tests.long('toInstall: a package that is gone is an error that says so', () =>
  withDevice(async (device) => {
    const { daemon: first, request } = await waiting(device);
    await first.end('SIGTERM');
    rmSync(join(device.work, 'tmp', request.package_name));
    const second = await device.start();
    const { error } = await second.reach('failed');
    assert.match(error ?? '', /^DOWNLOAD_INCOMPLETE: .*gone/);
    await second.post('download', request);
    await second.reach('toInstall');
  }),
);

/** Moments of an install, known by what the daemon says it does. */
const moments = ['unpacking', 'stopping services', 'starting services', 'checking health'];
for (const moment of moments) {
  const test = moment === 'checking health' ? tests : tests.long;
  test(`installing: killed -9 while ${moment}, the next start finishes it`, () =>
    withDevice(async (device) => {
      const first = await device.start();
      const health = { exec: ['/bin/sleep', '0.5'], timeout_s: 20 };
      const spec = usual(device);
      const request = await device.offer({
        ...spec,
        modules: spec.modules.map((module) => ({ ...module, health })),
      });
      await first.post('download', request);
      await first.reach('toInstall');
      await first.post('update', { version: '2.0.0' });
      const seen = await until('the moment', async () => {
        const { stage, message } = await first.progress();
        return (message === moment || stage !== 'installing') && `${stage} ${message}`;
      });
      await first.end('SIGKILL');

      const second = await device.start();
      const { stage, error } = await second.reach('success', 'failed', 'idle');
      // A busy machine may see the moment too late, when all is done.
      assert.ok(stage === 'success' || seen.startsWith('success'), `${seen}; ${stage}; ${error}`);
      await until('both new services run', () => device.running().join() === 'alpha 2.0.0,beta 2.0.0');
      assert.is(readFileSync(device.dataFile, 'utf8'), 'model of 2.0.0');
      assert.equal(Object.keys(device.files()).length, 6, 'no staged file is left beside its target');
      await until('tmp is empty', () => leftInTmp(device).length === 0);
      await second.post('rollback');
      await second.reach('success', 'failed');
      await until('both old services run', () => device.running().join() === 'alpha 1.0.0,beta 1.0.0');
    }));
}

tests.long('installing: the third start that finds the same unfinished install undoes it', () =>
  withDevice(async (device) => {
    const before = device.files();
    const spec = usual(device);
    const health = { exec: ['/bin/sleep', '10'], timeout_s: 60 };
    const request = await device.offer({
      ...spec,
      modules: spec.modules.map((module) => ({ ...module, health })),
    });
    let daemon = await device.start();
    await daemon.post('download', request);
    await daemon.reach('toInstall');
    await daemon.post('update', { version: '2.0.0' });
    for (let starts = 0; starts < 3; starts++) {
      await until('files are switched', () => readFileSync(device.dataFile, 'utf8') === 'model of 2.0.0');
      await until('it installs', async () => (await daemon.progress()).stage === 'installing');
      await daemon.end('SIGKILL');
      daemon = await device.start();
    }
    const { stage, error } = await daemon.reach('failed', 'success');
    assert.is(stage, 'failed');
    assert.match(error ?? '', /^DEPLOYMENT_FAILED: .*interrupted 3 times.*undone/);
    assert.equal(device.files(), before);
    await until('the old services run', () => device.running().join() === 'alpha 1.0.0,beta 1.0.0');
  }),
);

tests.long('failed: a corrupt package is removed and the stage is idle again', () =>
  withDevice(async (device) => {
    const first = await device.start();
    const request = await device.offer({
      ...usual(device),
      // What only unpacking shows: it waits first.
      modules: [{ name: 'x', src: 'model.bin', dst: device.dataFile, md5: '0'.repeat(32) }],
    });
    await first.post('download', request);
    await first.reach('failed');
    await first.end('SIGTERM');
    const second = await device.start();
    assert.is((await second.progress()).stage, 'idle');
    assert.not(leftInTmp(device).includes(request.package_name));
  }),
);

tests(
  'failed: the partial file of a download that failed is kept, and the next download goes on with it',
  () =>
    withDevice(async (device) => {
      const first = await device.start(['--download-deadline', '3']);
      const request = await device.offer(usual(device));
      device.store.throttle(300_000);
      await first.post('download', request);
      const { error } = await first.reach('failed');
      assert.match(error ?? '', /^DOWNLOAD_FAILED: .*deadline/);
      await first.end('SIGTERM');
      const second = await device.start();
      assert.is((await second.progress()).stage, 'idle');
      assert.ok(existsSync(partPath(device, request)));
      device.store.throttle(undefined);
      await second.post('download', request);
      await second.reach('toInstall');
      assert.match(device.store.ranges.at(-1) ?? '', /^bytes=[1-9]\d*-$/);
    }),
);

const unreadable: readonly (readonly [string, string | Buffer])[] = [
  ['cut in the middle', '{"operation":"update","stage":"downl'],
  ['not what its schema says', '{"operation":"update","stage":"flying"}'],
  ['full of zeros', Buffer.alloc(500)],
  ['empty', ''],
];
for (const [what, content] of unreadable) {
  const test = what === 'full of zeros' ? tests : tests.long;
  test(`a state.json that is ${what} is moved aside, logged, and the start is fresh`, () =>
    withDevice(async (device) => {
      const first = await device.start();
      await first.end('SIGTERM');
      writeFileSync(statePath(device), content);
      const second = await device.start();
      assert.is((await second.progress()).stage, 'idle');
      assert.not(existsSync(statePath(device)));
      assert.equal(readFileSync(`${statePath(device)}.damaged`), Buffer.from(content));
      assert.match(second.printed(), / ERROR .*state\.json is unreadable and is moved aside/);
      await second.post('download', await device.offer(usual(device)));
      await second.reach('toInstall');
    }));
}

tests('a damaged journal stops updates and says so, and leaves services and evidence alone', () =>
  withDevice(async (device) => {
    const first = await device.start();
    const spec = usual(device);
    const health = { exec: ['/bin/sleep', '10'], timeout_s: 60 };
    await first.post(
      'download',
      // Of the last one alone: the next order starts when the one before is healthy.
      await device.offer({
        ...spec,
        modules: spec.modules.map((m, index) => (index === spec.modules.length - 1 ? { ...m, health } : m)),
      }),
    );
    await first.reach('toInstall');
    await first.post('update', { version: '2.0.0' });
    await until('the new services run', () => device.running().join() === 'alpha 2.0.0,beta 2.0.0');
    await first.end('SIGKILL');
    const path = join(device.work, 'backups/journal');
    const journal = readFileSync(path);
    const damaged = Buffer.from(journal);
    damaged.write('XXXX', 200);
    writeFileSync(path, damaged);

    const second = await device.start();
    const { error } = await second.reach('failed');
    assert.match(error ?? '', /backups\/journal is damaged/);
    const request = await device.offer({ ...spec, version: '3.0.0' });
    for (const reply of [await second.post('download', request), await second.post('rollback')]) {
      assert.is(reply.code, 409);
      assert.match(reply.msg, /^OPERATION_IN_PROGRESS: .*journal/);
    }
    assert.equal(readFileSync(path), damaged);
    assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
  }),
);

tests.long('downloading: killed, and the network is late: it waits, says so, and can be cancelled', () =>
  withDevice(async (device) => {
    const first = await device.start();
    device.store.throttle(1_000_000);
    await first.post('download', await device.offer(usual(device)));
    await until('a third is there', async () => (await first.progress()).progress >= 33);
    await first.end('SIGKILL');
    await device.store.close();
    const second = await device.start();
    const message = 'waiting for the network: no network yet';
    await until('it waits', async () => (await second.progress()).message === message);
    await new Promise((resolve) => setTimeout(resolve, 5_000)); // longer than a fresh download would try
    const { stage, progress } = await second.progress();
    assert.equal([stage, progress > 0], ['downloading', true]);
    const metrics = await (await fetch(`${second.url}/metrics`)).text();
    assert.match(metrics, /^tope_updater_download_network_waits_total [1-9]/m);
    await second.post('cancel');
    assert.is((await second.progress()).stage, 'idle');
  }),
);

tests.run();
