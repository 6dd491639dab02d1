/**
 * Services that are systemd units, against a real program that acts as systemctl, and a port that shows its units'
 * processes in their control groups.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { ServiceSpec } from '../../src/release.ts';
import { captureServices, startServices, stopServices } from '../../src/services/services.ts';
import { findSystemd, type Systemd, type SystemdPlaces } from '../../src/services/systemd.ts';
import { suite } from '../runner/suites.ts';
import { type Device, type DeviceHost, eventually, withDevice } from './device.ts';
import { rejects } from './outcome.ts';

const test = suite('services/systemd');

interface Machine {
  readonly device: Device;
  readonly host: DeviceHost;
  readonly places: SystemdPlaces;
  /** Defines a unit that runs `program`. */
  unit(name: string, program: string): void;
  /** Places `text` in a state file of the acting systemctl. */
  mark(file: string, text: string): void;
  pidOf(unit: string): number | undefined;
  /** What systemctl was asked to do, without the questions and without the reset before each start. */
  orders(): string[];
}

/** A device under systemd; the updater itself runs in tope-updater.service. */
function withSystemd(body: (machine: Machine) => Promise<void>, speed = 5): Promise<void> {
  return withDevice(async (device) => {
    const systemctl = device.install('child-systemctl.sh', 'systemctl');
    const folder = join(device.directory, 'bin');
    const units = new Set<string>();
    const pidOf = (unit: string) => {
      const path = join(folder, `${unit}.pid`);
      return existsSync(path) ? Number(readFileSync(path, 'utf8')) : undefined;
    };
    const { processes } = device.host;
    /** A child is in the control group of its parent. */
    const cgroup = async (pid: number): Promise<string> => {
      if (pid === processes.ownPid) return '0::/system.slice/tope-updater.service\n';
      const unit = [...units].find((name) => pidOf(name) === pid);
      if (unit !== undefined) return `0::/system.slice/${unit}\n`;
      const parent = Number(/^PPid:\s*(\d+)/m.exec((await processes.read(pid, 'status')) ?? '')?.[1] ?? 0);
      return parent <= 1 || parent === processes.ownPid ? '0::/user.slice/session-1.scope\n' : cgroup(parent);
    };
    const host: DeviceHost = {
      ...device.host,
      processes: {
        ...processes,
        read: async (pid, file) => (file === 'cgroup' ? cgroup(pid) : processes.read(pid, file)),
      },
    };
    await body({
      device,
      host,
      places: { systemctl, bootedDirectory: device.directory },
      unit: (name, program) => {
        units.add(name);
        writeFileSync(join(folder, `${name}.exec`), program);
      },
      mark: (file, text) => writeFileSync(join(folder, file), text),
      pidOf,
      orders: () =>
        (existsSync(join(folder, 'calls')) ? readFileSync(join(folder, 'calls'), 'utf8') : '')
          .trim()
          .split('\n')
          .filter((line) => line !== '' && !/^(show|reset-failed)/.test(line)),
    });
  }, speed);
}

function spec(processName: string | undefined, more: Partial<ServiceSpec> = {}): ServiceSpec {
  const none = { restartOrder: undefined, unit: undefined, start: undefined, health: undefined };
  return { module: 'api', processName, ...none, ...more };
}

function systemdOf(found: Systemd | undefined): Systemd {
  if (found === undefined) throw new Error('no systemd');
  return found;
}

const nameOf = (program: string) => program.slice(program.lastIndexOf('/') + 1);

test('a process that belongs to a unit is stopped and started through systemctl', () =>
  withSystemd(async ({ device, host, places, unit, orders }) => {
    const program = device.install('child-service.sh');
    unit('api.service', program);
    const systemd = await findSystemd(host, places);
    await systemd?.start('api.service');
    await eventually('it runs', async () => (await device.running(program)).length === 1);
    const options = { systemd: places };
    const snapshots = await captureServices(host, [spec(nameOf(program))], options);
    assert.equal([snapshots[0]?.runningUnits, snapshots[0]?.runningProcesses], [['api.service'], []]);
    await stopServices(host, snapshots, options);
    assert.equal(await device.running(program), []);
    await startServices(host, snapshots, 'target', options);
    assert.is((await device.running(program)).length, 1);
    await stopServices(host, snapshots, options);
    await startServices(host, snapshots, 'captured', options);
    assert.equal(orders(), [
      'start -- api.service',
      'stop -- api.service',
      'start -- api.service',
      'stop -- api.service',
      'start -- api.service',
    ]);
  }));

