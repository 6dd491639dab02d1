/** `verify --on-device`: what an install would do here, told beforehand in words and as JSON, and true. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { forecastSentence } from '../../src/cli/forecast-text.ts';
import type { Forecast } from '../../src/operations/forecast.ts';
import { buildPackage, type PackageSpec } from '../fixtures/package-builder.ts';
import { programArgv } from '../integration/daemon.ts';
import { type Device, withDevice } from '../integration/harness.ts';
import { installed } from '../integration/updates.ts';
import { command } from './command.ts';

const test = suite('verify --on-device');

function site(
  device: Device,
  version: string,
  files: Record<string, string>,
  more: object = {},
): PackageSpec {
  const at = (name: string) => join(device.root, name);
  return {
    version,
    modules: [
      {
        name: 'web',
        src: 'web',
        dst: at('web'),
        config: ['*.cfg'],
        keep: ['uploads/**'],
        process_name: 'no-such-web',
      },
    ],
    files: Object.fromEntries(Object.entries(files).map(([name, text]) => [`web/${name}`, text])),
    withDigests: true,
    ...more,
  };
}

test('what would be replaced, kept, put beside, removed, run and restarted is told, and nothing is done', () =>
  withDevice(async (device) => {
    const at = (name: string) => join(device.root, name);
    const daemon = await device.start();
    const old = site(device, '1.4.0', {
      a: 'a',
      b: 'b',
      c: 'c',
      e: 'e',
      'x.cfg': 'x',
      same: 'same',
      'uploads/hello': 'hi',
    });
    const voice = { name: 'voice', src: 'voice', dst: at('voice/voice'), process_name: 'no-such-voice' };
    await installed(device, daemon, {
      ...old,
      modules: [...old.modules, voice],
      files: { ...old.files, voice: 'voice' },
    });
    writeFileSync(at('web/b'), 'edited');
    writeFileSync(at('web/e'), 'edited');
    writeFileSync(at('web/x.cfg'), 'edited');
    mkdirSync(at('web/mine'));
    writeFileSync(at('web/mine/note'), 'note');
    const before = device.files();
    const next = site(
      device,
      '1.5.0',
      { a: 'new a', b: 'new b', d: 'd', 'x.cfg': 'new x', same: 'same', 'uploads/hello': 'hi' },
      { manifest: { remove: ['voice'] } },
    );
    const [web] = next.modules;
    const zip = join(device.folder, 'next.zip');
    await buildPackage({ ...next, modules: [{ ...web, before_start: ['true'] }] }, zip);
    const flags = ['--on-device', '--dir', device.work, '--allow-root', device.root];
    const { status, stdout, stderr } = await command(['verify', '--json', zip, ...flags]);
    assert.is(status, 0, stderr);
    assert.equal(JSON.parse(stdout).on_device, {
      version: '1.5.0',
      previous_version: '1.4.0',
      replaced: [at('web/a')],
      replaced_edited: [at('web/b')],
      new: [at('web/d')],
      removed: [at('web/c'), at('voice/voice')],
      removed_edited: [at('web/e')],
      put_beside: [at('web/x.cfg.new')],
      stays: [
        { module: 'web', reason: 'edited', files: [at('web/x.cfg')] },
        { module: 'web', reason: 'kept', files: [at('web/uploads/hello')] },
        { module: 'web', reason: 'others', files: [at('web/mine/note')] },
      ],
      removed_modules: ['voice'],
      commands: [{ module: 'web', argv: ['/bin/sh', '-c', 'true'] }],
      restarts: ['no-such-web'],
      stops: ['no-such-voice'],
      unused_units: [],
      reboot: false,
    });
    const words = await command(['verify', zip, ...flags]);
    assert.match(words.stdout, /on this device: from 1\.4\.0 to 1\.5\.0/);
    assert.match(words.stdout, /replaced though edited \(1\): .*\/web\/b\n/);
    assert.match(words.stdout, /removed though edited \(1\): .*\/web\/e\n/);
    assert.match(
      words.stdout,
      /stays of web, as it was edited since it was deployed \(1\): .*\/web\/x\.cfg\n/,
    );
    assert.match(words.stdout, /modules removed \(1\): voice\n/);
    assert.match(words.stdout, /this device would take it/);
    assert.equal(device.files(), before);
  }));

test('a package that this device refuses is refused as by its daemon; flags for a device alone need it', () =>
  withDevice(async (device) => {
    await device.start();
    const zip = join(device.folder, 'other.zip');
    const flags = ['--dir', device.work, '--allow-root', device.root];
    await buildPackage(site(device, '1.0.0', { a: 'a' }, { manifest: { compatible: ['boat'] } }), zip);
    const refused = await command(['verify', '--on-device', zip, ...flags]);
    assert.is(refused.status, 1);
    assert.match(refused.stderr, /this device would refuse it: INCOMPATIBLE/);
    assert.match(
      (await command(['verify', zip, ...flags])).stderr,
      /--dir has a meaning with --on-device only/,
    );
  }));

test("without the right to read the device's records it says what it could not read", () =>
  withDevice(async (device) => {
    if (process.getuid?.() !== 0) return console.log('skipped: needs root, to become somebody else');
    const daemon = await device.start();
    await installed(device, daemon, site(device, '1.0.0', { a: 'a' }));
    const zip = join(device.folder, 'next.zip');
    await buildPackage(site(device, '1.1.0', { a: 'b' }), zip);
    chmodSync(device.folder, 0o755);
    const flags = ['--on-device', '--dir', device.work, '--allow-root', device.root];
    const argv = [...programArgv, 'verify', zip, ...flags];
    const { status, stderr } = spawnSync('setpriv', ['--reuid=65534', '--clear-groups', ...argv], {
      encoding: 'utf8',
    });
    assert.is(status, 1);
    assert.match(
      stderr,
      /--on-device: run it as root, who alone may read the records: .*EACCES.*work\/backups/,
    );
  }));

test('without a daemon, and without a work directory, that is what is said', () =>
  withDevice(async (device) => {
    const zip = join(device.folder, 'next.zip');
    await buildPackage(site(device, '1.1.0', { a: 'b' }), zip);
    const said = async (dir: string) => {
      const { status, stderr } = await command(['verify', '--on-device', zip, '--dir', dir]);
      assert.is(status, 1);
      return stderr;
    };
    assert.match(
      await said(join(device.folder, 'nowhere')),
      /^tope-updater: --on-device: no daemon runs on this machine, and \S+nowhere does not exist; .*--dir/,
    );
    assert.match(await said(device.root), /is not the work directory of an updater \(it has no backups\/\)/);
  }));

(existsSync('/run/systemd/system') ? test.skip : test)(
  'without systemd no restart of a unit is promised, and an enabled one is refused',
  () =>
    withDevice(async (device) => {
      await device.start();
      const zip = join(device.folder, 'next.zip');
      const lines = async (keys: object) => {
        const dst = join(device.root, 'camera/camera');
        const module = { name: 'camera', src: 'camera', dst, service: 'camera.service', ...keys };
        await buildPackage({ version: '1.1.0', modules: [module], files: { camera: 'camera' } }, zip);
        const flags = ['--dir', device.work, '--allow-root', device.root];
        const { stdout, stderr } = await command(['verify', '--on-device', zip, ...flags]);
        return stdout + stderr;
      };
      const told = await lines({});
      assert.match(told, /not restarted, as systemd does not run here \(1\): camera\.service/);
      assert.not.match(told, /restarts \(/);
      assert.match(
        await lines({ enable: true }),
        /INCOMPATIBLE: .*camera\.service, but systemd does not run/,
      );
    }),
);

const nothing: Forecast = {
  version: '1.5.0',
  previousVersion: '1.4.0',
  files: { added: [], replaced: [], edited: [], editedRemoved: [], beside: [], removed: [] },
  staying: [],
  removedModules: [],
  commands: [],
  restarts: [],
  stops: [],
  unusedUnits: [],
  reboot: false,
};

test('the sentence of the question names what happens, in few words', () => {
  const files = { ...nothing.files, removed: ['1', '2', '3'], edited: ['4'] };
  const restarts = ['klipper', 'device-api'];
  assert.is(
    forecastSentence({ ...nothing, files, restarts }),
    '3 files go, 1 edited file is replaced, klipper and device-api restart; from 1.4.0 to 1.5.0',
  );
  assert.is(
    forecastSentence({ ...nothing, previousVersion: null }),
    'nothing changes; version 1.5.0 is the first',
  );
  const many = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  assert.is(
    forecastSentence({ ...nothing, removedModules: ['voice'], stops: many, reboot: true }),
    'voice is removed, a, b, c, d, e and 2 more stop, the device reboots; from 1.4.0 to 1.5.0',
  );
});

test.run();
