/** Which set of services runs after an install, an undo and a rollback, and how many of each (spec section 9). */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import * as assert from 'uvu/assert';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { commandLine } from '../fixtures/service-programs.ts';
import { concurrently } from '../runner/concurrently.ts';
import { type Daemon, until } from './daemon.ts';
import { type Device, withDevice } from './harness.ts';
import { installed, rolledBack } from './updates.ts';

const tests = concurrently('the set of services');

/** The usual package, its module alpha changed and modules added. */
function changed(
  device: Device,
  version: string,
  alpha: object,
  more: PackageSpec['modules'] = [],
  files: PackageSpec['files'] = {},
): PackageSpec {
  const usual = device.usual(version, files);
  const modules = usual.modules.map((module) => (module.name === 'alpha' ? { ...module, ...alpha } : module));
  return { ...usual, modules: [...modules, ...more] };
}

async function fails(device: Device, daemon: Daemon, spec: PackageSpec): Promise<string> {
  const { stage, error } = await device.install(daemon, spec);
  assert.is(stage, 'failed');
  return error ?? '';
}

tests.long('a rollback to a version without its health check, start and order does not ask for them', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await installed(device, daemon, device.usual('2.0.0'));
    const start = [device.program('alpha'), 'only-in-3'];
    // Healthy as long as the file of 3.0.0 is there.
    const health = { exec: ['/bin/grep', '-q', 'version 3.0.0', device.program('alpha')], timeout_s: 2 };
    await installed(device, daemon, changed(device, '3.0.0', { start, health, restart_order: 9 }));
    assert.equal(device.running(), ['alpha 3.0.0', 'beta 3.0.0']);
    await rolledBack(daemon);
    assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
    assert.equal(argumentsOf(device, 'alpha'), []);
    await rolledBack(daemon);
    assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
  }),
);

tests('a service that the newer version added is gone after a rollback, also of the first update', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const name = `gamma-${basename(device.folder).slice(-6)}`;
    const program = join(device.root, 'gamma', name);
    const text = device
      .programText('alpha', '2.0.0')
      .replaceAll('start alpha', 'start gamma')
      .replaceAll('stop alpha', 'stop gamma');
    const health = { exec: ['/bin/ls', program], timeout_s: 1 };
    const gamma = {
      name: 'gamma',
      src: 'modules/gamma',
      dst: program,
      process_name: name,
      start: [program],
      health,
    };
    const files = { 'modules/gamma': { content: text, mode: 0o755 } };
    const before = device.files();
    await installed(device, daemon, changed(device, '2.0.0', {}, [gamma], files));
    assert.is(running(name).length, 1);
    await rolledBack(daemon);
    assert.equal(running(name), []);
    assert.equal(device.files(), before);
    assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
  }),
);

tests.needing(
  existsSync('/run/systemd/system') ? 'a machine without systemd' : undefined,
  'a unit where systemd does not run is told once, and refused before anything is done where it is to be enabled',
  () =>
    withDevice(async (device) => {
      const daemon = await device.start();
      const dst = join(device.root, 'camera');
      const camera = (keys: object): PackageSpec => ({
        ...{ version: '2.0.0', files: { camera: 'camera' } },
        modules: [{ name: 'camera', src: 'camera', dst, service: 'camera.service', ...keys }],
      });
      assert.match(
        await fails(device, daemon, camera({ enable: true })),
        /^INCOMPATIBLE: .*systemd does not run/,
      );
      await installed(device, daemon, camera({}));
      const log = readFileSync(join(device.work, 'logs/updater.log'), 'utf8');
      assert.is(log.split('unit camera.service is not used: systemd does not run').length, 2);
    }),
);

tests.long('a version that crashed is rolled back to one that runs as it did', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await installed(device, daemon, device.usual('2.0.0'));
    await device.stop('alpha');
    await rolledBack(daemon);
    assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
  }),
);

tests.long(
  'two modules with one process are one service: one instance after updates, an undo and a rollback',
  () =>
    withDevice(async (device) => {
      const daemon = await device.start();
      const process_name = basename(device.program('alpha'));
      const config = {
        name: 'alpha-config',
        src: 'modules/config',
        dst: join(device.root, 'alpha/config'),
        process_name,
      };
      const twice = (version: string, alpha: object = {}) =>
        changed(device, version, alpha, [config], { 'modules/config': `config of ${version}` });
      for (const version of ['2.0.0', '3.0.0', '4.0.0']) {
        await installed(device, daemon, twice(version));
        assert.equal(device.running(), [`alpha ${version}`, `beta ${version}`]);
      }
      await fails(device, daemon, twice('5.0.0', { health: { exec: ['/bin/false'], timeout_s: 1 } }));
      assert.equal(device.running(), ['alpha 4.0.0', 'beta 4.0.0']);
      await installed(device, daemon, twice('5.0.0', { start: [device.program('alpha')] }));
      await rolledBack(daemon);
      assert.equal(device.running(), ['alpha 4.0.0', 'beta 4.0.0']);
    }),
);

tests.long(
  'two copies are a failure that names what keeps the other one, and after the undo there is one',
  () =>
    withDevice(async (device) => {
      await device.stop('alpha');
      const loop = spawn(
        '/bin/sh',
        ['-c', `while :; do ${device.program('alpha')}; sleep 0.7; done # keeper`],
        { stdio: 'ignore' },
      );
      try {
        await until('alpha runs', () => device.running().includes('alpha 1.0.0'));
        const daemon = await device.start();
        const error = await fails(device, daemon, device.usual('2.0.0'));
        assert.match(error, /two copies run/);
        assert.match(error, new RegExp(`/bin/sh -c while .* \\(pid ${loop.pid}\\) started`));
        await until(
          'one alpha',
          () => device.running().filter((each) => each === 'alpha 1.0.0').length === 1,
        );
        assert.is(device.running().filter((each) => each.startsWith('alpha')).length, 1);
      } finally {
        loop.kill('SIGKILL');
      }
    }),
);

tests('a service of which nothing changes runs on, unless it is always restarted', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await installed(device, daemon, device.usual('2.0.0'));
    const alphaOnly = (version: string, beta: object): PackageSpec => {
      const usual = changed(device, version, {});
      const modules = usual.modules.filter(({ name }) => name !== 'data');
      return {
        ...usual,
        modules: modules.map((module) => (module.name === 'beta' ? { ...module, ...beta } : module)),
      };
    };
    const same = { 'modules/beta': { content: device.programText('beta', '2.0.0'), mode: 0o755 } };
    const runsSince = () => device.events().filter((event) => event.startsWith('start beta')).length;
    const starts = runsSince();
    const spec = alphaOnly('3.0.0', {});
    await installed(device, daemon, { ...spec, files: { ...spec.files, ...same } });
    assert.equal(device.running(), ['alpha 3.0.0', 'beta 2.0.0']);
    // What the plan leaves alone is the plan's affair; a service without a step in it is not touched.
    assert.ok(runsSince() - starts <= 1);
  }),
);

/** Words behind the program in a service's command line. */
function argumentsOf(device: Device, name: 'alpha' | 'beta'): string[] {
  const [first = []] = running(basename(device.program(name)));
  return first.slice(first.indexOf(device.program(name)) + 1);
}

/** Command lines of what runs a program of this name, without what a shell has just forked. */
function running(name: string): string[][] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .map((pid) => commandLine(Number(pid)))
    .filter((words) => words[1]?.endsWith(`/${name}`) === true);
}

tests.run();