test('a socket is started though its service runs: that is stopped before, as systemd refuses the socket else', () =>
  withSystemd(async ({ device, host, places, unit, mark, pidOf, orders }) => {
    const program = device.install('child-service.sh');
    for (const name of ['api.service', 'api.socket']) unit(name, program);
    mark('api.socket.triggers', 'api.service');
    const systemd = systemdOf(await findSystemd(host, places));
    await systemd.start('api.service');
    for (const order of ['start', 'restart']) {
      await systemd.start('api.socket');
      assert.is.not(pidOf('api.socket'), undefined);
      assert.is(pidOf('api.service'), undefined);
      await systemd.start('api.service');
      assert.equal(orders().slice(-3), [
        'stop -- api.service',
        `${order} -- api.socket`,
        'start -- api.service',
      ]);
    }
  }));

test("the manifest's unit that was stopped stays so, unless it is enabled; a new one is started, and not by an undo", () =>
  withSystemd(async ({ device, host, places, unit, pidOf, orders }) => {
    const program = device.install('child-service.sh');
    const options = { systemd: places };
    const wanted = [spec(nameOf(program), { unit: 'api' })];
    const absent = await captureServices(host, wanted, options);
    unit('api.service', program);
    const stopped = await captureServices(host, wanted, options);
    assert.equal([stopped[0]?.unit, stopped[0]?.runningUnits], ['api.service', []]);
    for (const set of ['target', 'captured'] as const) await startServices(host, stopped, set, options);
    await startServices(host, absent, 'captured', options);
    assert.is(pidOf('api.service'), undefined);
    await startServices(host, absent, 'target', options);
    assert.is((await device.running(program)).length, 1);
    await stopServices(host, stopped, options);
    const enabled = await captureServices(
      host,
      [spec(nameOf(program), { unit: 'api', enable: true })],
      options,
    );
    await startServices(host, enabled, 'target', options);
    assert.equal(orders(), [
      'start -- api.service',
      'stop -- api.service',
      'daemon-reload',
      'enable -- api.service',
      'start -- api.service',
    ]);
  }));

test('a unit without a process name is stopped and started too', () =>
  withSystemd(async ({ device, host, places, unit, orders }) => {
    unit('api.service', device.install('child-service.sh'));
    const options = { systemd: places };
    await (await findSystemd(host, places))?.start('api.service');
    const snapshots = await captureServices(host, [spec(undefined, { unit: 'api.service' })], options);
    await stopServices(host, snapshots, options);
    await startServices(host, snapshots, 'target', options);
    await stopServices(host, snapshots, options);
    assert.equal(orders(), [
      'start -- api.service',
      'stop -- api.service',
      'start -- api.service',
      'stop -- api.service',
    ]);
  }));

test.long(
  'a unit that fails right after its start is SERVICE_START_FAILED, and is reset before the next start',
  () =>
    withSystemd(async ({ device, host, places, unit, orders }) => {
      const options = { systemd: places };
      const snapshots = await captureServices(host, [spec(undefined, { unit: 'api.service' })], options);
      unit('api.service', device.install('child-fails.sh'));
      const facts = ['api.service', 'is failed', 'exit status 3'];
      await rejects(startServices(host, snapshots, 'target', options), 'SERVICE_START_FAILED', facts);
      unit('api.service', device.install('child-service.sh'));
      await startServices(host, snapshots, 'target', options);
      assert.equal(orders(), ['start -- api.service', 'start -- api.service']);
    }, 1),
);

test('a unit file that the update replaced is read again before the start', () =>
  withSystemd(async ({ device, host, places, unit, mark, orders }) => {
    unit('api.service', device.install('child-service.sh'));
    mark('api.service.changed', '');
    await (await findSystemd(host, places))?.start('api.service');
    assert.equal(orders(), ['daemon-reload', 'start -- api.service']);
  }));

