/** Two hundred clients that ask without pause and a hostile one: the update ends well, and every poll is answered. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CrowdReport, startCrowd } from '../fixtures/crowd.ts';
import type { Progress } from './daemon.ts';
import { withDevice } from './harness.ts';

const test = suite('a crowd at the API');

for (const [what, pauseMs] of [
  ['once a second', 1_000],
  ['without pause', 0],
] as const)
  test(`200 pollers ${what} and a hostile client: the update ends well, every poll is answered`, () =>
    withDevice(async (device) => {
      const daemon = await device.start(['--log-level', 'info']);
      const port = Number(new URL(daemon.url).port);
      const crowd = await startCrowd({ port, pollers: 200, pauseMs, hostileReconnectMs: 1_000 });
      const begun = performance.now();
      const blob = { content: { random: 30_000_000 }, compress: false };
      let end: Progress;
      let report: CrowdReport;
      try {
        end = await device.install(daemon, device.usual('2.0.0', { 'modules/model.bin': blob }));
      } finally {
        report = await crowd.end();
      }
      const seconds = ((performance.now() - begun) / 1000).toFixed(1);
      console.log(`\nmeasured: pollers ${what}: update in ${seconds} s, ${JSON.stringify(report)}`);
      assert.is(end.stage, 'success', end.error ?? '');
      assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
      assert.ok(report.polls >= 200, 'each has asked at least once');
      assert.is(report.unanswered, 0);
      assert.is(report.refused, 0);
      assert.ok(report.attacks >= 1_000, 'the hostile client was there');
      assert.is(await daemon.end('SIGTERM'), 0);
      assert.equal(device.namesBelow(join(device.work, 'tmp')), []);
    }));

test.run();
