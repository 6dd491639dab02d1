/** What an update leaves for later: backups, history, the way back; and packages that come again or in between. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { command } from '../cli/command.ts';
import { concurrently } from '../runner/concurrently.ts';
import { type Daemon, until } from './daemon.ts';
import { withDevice } from './harness.ts';
import { dataOnly, installed, rolledBack } from './updates.ts';

interface Entry {
  readonly kind: string;
  readonly version: string;
  readonly previous_version: string | null;
  readonly started_at: string;
  readonly ended_at: string;
  readonly outcome: string;
  readonly error: string | null;
  readonly bytes: number;
  readonly modules: readonly string[];
  readonly put_beside?: readonly string[];
  readonly not_put_beside?: readonly string[];
}

const tests = concurrently('what an update leaves for later');

async function historyOf(daemon: Daemon): Promise<readonly Entry[]> {
  return (await daemon.get<{ updates: readonly Entry[] }>('history')).data.updates;
}

tests('a rollback brings back files and services, and a second one the update before', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const before = device.files();
    await installed(device, daemon, device.usual('2.0.0'));
    const between = device.files();
    await installed(device, daemon, dataOnly(device, '3.0.0'));

    await rolledBack(daemon);
    assert.equal(device.files(), between);
    await rolledBack(daemon);
    assert.equal(device.files(), before);
    assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
    assert.match((await daemon.post('rollback')).msg, /^NO_BACKUP: /);
  }),
);

tests('a rollback of a named version takes back every update down to it', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const before = device.files();
    for (const version of ['2.0.0', '3.0.0', '4.0.0'])
      await installed(device, daemon, dataOnly(device, version));
    await rolledBack(daemon, '2.0.0');
    assert.equal(device.files(), before);
  }),
);

tests('a package that is refused stands in the history with what was installed', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await installed(device, daemon, dataOnly(device, '2.0.0'));
    const { modules, ...rest } = dataOnly(device, '3.0.0');
    const outside = modules.map((module) => ({ ...module, dst: '/etc/outside' }));
    assert.is((await device.install(daemon, { ...rest, modules: outside })).stage, 'failed');
    const [entry] = await historyOf(daemon);
    assert.equal([entry?.outcome, entry?.previous_version, entry?.version], ['failed', '2.0.0', '3.0.0']);
  }),
);

tests.long('what is put beside an edited file is told by history and status', () =>
  withDevice(async (device) => {
    const config = (version: string) => ({
      ...dataOnly(device, version),
      modules: [{ name: 'data', src: 'model.bin', dst: device.dataFile, config: true }],
    });
    const daemon = await device.start();
    await installed(device, daemon, dataOnly(device, '2.0.0'));
    await installed(device, daemon, config('3.0.0'));
    const told = async (...argv: string[]) => (await command([...argv, '--url', daemon.url])).stdout;
    assert.not.match(await told('status'), /beside/);
    writeFileSync(device.dataFile, 'edited');
    await installed(device, daemon, config('4.0.0'));
    assert.is(readFileSync(device.dataFile, 'utf8'), 'edited');
    const [entry] = await historyOf(daemon);
    assert.equal(entry?.put_beside, [`${device.dataFile}.new`]);
    for (const argv of [['status'], ['history']])
      assert.match(await told(...argv), /edited files stay, beside them: .*model\.bin\.new/);
    const log = readFileSync(join(device.work, 'logs/updater.log'), 'utf8');
    assert.is(log.match(/ WARN .*model\.bin was edited: it stays/g)?.length, 1, 'once, by the install');
    assert.is(JSON.parse((await told('history', '--json')).split('\n')[1] ?? '').put_beside, undefined);
    writeFileSync(`${device.dataFile}.new`, 'edited, too');
    await installed(device, daemon, config('5.0.0'));
    assert.is(readFileSync(`${device.dataFile}.new`, 'utf8'), 'edited, too');
    const [latest] = await historyOf(daemon);
    assert.equal([latest?.put_beside, latest?.not_put_beside], [undefined, [`${device.dataFile}.new`]]);
    assert.match(await told('status'), /not put beside them, as these stay, too: .*model\.bin\.new/);
    rmSync(`${device.dataFile}.new`);
    assert.not.match(await told('status'), /beside/, 'whoever has compared them took it away');
    assert.match(await told('history'), /beside them, as these stay, too: .*model\.bin\.new/);
  }),
);

tests.long('backups of the last three updates are kept', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const versions = ['2.0.0', '3.0.0', '4.0.0', '5.0.0', '6.0.0'];
    for (const version of versions) await installed(device, daemon, dataOnly(device, version));
    const kept = () =>
      device
        .namesBelow(join(device.work, 'backups'))
        .filter((name) => /\.bak\/[^/]+$/.test(name))
        .map((name) => readFileSync(join(device.work, 'backups', name), 'utf8'));
    await until('older backups are removed', () => kept().length === 3);
    assert.equal(kept(), ['model of 3.0.0', 'model of 4.0.0', 'model of 5.0.0']);
    assert.match((await daemon.post('rollback', { version: '3.0.0' })).msg, /^NO_BACKUP: .*3\.0\.0/);
  }),
);

tests('the history tells version, times, outcome, error, bytes and modules, newest first', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    assert.equal(await historyOf(daemon), []);
    await installed(device, daemon, dataOnly(device, '2.0.0'));
    const bad = {
      ...dataOnly(device, '3.0.0'),
      modules: [{ name: 'data', src: 'missing', dst: device.dataFile }],
    };
    assert.is((await device.install(daemon, bad)).stage, 'failed');
    await rolledBack(daemon);

    const history = await historyOf(daemon);
    assert.equal(
      history.map(({ kind, version, outcome }) => `${kind} ${version} ${outcome}`),
      ['rollback null success', 'update 3.0.0 failed', 'update 2.0.0 success'],
    );
    const [, failed, first] = history;
    assert.match(failed?.error ?? '', /^INVALID_MANIFEST: .*missing/);
    assert.is(first?.error, null);
    assert.is(first?.bytes, Buffer.byteLength('model of 2.0.0'));
    assert.equal(first?.modules, ['data']);
    for (const { started_at, ended_at } of history) {
      assert.match(started_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.ok(started_at <= ended_at);
    }
    await daemon.end('SIGTERM');
    const next = await device.start();
    assert.equal(await historyOf(next), history, 'also after a restart');
  }),
);

tests.long('the same package again: while it downloads and when it waits, one download is made', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const spec = dataOnly(device, '2.0.0');
    const request = await device.offer({
      ...spec,
      files: { ...spec.files, filler: { content: { random: 500_000 }, compress: false } },
    });
    device.store.throttle(400_000);
    for (const _ of [1, 2, 3]) {
      const reply = await daemon.post('download', request);
      assert.equal([reply.code, reply.data.status], [200, 'downloading']);
    }
    await daemon.reach('toInstall');
    const again = await daemon.post('download', {
      ...request,
      package_md5: request.package_md5.toUpperCase(),
    });
    assert.equal([again.code, again.data.status], [200, 'toInstall']);
    assert.is(device.store.ranges.length, 1);
  }),
);

tests.long('another package takes the place of one that waits', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await daemon.post('download', await device.offer(dataOnly(device, '2.0.0')));
    await daemon.reach('toInstall');
    await installed(device, daemon, dataOnly(device, '3.0.0'));
    assert.is(readFileSync(device.dataFile, 'utf8'), 'model of 3.0.0');
    await until('tmp is empty', () => device.namesBelow(join(device.work, 'tmp')).length === 0);
  }),
);

tests.run();
