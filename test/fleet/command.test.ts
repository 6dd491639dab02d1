/** `tope-updater fleet` and the doctor's look at the fleet, against the built daemon and the scripted server. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { fleetChecks } from '../../src/cli/doctor-fleet.ts';
import { resolveConfig } from '../../src/config.ts';
import { realClock } from '../../src/host/clock.ts';
import { realFiles } from '../../src/host/files.ts';
import { command } from '../cli/command.ts';
import { until } from '../integration/daemon.ts';
import { withDevice } from '../integration/harness.ts';
import { concurrently } from '../runner/concurrently.ts';
import { askFleet, token, withFleet } from './device.ts';

const test = concurrently('fleet command');

test('fleet shows the question, answers it, and tells how the order ended', () =>
  withFleet(async (device) => {
    const id = await device.order(device.usual('2.0.0'), { confirm: true });
    const daemon = await device.join();
    const at = ['--url', daemon.url];
    await until('it asks', async () => (await askFleet(daemon)).data.question !== null);
    const asked = await command(['fleet', ...at]);
    assert.is(asked.status, 0, asked.stderr);
    assert.match(asked.stdout, /^http:\S+ as dev-1: last answered at \S+Z, asked again in \d+ s\n/);
    assert.match(
      asked.stdout,
      /order 1: version 2\.0\.0 waits for a yes: tope-updater fleet confirm, or decline\n/,
    );
    await command(['fleet', 'decline', ...at]);
    await until('the no is told', async () => (await askFleet(daemon)).data.question?.declined === true);
    assert.match(
      (await command(['fleet', ...at])).stdout,
      /was declined; tope-updater fleet confirm still takes it/,
    );
    assert.is((await command(['fleet', 'confirm', ...at])).status, 0);
    await device.ends(daemon, id, 'finished');
    const { data } = await askFleet(daemon);
    assert.is(JSON.parse((await command(['fleet', '--json', ...at])).stdout).id, data.id);
    assert.match((await command(['fleet', ...at])).stdout, /last order: 1, success \(2\.0\.0\)/);

    device.server.fail(() => ({ kind: 'reply', status: 401 }));
    await command(['fleet', 'poll', ...at]);
    await until('the failure', async () => (await askFleet(daemon)).data.problem !== null);
    const failing = await command(['fleet', ...at]);
    assert.is(failing.status, 1);
    assert.match(failing.stdout, /problem: GET \/: HTTP 401/);
    assert.is((await command(['fleet', 'restart', ...at])).status, 2);
  }));

test.long('a device without a fleet says so, and refuses what needs one', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    assert.match((await command(['fleet', '--url', daemon.url])).stdout, /belongs to no fleet/);
    const refused = await command(['fleet', 'poll', '--url', daemon.url]);
    assert.is(refused.status, 1);
    assert.match(refused.stderr, /VALIDATION_ERROR: this device belongs to no fleet/);
  }),
);

test.long(
  'the doctor: a server that knows the device, one that does not, none, and the file of the token',
  () =>
    withFleet(async (device) => {
      const file = join(device.folder, 'token');
      const look = async (more: Record<string, string> = {}) => {
        const flags = {
          'fleet-url': device.server.url,
          'fleet-id': 'dev-1',
          'fleet-token-file': file,
          ...more,
        };
        const target = {
          config: resolveConfig(flags, undefined),
          workDirectory: device.work,
          configPath: undefined,
          daemonPid: undefined,
          elsewhere: undefined,
        };
        const findings = await fleetChecks({ files: realFiles(), clock: realClock() }, target);
        return findings.map(({ level, found }) => `${level} ${found}`).join('\n');
      };
      assert.match(
        await look(),
        /^ok .*token is root's alone\nok http:.*\/DEFAULT\/controller\/v1\/dev-1 answers, and knows this device$/,
      );
      assert.match(await look({ 'fleet-tenant': 'OTHER' }), /fail .* answers HTTP 404/);
      assert.match(await look({ 'fleet-url': 'http://127.0.0.1:1' }), /fail .*ECONNREFUSED/);
      device.server.fail(() => ({
        kind: 'reply',
        status: 200,
        headers: { date: 'Mon, 01 Jan 2024 00:00:00 GMT' },
        body: '{}',
      }));
      assert.match(await look(), /warn the server's clock says 2024-01-01T00:00:00.000Z/);
      device.server.fail(undefined);
      chmodSync(file, 0o640);
      assert.match(await look(), /warn .*can be read by its group \(mode 640\)/);
      writeFileSync(file, 'wrong');
      assert.match(await look(), /fail .* answers HTTP 401/);
      chmodSync(file, 0o604);
      const open = await look();
      assert.match(open, /fail .*can be read or written by others/);
      assert.not.ok(open.includes(token));
    }),
);

test.run();
