/** What is done on the device beside the fleet's orders, and what is told to nobody. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runToEnd, until } from '../integration/daemon.ts';
import { askFleet, tells, token, withFleet } from './device.ts';

const test = suite('a device of a fleet');

test('what was begun on the device comes first: the order waits, says so once, and is carried out then', () =>
  withFleet(async (device) => {
    const daemon = await device.join();
    await daemon.post('download', await device.offer(device.usual('2.0.0')));
    await daemon.reach('toInstall');
    const id = await device.order(device.usual('3.0.0'));
    for (let polls = 0; polls < 3; polls++) await askFleet(daemon, { poll: true });
    await until(
      'it waits',
      async () =>
        (await askFleet(daemon)).data.order === null && device.server.ddi.action(id).told.length === 1,
    );
    assert.equal(device.server.ddi.action(id).told, ['scheduled/none']);
    assert.is((await daemon.progress()).stage, 'toInstall');
    await daemon.post('update', { version: '2.0.0' });
    await daemon.reach('success');
    await device.ends(daemon, id, 'finished');
    assert.equal(device.running(), ['alpha 3.0.0', 'beta 3.0.0']);
  }));

test("a cancel on the device is a no, and a package of the device's own takes the place of one that waits", () =>
  withFleet(async (device) => {
    const id = await device.order(device.usual('2.0.0'), { window: 'closed' });
    const daemon = await device.join();
    await daemon.reach('toInstall');
    await daemon.post('download', await device.offer(device.usual('2.5.0')));
    await until('it is replaced', async () => (await daemon.progress()).stage === 'toInstall');
    await until('the server is told', async () => {
      await askFleet(daemon, { poll: true });
      return (await askFleet(daemon)).data.order?.waits_for === 'device';
    });
    await daemon.post('cancel');
    await until('it is begun again', async () => {
      await askFleet(daemon, { poll: true });
      return (await askFleet(daemon)).data.order?.waits_for === 'window';
    });
    await daemon.post('cancel');
    await device.ends(daemon, id, 'error');
    assert.match(device.server.ddi.action(id).details[0] ?? '', /CANCELLED/);
  }));

test('a rollback on the device is told: its attributes, and the set that is installed', () =>
  withFleet(
    async (device) => {
      const daemon = await device.join(['--fleet-set-name', 'printer']);
      await device.ends(daemon, await device.order(device.usual('2.0.0')), 'finished');
      await device.ends(daemon, await device.order(device.usual('3.0.0')), 'finished');
      await daemon.reach('success', 'idle');
      await daemon.post('rollback');
      await tells(device, { sw_version: '2.0.0', last_kind: 'rollback', last_by: 'local' });
      await until('the set is told', () => device.server.ddi.state.installed === 'printer:2.0.0');
    },
    { sets: ['printer:2.0.0', 'printer:3.0.0'] },
  ));

test('links to another scheme and port of the same host are healed; a token goes nowhere else', () =>
  withFleet(
    async (device) => {
      const id = await device.order(device.usual('2.0.0'));
      const daemon = await device.join();
      await device.ends(daemon, id, 'finished');
    },
    { linkBase: 'https://127.0.0.1:8443' },
  ));

test('the token stands in no file of the work directory, in no output, in no report and in no bundle', () =>
  withFleet(async (device) => {
    const daemon = await device.join();
    await device.ends(daemon, await device.order(device.usual('2.0.0')), 'finished');
    device.server.fail(() => ({ kind: 'reply', status: 401 }));
    await askFleet(daemon, { poll: true });
    await until('the 401', async () => (await askFleet(daemon)).data.problem !== null);
    const bundle = join(device.folder, 'bundle.tar.gz');
    assert.is(runToEnd(['support', '-o', bundle, '--dir', device.work]).status, 0);
    const { gunzipSync } = await import('node:zlib');
    const bundled = gunzipSync(readFileSync(bundle)).toString('latin1');
    assert.ok(bundled.includes('tmp/fleet.json'));
    const files = readdirSync(device.work, { recursive: true, encoding: 'utf8' })
      .map((name) => join(device.work, name))
      .filter((path) => statSync(path).isFile())
      .map((path) => readFileSync(path, 'latin1'));
    const texts = [
      ...files,
      daemon.printed(),
      JSON.stringify(device.deviceApi.reports),
      bundled,
      JSON.stringify(await askFleet(daemon)),
    ];
    for (const text of texts) assert.not.ok(text.includes(token));
    const warnings = daemon.printed().match(/WARN .*HTTP 401/g) ?? [];
    assert.is(warnings.length, 1, 'one warning for a row of failures');
  }));

test('a token that others can read, or none at all, keeps the daemon from starting', () =>
  withFleet(async (device) => {
    const file = join(device.folder, 'token');
    (await import('node:fs')).chmodSync(file, 0o644);
    const run = (...flags: string[]) =>
      runToEnd(['run', '--dir', device.work, '--port', '0', '--fleet-url', device.server.url, ...flags]);
    for (const [flags, words] of [
      [
        ['--fleet-id', 'a', '--fleet-token-file', file],
        /--fleet-token-file: .* can be read or written by others/,
      ],
      [['--fleet-id', 'a'], /--fleet-url: needs --fleet-token-file, or --cert-file/],
      [['--fleet-token-file', file], /--fleet-token-file|--fleet-id/],
      [['--fleet-id', 'a b', '--fleet-token-file', file], /--fleet-id: must be/],
    ] as const) {
      const { status, stderr } = run(...flags);
      assert.is(status, 2, stderr);
      assert.match(stderr, words);
      assert.not.ok(stderr.includes(token));
    }
    const { stderr } = runToEnd([
      'run',
      '--dir',
      device.work,
      '--port',
      '0',
      '--fleet-url',
      'http://fleet.example',
      '--fleet-id',
      'a',
      '--fleet-token-file',
      file,
    ]);
    assert.match(stderr, /--fleet-token-file|--fleet-url: http is allowed only/);
  }));

test.run();
