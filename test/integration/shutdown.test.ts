/** FR-030: SIGTERM and SIGINT end the daemon soon, with 0, and the next start goes on from there. */
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { stopwatch } from '../fixtures/own-time.ts';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { concurrently } from '../runner/concurrently.ts';
import { type Daemon, until } from './daemon.ts';
import { type Device, withDevice } from './harness.ts';

const tests = concurrently('the end of the daemon');

function usual(device: Device): PackageSpec {
  return device.usual('2.0.0', { filler: { content: { random: 2_000_000 }, compress: false } });
}

/** Ends it and says how long that took; the bound of FR-030 is five seconds. */
async function endsInTime(daemon: Daemon, signal: 'SIGTERM' | 'SIGINT', what: string): Promise<void> {
  const ownMs = stopwatch(daemon.pid);
  assert.is(await daemon.end(signal), 0);
  const tookMs = ownMs();
  console.log(`\nmeasured: ${signal} ${what}: ended after ${tookMs.toFixed(0)} ms`);
  assert.ok(tookMs < 6_000, `${tookMs} ms`);
}

/** By this daemon, or by the one before it in its last moments: then this one rests. */
async function isInstalledBy(device: Device, daemon: Daemon): Promise<void> {
  const { stage, error } = await daemon.reach('success', 'failed', 'idle');
  assert.is.not(stage, 'failed', error ?? '');
  await until('the new services run', () => device.running().join() === 'alpha 2.0.0,beta 2.0.0');
  assert.is(readFileSync(device.dataFile, 'utf8'), 'model of 2.0.0');
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  const test = signal === 'SIGTERM' ? tests : tests.long;
  test(`${signal} while it rests ends it with 0`, () =>
    withDevice(async (device) => {
      const daemon = await device.start();
      await endsInTime(daemon, signal, 'at rest');
      assert.match(daemon.printed(), / stopped\n$/);
    }));
}

tests('SIGTERM during a download ends it with 0; the next start goes on with the bytes it had', () =>
  withDevice(async (device) => {
    const first = await device.start();
    device.store.throttle(1_000_000);
    await first.post('download', await device.offer(usual(device)));
    await until('some of it is there', async () => (await first.progress()).progress >= 20);
    await endsInTime(first, 'SIGTERM', 'during a download');
    const state = JSON.parse(readFileSync(join(device.work, 'tmp/state.json'), 'utf8'));
    assert.is(state.stage, 'downloading');

    device.store.throttle(undefined);
    const second = await device.start();
    await second.reach('toInstall');
    assert.match(device.store.ranges.at(-1) ?? '', /^bytes=[1-9]\d*-$/);
    await second.post('update', { version: '2.0.0' });
    await isInstalledBy(device, second);
  }),
);

/** An install told apart by what it is doing when the signal comes. */
const moments: readonly (readonly [string, string])[] = [
  ['before anything is switched', 'stopping services'],
  ['when all is switched', 'checking health'],
];
for (const [when, moment] of moments) {
  const test = moment === 'checking health' ? tests.long : tests;
  test(`SIGTERM during an install, ${when}, ends it with 0; the next start installs`, () =>
    withDevice(async (device) => {
      const first = await device.start();
      const spec = usual(device);
      const health = { exec: ['/bin/sleep', '3'], timeout_s: 20 };
      const request = await device.offer({
        ...spec,
        modules: spec.modules.map((module) => ({ ...module, health })),
      });
      await first.post('download', request);
      await first.reach('toInstall');
      await first.post('update', { version: '2.0.0' });
      await until(moment, async () => (await first.progress()).message === moment);
      await endsInTime(first, 'SIGTERM', `during an install (${moment})`);
      await isInstalledBy(device, await device.start());
    }));
}

tests.long(
  'SIGTERM while a service does not want to end: it is not waited for, and the next start installs',
  () =>
    withDevice(async (device) => {
      writeFileSync(device.program('alpha'), device.programText('alpha', '1.0.0', { ignoresTerm: true }));
      await device.restart('alpha');
      const first = await device.start();
      await first.post('download', await device.offer(usual(device)));
      await first.reach('toInstall');
      await first.post('update', { version: '2.0.0' });
      await until('it waits for alpha', () => /alpha: stopping /.test(first.printed()));
      await endsInTime(first, 'SIGTERM', 'while a service is stopped');
      assert.equal(Object.keys(device.files()).length, 6, 'nothing is left beside the targets');
      await isInstalledBy(device, await device.start());
    }),
);

tests.long('a second signal changes nothing', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    device.store.throttle(1_000_000);
    await daemon.post('download', await device.offer(usual(device)));
    daemon.kill('SIGTERM');
    daemon.kill('SIGINT');
    await endsInTime(daemon, 'SIGTERM', 'three times');
    await device.start();
  }),
);

tests.long('a client that holds its connection open does not delay the end', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const { hostname, port } = new URL(daemon.url);
    const idle = connect({ host: hostname, port: Number(port) });
    const half = connect({ host: hostname, port: Number(port) });
    for (const socket of [idle, half]) socket.on('error', () => undefined);
    half.write(
      'POST /api/v1.0/update HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{',
    );
    await until('both are connected', () => !idle.connecting && !half.connecting);
    await endsInTime(daemon, 'SIGTERM', 'with open connections');
    idle.destroy();
    half.destroy();
  }),
);

tests.long('the services it started outlive it', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    assert.is((await device.install(daemon, device.usual('2.0.0'))).stage, 'success');
    await endsInTime(daemon, 'SIGTERM', 'after an update');
    assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
  }),
);

tests.run();