test('what systemctl refuses is reported with its words', () =>
  withSystemd(async ({ device, host, places, unit, mark }) => {
    const options = { systemd: places };
    const absent = await captureServices(host, [spec(undefined, { unit: 'absent' })], options);
    await startServices(host, absent, 'target', options);
    assert.match(device.logged.join(), /warn api: unit absent.service does not exist: it is not started/);
    await rejects(
      systemdOf(await findSystemd(host, places)).start('absent.service'),
      'SERVICE_START_FAILED',
      ['exit status 5', 'Unit absent.service not found'],
    );
    unit('stuck.service', device.install('child-service.sh'));
    const systemd = await findSystemd(host, places);
    await systemd?.start('stuck.service');
    mark('stuck.service.stuck', '');
    const stuck = await captureServices(host, [spec(undefined, { unit: 'stuck' })], options);
    await rejects(stopServices(host, stuck, options), 'PROCESS_KILL_FAILED', [
      'stop',
      'Connection timed out',
    ]);
    const broken = { systemd: { ...places, systemctl: '/nonexistent/systemctl' } };
    await rejects(startServices(host, absent, 'target', broken), 'SERVICE_START_FAILED', ['ENOENT']);
  }));

test('a unit that is not known any more when it is stopped is down, and fails nothing', () =>
  withSystemd(async ({ device, host, places, unit, mark }) => {
    const program = device.install('child-service.sh');
    unit('brief.service', program);
    await systemdOf(await findSystemd(host, places)).start('brief.service');
    mark('brief.service.gone', '');
    const options = { systemd: places };
    await stopServices(
      host,
      await captureServices(host, [spec(undefined, { unit: 'brief' })], options),
      options,
    );
    await eventually('it has ended', async () => (await device.running(program)).length === 0);
  }));

test("a process inside the updater's own unit is a plain one", () =>
  withSystemd(async ({ device, host, places, unit, orders }) => {
    const program = device.install('child-service.sh');
    unit('tope-updater.service', program);
    const process = await device.run([program]);
    writeFileSync(join(device.directory, 'bin', 'tope-updater.service.pid'), String(process.pid));
    const options = { systemd: places };
    const specs = [spec(nameOf(program), { unit: 'tope-updater' })];
    const snapshots = await captureServices(host, specs, options);
    assert.equal([snapshots[0]?.unit, snapshots[0]?.runningUnits], [null, []]);
    assert.is(snapshots[0]?.runningProcesses.length, 1);
    await stopServices(host, snapshots, options);
    assert.equal(await device.running(program), []);
    assert.equal(orders(), []);
  }));

test('a unit in the journal of a device that runs no systemd now cannot be started', () =>
  withSystemd(async ({ host, places }) => {
    const snapshots = await captureServices(host, [spec(undefined, { unit: 'api' })], { systemd: places });
    const options = { systemd: { ...places, bootedDirectory: '/nonexistent/systemd' } };
    await rejects(startServices(host, snapshots, 'target', options), 'SERVICE_START_FAILED', [
      'systemd does not run',
    ]);
  }));

const states: [what: string, properties: string, why: RegExp | undefined][] = [
  ['running', 'ActiveState=active\nSubState=running\nNRestarts=0', undefined],
  ['still starting', 'ActiveState=activating\nSubState=start\nNRestarts=0', undefined],
  ['without NRestarts, as before systemd 235', 'ActiveState=active\nSubState=running', undefined],
  ['a one-shot that is done', 'Type=oneshot\nActiveState=inactive\nSubState=dead\nResult=success', undefined],
  [
    'waiting to be revived',
    'ActiveState=activating\nSubState=auto-restart\nResult=exit-code',
    /auto-restart/,
  ],
  ['revived already', 'ActiveState=active\nSubState=running\nNRestarts=2', /restarted by systemd 2 times/],
  [
    'killed',
    'ActiveState=failed\nSubState=failed\nResult=signal\nExecMainCode=2\nExecMainStatus=11',
    /failed \(failed\), result signal, signal 11/,
  ],
  ['ended', 'Type=simple\nActiveState=inactive\nSubState=dead\nResult=success', /is inactive \(dead\)/],
];
for (const [what, text, why] of states) {
  test(`state of a unit: ${what}`, () =>
    withSystemd(async ({ host, places }) => {
      const run = async () => ({ status: 0, stdout: `${text}\n`, stderr: '' });
      const systemd = await findSystemd({ ...host, processes: { ...host.processes, run } }, places);
      const dead = await systemd?.whyDead('api.service');
      if (why === undefined) assert.is(dead, undefined);
      else assert.match(dead ?? '', why);
    }));
}

test.run();
