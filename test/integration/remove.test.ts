/** Modules that go: files, record and service; undone, rolled back over several updates, taken up after a kill. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import type { HistoryEntry } from '../../src/history.ts';
import { command } from '../cli/command.ts';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { concurrently } from '../runner/concurrently.ts';
import { type Daemon, until } from './daemon.ts';
import { type Device, withDevice } from './harness.ts';
import { dataOnly, installed, rolledBack } from './updates.ts';

const tests = concurrently('modules that go');

/** Without the service beta. */
function withoutBeta(device: Device, version: string, manifest: object, alpha: object = {}): PackageSpec {
  const { modules, files, ...usual } = device.usual(version);
  const { 'modules/beta': _, ...rest } = files;
  const kept = modules.filter(({ name }) => name !== 'beta');
  return {
    ...usual,
    modules: kept.map((module) => (module.name === 'alpha' ? { ...module, ...alpha } : module)),
    files: rest,
    manifest: { ...manifest },
  };
}

/** Of an audit: 0 where every deployed file stands as it was deployed. */
async function audited(daemon: Daemon): Promise<number | string> {
  return (await command(['audit', '--json', '--url', daemon.url])).status;
}

tests(
  'a module that goes takes its file and its running service along, and a rollback brings both back',
  () =>
    withDevice(async (device) => {
      const daemon = await device.start();
      await installed(device, daemon, device.usual('2.0.0'));
      const before = device.files();
      await installed(device, daemon, withoutBeta(device, '3.0.0', { remove: ['beta', 'never-there'] }));
      assert.equal(device.running(), ['alpha 3.0.0']);
      assert.not(existsSync(device.program('beta')));
      assert.is(await audited(daemon), 0);
      const log = readFileSync(join(device.work, 'logs/updater.log'), 'utf8');
      assert.match(log, /module "beta" goes, with 1 of its files and directories/);
      assert.match(log, /module "never-there" is not installed: there is nothing to remove/);
      const { data } = await daemon.get<{ updates: HistoryEntry[] }>('history');
      assert.equal(data.updates[0]?.removed, ['beta']);
      await rolledBack(daemon);
      assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
      assert.equal(device.files(), before);
      assert.is(await audited(daemon), 0);
    }),
);

tests.long('where the update fails, what was to go is back: file, record and service', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await installed(device, daemon, device.usual('2.0.0'));
    const before = device.files();
    const ill = { health: { exec: ['/bin/false'], timeout_s: 1 } };
    const { stage } = await device.install(daemon, withoutBeta(device, '3.0.0', { complete: true }, ill));
    assert.is(stage, 'failed');
    assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
    assert.equal(device.files(), before);
    // The record still knows it: a package may consist of its removal alone.
    await installed(device, daemon, {
      version: '3.0.1',
      modules: [],
      files: {},
      manifest: { remove: ['beta'] },
    });
    assert.equal(device.running(), ['alpha 2.0.0']);
    assert.not(existsSync(device.program('beta')));
  }),
);

tests.long(
  'a rollback over several updates brings back what the first of them took, and what was edited stays',
  () =>
    withDevice(async (device) => {
      const daemon = await device.start();
      await installed(device, daemon, device.usual('2.0.0'));
      const before = device.files();
      await installed(device, daemon, withoutBeta(device, '3.0.0', { complete: true }));
      await installed(device, daemon, withoutBeta(device, '4.0.0', { complete: true }));
      assert.equal(device.running(), ['alpha 4.0.0']);
      await rolledBack(daemon, '3.0.0');
      assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
      assert.equal(device.files(), before);
      // Taken away, brought anew, taken back: it is away again.
      await installed(device, daemon, withoutBeta(device, '5.0.0', { remove: ['beta'] }));
      const back = device.usual('6.0.0');
      const modules = back.modules.map((module) => ({
        ...module,
        ...(module.name === 'beta' && { start: [device.program('beta')] }),
      }));
      await installed(device, daemon, { ...back, modules });
      assert.equal(device.running(), ['alpha 6.0.0', 'beta 6.0.0']);
      await rolledBack(daemon);
      assert.equal(device.running(), ['alpha 5.0.0']);
      assert.not(existsSync(device.program('beta')));
    }),
);

tests.long('a service that a module which stays shares with one that goes runs on', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const usual = device.usual('2.0.0', { 'modules/extra': 'extra' });
    const alpha = usual.modules.find(({ name }) => name === 'alpha');
    const extra = {
      name: 'extra',
      src: 'modules/extra',
      dst: join(dirname(device.program('alpha')), 'extra'),
      process_name: alpha?.process_name,
    };
    await installed(device, daemon, { ...usual, modules: [...usual.modules, extra] });
    const removal = { ...dataOnly(device, '3.0.0'), manifest: { remove: ['extra'] } };
    await installed(device, daemon, removal);
    assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
    assert.equal(device.events().slice(-2), ['stop alpha 2.0.0', 'start alpha 2.0.0']);
    assert.not(existsSync(extra.dst));
    await rolledBack(daemon);
    assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
    assert.is(readFileSync(extra.dst, 'utf8'), 'extra');
  }),
);

tests.long('an updater that is killed in the middle of it goes on, or takes it back, at its next start', () =>
  withDevice(async (device) => {
    let daemon = await device.start();
    await installed(device, daemon, device.usual('2.0.0'));
    const slow = (exec: string) => ({ health: { exec: ['/bin/sh', '-c', exec], timeout_s: 20 } });
    for (const [version, exec, running] of [
      ['3.0.0', 'sleep 2; exit 1', ['alpha 2.0.0', 'beta 2.0.0']],
      ['3.0.1', 'sleep 2', ['alpha 3.0.1']],
    ] as const) {
      const spec = withoutBeta(device, version, { complete: true }, slow(exec));
      await daemon.post('download', await device.offer(spec));
      await daemon.reach('toInstall');
      await daemon.post('update', { version });
      await until('alpha is started', () => device.running().includes(`alpha ${version}`));
      await daemon.end('SIGKILL');
      daemon = await device.start();
      await daemon.reach('success', 'failed', 'idle');
      assert.equal(device.running(), running);
    }
  }),
);

tests.run();
