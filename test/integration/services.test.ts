/** Processes (spec section 6, FR-012 to FR-014): which are stopped, how they are started again, and in which order. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import * as assert from 'uvu/assert';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { commandLine, httpService, startService } from '../fixtures/service-programs.ts';
import { concurrently } from '../runner/concurrently.ts';
import { type Daemon, freePort, until } from './daemon.ts';
import { type Device, type ServiceName, withDevice } from './harness.ts';

const tests = concurrently('services');

/** The usual package with keys of some modules changed. */
function withModules(
  device: Device,
  changes: Partial<Record<ServiceName | 'data', object>>,
  files: PackageSpec['files'] = {},
): PackageSpec {
  const usual = device.usual('2.0.0', files);
  const modules = usual.modules.map((module) => ({ ...module, ...changes[module.name as ServiceName] }));
  return { ...usual, modules };
}

async function isInstalled(device: Device, daemon: Daemon, spec: PackageSpec): Promise<void> {
  const { stage, error } = await device.install(daemon, spec);
  assert.is(stage, 'success', error ?? '');
}

/** Modules in the order in which the daemon started their services, by its log. */
const startOrder = (daemon: Daemon) =>
  [...daemon.printed().matchAll(/ (\w+): started /g)].map(([, name = '']) => name);

const orders: readonly (readonly [string, Partial<Record<ServiceName, object>>, readonly string[]])[] = [
  ['ascending', { alpha: { restart_order: 1 }, beta: { restart_order: 2 } }, ['alpha', 'beta']],
  [
    'by number, not as they are listed',
    { alpha: { restart_order: 20 }, beta: { restart_order: 3 } },
    ['beta', 'alpha'],
  ],
  [
    'those without an order last',
    { alpha: { restart_order: undefined }, beta: { restart_order: 9 } },
    ['beta', 'alpha'],
  ],
];
for (const [what, changes, expected] of orders) {
  tests(`are started in restart_order: ${what}`, () =>
    withDevice(async (device) => {
      const daemon = await device.start();
      await isInstalled(device, daemon, withModules(device, changes));
      assert.equal(startOrder(daemon), expected);
      assert.equal(
        device.events().slice(0, 2),
        [...expected].reverse().map((name) => `stop ${name} 1.0.0`),
      );
    }),
  );
}

tests.long('a module without process_name touches no process', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await isInstalled(device, daemon, withModules(device, { beta: { process_name: undefined } }));
    assert.equal(device.running(), ['alpha 2.0.0', 'beta 1.0.0']);
  }),
);

tests.long('a service that does not run is not started, unless the manifest says how', () =>
  withDevice(async (device) => {
    await device.stop('alpha');
    await device.stop('beta');
    const daemon = await device.start();
    await isInstalled(device, daemon, withModules(device, { beta: { start: [device.program('beta')] } }));
    assert.equal(device.running(), ['beta 2.0.0']);
  }),
);

/** A service that writes down what it was started with. */
function noting(device: Device, version: string): string {
  const text = device.programText('alpha', version);
  const note = `{ echo "$@"; pwd; echo "$FLAVOUR"; } > '${device.folder}/started-with-${version}'`;
  return text.replace('#!/bin/sh\n', `#!/bin/sh\n${note}\n`);
}
const startedWith = (device: Device, version: string) =>
  readFileSync(join(device.folder, `started-with-${version}`), 'utf8')
    .split('\n')
    .slice(0, 3);

tests('a plain process is started again with the arguments, directory and environment it had', () =>
  withDevice(async (device) => {
    await device.stop('alpha');
    writeFileSync(device.program('alpha'), noting(device, '1.0.0'));
    startService(device.program('alpha'), {
      args: ['--name', 'two words', ''],
      cwd: device.folder,
      environment: { FLAVOUR: 'vanilla and\nmore' },
    });
    await until('alpha runs', () => device.running().includes('alpha 1.0.0'));
    const daemon = await device.start();
    await isInstalled(device, daemon, withModules(device, {}, { 'modules/alpha': noting(device, '2.0.0') }));
    assert.equal(startedWith(device, '2.0.0'), startedWith(device, '1.0.0'));
    assert.equal(startedWith(device, '2.0.0'), ['--name two words ', device.folder, 'vanilla and']);
  }),
);

tests.long('`start` of the manifest says the arguments, and the environment stays', () =>
  withDevice(async (device) => {
    await device.stop('alpha');
    writeFileSync(device.program('alpha'), noting(device, '1.0.0'));
    startService(device.program('alpha'), { environment: { FLAVOUR: 'mint' } });
    await until('alpha runs', () => device.running().includes('alpha 1.0.0'));
    const daemon = await device.start();
    const start = [device.program('alpha'), '--new'];
    await isInstalled(
      device,
      daemon,
      withModules(device, { alpha: { start } }, { 'modules/alpha': noting(device, '2.0.0') }),
    );
    const [args, , flavour] = startedWith(device, '2.0.0');
    assert.equal([args, flavour], ['--new', 'mint']);
  }),
);

tests(
  'a name longer than the 15 characters of comm is found, and a longer one that begins alike is not',
  () =>
    withDevice(async (device) => {
      const tag = basename(device.folder).slice(-6);
      const name = `${tag}-a-long-name`;
      const longer = `${name}-and-another`;
      mkdirSync(join(device.root, 'long'));
      for (const each of [name, longer]) {
        const path = join(device.root, 'long', each);
        writeFileSync(path, device.programText('alpha', each === name ? '7.0.0' : '8.0.0'));
        chmodSync(path, 0o755);
        startService(path);
      }
      const alive = (each: string) => pidsOf(join(device.root, 'long', each)).length;
      await until('both run', () => alive(name) === 1 && alive(longer) === 1);
      const [spared] = pidsOf(join(device.root, 'long', longer));
      const [replaced] = pidsOf(join(device.root, 'long', name));
      const daemon = await device.start();
      try {
        await isInstalled(device, daemon, {
          version: '2.0.0',
          modules: [{ name: 'long', src: 'x', dst: join(device.root, 'long', name), process_name: name }],
          files: { x: device.programText('alpha', '7.1.0') },
        });
        assert.equal(pidsOf(join(device.root, 'long', longer)), [spared]);
        assert.is(alive(name), 1);
        assert.is.not(pidsOf(join(device.root, 'long', name))[0], replaced);
      } finally {
        for (const each of [name, longer])
          for (const pid of pidsOf(join(device.root, 'long', each))) process.kill(pid, 'SIGKILL');
      }
    }),
);

tests('a service is healthy when it answers over http', () =>
  withDevice(async (device) => {
    const port = await freePort();
    const daemon = await device.start();
    const name = basename(device.program('alpha'));
    const content = httpService({ name, version: '2.0.0', eventsFile: join(device.folder, 'events') }, port);
    const alpha = {
      start: [device.program('alpha')],
      health: { http: `http://127.0.0.1:${port}/`, timeout_s: 20 },
    };
    await isInstalled(
      device,
      daemon,
      withModules(device, { alpha }, { 'modules/alpha': { content, mode: 0o755 } }),
    );
    assert.is(await (await fetch(`http://127.0.0.1:${port}/`)).text(), `${name} 2.0.0\n`);
    assert.match(daemon.printed(), /alpha is healthy/);
  }),
);

tests.run();

/** Processes that run the script at a path, by their command line. */
function pidsOf(path: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && commandLine(Number(name)).includes(path))
    .map(Number);
}
