/** What device-api hears of an update (spec section 3), and that no device-api ever slows one. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { type DeviceApi, startDeviceApi } from '../fixtures/device-api-server.ts';
import { stopwatch } from '../fixtures/own-time.ts';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { concurrently } from '../runner/concurrently.ts';
import { type Daemon, freePort, until } from './daemon.ts';
import { type Device, withDevice } from './harness.ts';

const tests = concurrently('reports');

/** The data file alone, so that no service has to settle; 1 MB that takes its time where the store is slow. */
function dataOnly(device: Device, version = '2.0.0'): PackageSpec {
  return {
    version,
    modules: [{ name: 'data', src: 'model.bin', dst: device.dataFile }],
    files: {
      'model.bin': `model of ${version}`,
      filler: { content: { random: 1_000_000 }, compress: false },
    },
  };
}

async function downloaded(device: Device, daemon: Daemon): Promise<void> {
  await daemon.post('download', await device.offer(dataOnly(device)));
  await daemon.reach('toInstall');
}

const heard = (deviceApi: DeviceApi, stage: string) =>
  until(`device-api hears of ${stage}`, () => deviceApi.stages().at(-1) === stage);

tests('every stage is reported in order, and the download in steps of 5 %', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    device.store.throttle(800_000);
    assert.is((await device.install(daemon, dataOnly(device))).stage, 'success');
    await heard(device.deviceApi, 'success');
    const expected = ['downloading', 'verifying', 'toInstall', 'installing', 'success'];
    assert.equal(device.deviceApi.stages(), expected);
    const steps = device.deviceApi.reports
      .filter(({ stage }) => stage === 'downloading')
      .map(({ progress }) => Math.floor(progress / 5));
    assert.equal(
      steps,
      [...new Set(steps)].sort((a, b) => a - b),
      'each step once, in order',
    );
    // On a busy machine several steps may pass within one report: waiting ones collapse.
    assert.ok(steps.length >= 10, `${steps.length} steps were reported`);
  }),
);

tests('a report has the envelope and the same four fields at its root; an error has code 500', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const request = await device.offer(dataOnly(device));
    await daemon.post('download', { ...request, package_md5: '0'.repeat(32) });
    await heard(device.deviceApi, 'failed');
    const [first, last] = [device.deviceApi.reports[0], device.deviceApi.reports.at(-1)];
    const message = 'downloading the package';
    const fields = { stage: 'downloading', progress: 0, message, error: null };
    assert.equal(first, { code: 200, msg: 'success', data: fields, ...fields });
    assert.is(last?.code, 500);
    assert.match(last?.msg ?? '', /^MD5_MISMATCH: /);
    assert.is(last?.error, last?.msg);
    const { code, msg, data, ...flat } = last ?? { data: undefined };
    assert.equal(data, flat);
  }),
);

tests('a change is reported at once', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const asked = performance.now();
    await daemon.post('download', await device.offer(dataOnly(device)));
    const answerMs = performance.now() - asked;
    const ownMs = stopwatch(daemon.pid);
    await until('the first report', () => device.deviceApi.reports.length > 0);
    const lateMs = ownMs();
    console.log(
      `\nmeasured: first report ${lateMs.toFixed(0)} ms after the answer (${answerMs.toFixed(0)} ms)`,
    );
    assert.ok(lateMs < 2_000, `${lateMs} ms`);
  }),
);

for (const manner of ['fail', 'hang'] as const) {
  const test = manner === 'fail' ? tests : tests.long;
  test(`a device-api that ${manner}s all the time does not slow an update, and hears the end once it is well`, () =>
    withDevice(async (device) => {
      device.deviceApi.behave(manner);
      const daemon = await device.start();
      device.store.throttle(800_000);
      const ownMs = stopwatch(daemon.pid);
      assert.is((await device.install(daemon, dataOnly(device))).stage, 'success');
      const tookMs = ownMs();
      console.log(`\nmeasured: update while device-api ${manner}s: ${tookMs.toFixed(0)} ms`);
      // 21 progress reports and 5 stages at 500 ms each would be 13 s.
      assert.ok(tookMs < 8_000, `${tookMs} ms`);
      await until('the end was tried', () =>
        device.deviceApi.unanswered.some(({ stage }) => stage === 'success'),
      );
      assert.equal(device.deviceApi.reports, []);
      device.deviceApi.behave('answer');
      await heard(device.deviceApi, 'success');
    }));
}

tests('the last word is retried until device-api answers, then never again', () =>
  withDevice(async (device) => {
    device.deviceApi.behave('fail');
    const daemon = await device.start();
    await downloaded(device, daemon);
    const tries = () => device.deviceApi.unanswered.filter(({ stage }) => stage === 'toInstall').length;
    await until('it is tried again', () => tries() >= 2);
    device.deviceApi.behave('answer');
    await heard(device.deviceApi, 'toInstall');
    const once = device.deviceApi.reports.length;
    await sleep(2_500);
    assert.is(device.deviceApi.reports.length, once);
  }),
);

tests.long('the last word is still owed after a restart, also after a kill -9', () =>
  withDevice(async (device) => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/api/v1.0/ota/report`;
    const first = await device.start(['--report-url', url]); // nobody listens there yet
    assert.is((await device.install(first, dataOnly(device))).stage, 'success');
    await first.end('SIGKILL');
    const second = await device.start(['--report-url', url]);
    await second.end('SIGTERM');
    const third = await device.start(['--report-url', url]);
    const late = await startDeviceApi({ port });
    try {
      await heard(late, 'success');
      assert.equal(late.stages(), ['success']);
      await until(
        'nothing is owed',
        () => !device.namesBelow(join(device.work, 'tmp')).includes('outbox.json'),
      );
      await third.end('SIGTERM');
      const told = late.reports.length;
      await device.start(['--report-url', url]);
      assert.is(late.reports.length, told, 'it is not said twice');
    } finally {
      await late.close();
    }
  }),
);

tests.long('a failed report is logged', () =>
  withDevice(async (device) => {
    device.deviceApi.behave('fail');
    const daemon = await device.start();
    await daemon.post('download', await device.offer(dataOnly(device)));
    await until('it is logged', () => /WARN .*report to http.* failed: HTTP 503/.test(daemon.printed()));
  }),
);

tests.run();
