/**
 * What a local user without any rights tries beside the services (spec section 9): uid 65534, who may run what he likes
 * under a service's name, with any environment and arguments, as often as he likes, and in namespaces of his own.
 */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { limits } from '../../src/limits.ts';
import type { ServiceSpec } from '../../src/release.ts';
import { findNamed, type RunningProcess } from '../../src/services/processes.ts';
import { captureServices, startServices, stopServices } from '../../src/services/services.ts';
import { concurrently } from '../runner/concurrently.ts';
import { type Device, eventually, fixtures, withDevice } from './device.ts';

const tests = concurrently('services/neighbour');
const notRoot = process.getuid?.() === 0 ? undefined : 'needs root';
const neighbour = 65534;
const path = process.env.PATH ?? '/usr/bin:/bin';

function spec(program: string, more: Partial<ServiceSpec> = {}): ServiceSpec {
  const processName = program.slice(program.lastIndexOf('/') + 1);
  const none = { restartOrder: undefined, unit: undefined, start: undefined, health: undefined };
  return { module: processName, processName, ...none, ...more };
}

/** A program that everybody may run, in a directory where everybody may write. */
function installOpen(device: Device, fixture: string): { program: string; open: string } {
  const open = mkdtempSync(join(tmpdir(), 'tope-neighbour-'));
  chmodSync(open, 0o777);
  const name = device.install(fixture).split('/').at(-1) ?? '';
  const program = join(open, name);
  copyFileSync(fixture.startsWith('/') ? fixture : join(fixtures, fixture), program);
  chmodSync(program, 0o755);
  return { program, open };
}

/** The neighbour runs something; resolves once it can be found by the program's name. */
async function runs(
  device: Device,
  argv: readonly string[],
  env: Record<string, string> = {},
  uid = neighbour,
): Promise<RunningProcess> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, {
    uid,
    gid: uid,
    env: { PATH: path, ...env },
    stdio: 'ignore',
    detached: true,
    cwd: '/',
  });
  child.unref();
  const name = program.slice(program.lastIndexOf('/') + 1);
  return await eventually(`${name} of uid ${uid}`, async () =>
    (await findNamed(device.host, [name])).find(({ pid }) => pid === child.pid),
  );
}

/** Who runs what has the program's name. */
async function usersOf(device: Device, program: string): Promise<number[]> {
  const found = await device.running(program);
  return found.map(({ pid }) => statSync(`/proc/${pid}`).uid).sort();
}

tests.needing(notRoot, 'his environment is seen by nothing that runs as root', () =>
  withDevice(async (device) => {
    const { program, open } = installOpen(device, '/bin/sleep');
    const evil = join(open, 'evil');
    writeFileSync(evil, `#!/bin/sh\nid -u >>${open}/ran.$(id -u)\n`, { mode: 0o755 });
    for (const tool of [
      'setpriv',
      'env',
      'sh',
      'nice',
      'prlimit',
      'taskset',
      'nsenter',
      'systemd-run',
      'true',
    ])
      copyFileSync(evil, join(open, tool));
    const env = {
      PATH: `${open}:/usr/bin:/bin`,
      // The dynamic loader writes a file as whoever it loads a program for: what LD_PRELOAD would be as.
      LD_DEBUG: 'libs',
      LD_DEBUG_OUTPUT: join(open, 'loaded'),
      LD_BIND_NOW: '1',
      ENV: evil,
      BASH_ENV: evil,
      'BASH_FUNC_exec%%': `() { ${evil}; }`,
      GLIBC_TUNABLES: 'glibc.malloc.check=3',
      LOCPATH: open,
      'odd.name': "it's $(id) `id` \n \\",
    };
    const running = await runs(device, [program, '600'], env);
    const snapshots = await captureServices(device.host, [spec(program)]);
    assert.is(snapshots[0]?.runningProcesses[0]?.uid, neighbour);
    device.host.processes.signal(running.pid, 'SIGKILL');
    await eventually('it is gone', async () => (await device.running(program)).length === 0);
    for (const name of readdirSync(open)) if (name.startsWith('loaded')) rmSync(join(open, name));
    await startServices(device.host, snapshots, 'captured');
    assert.equal(await usersOf(device, program), [neighbour]);
    const written = readdirSync(open).filter((name) => /^(loaded|ran)/.test(name));
    assert.ok(
      written.some((name) => name.startsWith('loaded')),
      'the program has its environment',
    );
    assert.equal([...new Set(written.map((name) => statSync(join(open, name)).uid))], [neighbour]);
    const [back] = await device.running(program);
    const environ = (await device.host.processes.read(back?.pid ?? 0, 'environ')) ?? '';
    assert.ok(environ.split('\0').includes(`odd.name=${env['odd.name']}`));
    assert.ok(environ.split('\0').includes(`BASH_FUNC_exec%%=${env['BASH_FUNC_exec%%']}`));
    rmSync(open, { recursive: true });
  }, 5),
);

tests.needing(notRoot, 'a younger namesake is stopped, decides nothing, and its environment is nowhere', () =>
  withDevice(async (device) => {
    const { program, open } = installOpen(device, 'child-service.sh');
    await runs(device, [program], { MARK: 'service' }, 0);
    const big = Object.fromEntries(
      Array.from({ length: 8 }, (_, n) => [`V${n}`, `huge${'\u0001'.repeat(100_000)}`]),
    );
    for (let n = 0; n < 12; n++) await runs(device, [program, String(n)], big);
    const snapshots = await captureServices(device.host, [spec(program, { start: [program, 'new'] })]);
    assert.equal(
      snapshots[0]?.runningProcesses.map(({ uid, env }) => [uid, env.MARK]),
      [[0, 'service']],
    );
    assert.ok(JSON.stringify(snapshots).length < limits.capturedBytes);
    assert.not.ok(JSON.stringify(snapshots).includes('huge'));
    await stopServices(device.host, snapshots);
    assert.equal(await device.running(program), []);
    await startServices(device.host, snapshots, 'target');
    assert.equal(await usersOf(device, program), [0]);
    assert.match(device.logged.join('\n'), /is another user's: stopped, not started again/);
    rmSync(open, { recursive: true });
  }, 5),
);

tests.needing(notRoot, 'a namesake that comes back for ever does not make a stop fail', () =>
  withDevice(async (device) => {
    const { program, open } = installOpen(device, 'child-service.sh');
    await runs(device, [program], {}, 0);
    const loop = spawn('/bin/sh', ['-c', `while :; do ${program} x; done`], {
      uid: neighbour,
      stdio: 'ignore',
    });
    try {
      await eventually('both run', async () => (await usersOf(device, program)).length === 2);
      const snapshots = await captureServices(device.host, [spec(program)]);
      await stopServices(device.host, snapshots);
      assert.not.ok((await usersOf(device, program)).includes(0));
      await startServices(device.host, snapshots, 'target');
      assert.is((await usersOf(device, program)).filter((uid) => uid === 0).length, 1);
    } finally {
      loop.kill('SIGKILL');
      rmSync(open, { recursive: true });
    }
  }, 5),
);

tests.needing(
  notRoot,
  'a service whose own environment is beyond the bound comes back with what fits, and that is said',
  () =>
    withDevice(async (device) => {
      const { program, open } = installOpen(device, 'child-service.sh');
      await runs(device, [program], { SMALL: 'kept', LARGE: 'x'.repeat(60_000) }, 0);
      const [snapshot] = await captureServices(device.host, [spec(program)]);
      const env = snapshot?.runningProcesses[0]?.env;
      assert.equal([env?.SMALL, env?.LARGE, env?.PATH], ['kept', undefined, path]);
      assert.match(
        device.logged.join('\n'),
        /comes back without what is beyond 32768 bytes of environment: LARGE/,
      );
      rmSync(open, { recursive: true });
    }, 5),
);

tests.needing(
  notRoot,
  'a process of another PID or mount namespace is no service of this device, whatever its name',
  () =>
    withDevice(async (device) => {
      const { program, open } = installOpen(device, '/bin/sleep');
      const name = program.split('/').at(-1) ?? '';
      const containers = [['--pid', '--fork', '--kill-child'], ['--mount']].map((how) =>
        spawn('unshare', [...how, program, '600'], { stdio: 'ignore' }),
      );
      try {
        const named = () =>
          readdirSync('/proc').filter((pid) => {
            try {
              return /^\d+$/.test(pid) && statSync(`/proc/${pid}`) && commOf(pid) === name;
            } catch {
              return false;
            }
          });
        await eventually('both run', async () => named().length === 2);
        assert.equal(await findNamed(device.host, [name]), []);
        const snapshots = await captureServices(device.host, [spec(program)]);
        assert.equal(snapshots[0]?.runningProcesses, []);
        await stopServices(device.host, snapshots);
        assert.is(named().length, 2);
      } finally {
        for (const container of containers) container.kill('SIGKILL');
        rmSync(open, { recursive: true });
      }
    }, 5),
);

tests.needing(notRoot, 'capabilities of a user namespace of his own are none outside of it', () =>
  withDevice(async (device) => {
    const { program, open } = installOpen(device, '/bin/sleep');
    const contained = spawn('unshare', ['--user', '--map-root-user', '--keep-caps', program, '600'], {
      uid: neighbour,
      gid: neighbour,
      stdio: 'ignore',
    });
    try {
      await eventually('it runs', async () => (await device.running(program)).length === 1);
      const [snapshot] = await captureServices(device.host, [spec(program)]);
      const [captured] = snapshot?.runningProcesses ?? [];
      assert.is(captured?.uid, neighbour);
      assert.equal(
        [captured?.traits?.ambientCapabilities, captured?.traits?.boundingCapabilities],
        ['0', '0'],
      );
      contained.kill('SIGKILL');
      await eventually('it is gone', async () => (await device.running(program)).length === 0);
      await startServices(device.host, snapshot === undefined ? [] : [snapshot], 'captured');
      const [back] = await device.running(program);
      const status = readFileSync(`/proc/${back?.pid}/status`, 'utf8');
      assert.match(status, /^CapPrm:\t0+$/m);
      assert.match(status, /^CapAmb:\t0+$/m);
      assert.match(status, /^CapBnd:\t0+$/m);
    } finally {
      contained.kill('SIGKILL');
      rmSync(open, { recursive: true });
    }
  }, 5),
);

tests.needing(
  notRoot,
  'a process with a network of its own is not brought back into that of the updater',
  () =>
    withDevice(async (device) => {
      const { program, open } = installOpen(device, '/bin/sleep');
      const contained = spawn('unshare', ['--net', program, '600'], { stdio: 'ignore' });
      try {
        await eventually('it runs', async () => (await device.running(program)).length === 1);
        let refused = '';
        await captureServices(device.host, [spec(program)]).catch((thrown: Error) => {
          refused = thrown.message;
        });
        assert.match(refused, /has a network namespace of its own/);
        assert.is((await device.running(program)).length, 1);
      } finally {
        contained.kill('SIGKILL');
        rmSync(open, { recursive: true });
      }
    }, 5),
);

tests.needing(notRoot, 'what root runs is the service, also where he was there before it', () =>
  withDevice(async (device) => {
    const { program, open } = installOpen(device, 'child-service.sh');
    await runs(device, [program], { MARK: 'his' });
    await runs(device, [program], { MARK: 'service' }, 0);
    const [snapshot] = await captureServices(device.host, [spec(program)]);
    assert.equal(
      snapshot?.runningProcesses.map(({ uid, env }) => [uid, env.MARK]),
      [[0, 'service']],
    );
    rmSync(open, { recursive: true });
  }, 5),
);

tests.needing(
  notRoot,
  'a service that is down comes back as whom it ran, never as root because it is down',
  () =>
    withDevice(async (device) => {
      const { program, open } = installOpen(device, 'child-service.sh');
      const started = spec(program, { start: [program, 'new'] });
      // Never seen to run, and anybody may exchange it.
      const unknown = await captureServices(device.host, [started]);
      let refused = '';
      await startServices(device.host, unknown, 'target').catch((thrown: Error) => {
        refused = thrown.message;
      });
      assert.match(
        refused,
        /has never been seen to run, and \/.* may be written by everybody, who would become/,
      );
      assert.equal(await usersOf(device, program), []);
      // Seen by an earlier update.
      const running = await runs(device, [program], {});
      const known = await captureServices(device.host, [started]);
      device.host.processes.signal(running.pid, 'SIGKILL');
      await eventually('it is gone', async () => (await device.running(program)).length === 0);
      const down = await captureServices(device.host, [started], { known });
      await startServices(device.host, down, 'target');
      assert.equal(await usersOf(device, program), [neighbour]);
      rmSync(open, { recursive: true });
    }, 5),
);

tests.needing(
  notRoot,
  'a service that is down is down, whoever runs something under its name meanwhile',
  () =>
    withDevice(async (device) => {
      const { program, open } = installOpen(device, 'child-service.sh');
      const running = await runs(device, [program], { MARK: 'service' }, 0);
      const plain = spec(program);
      const started = spec(program, { start: [program, 'new'] });
      const known = await captureServices(device.host, [plain]);
      device.host.processes.signal(running.pid, 'SIGKILL');
      await eventually('it is gone', async () => (await device.running(program)).length === 0);
      for (const [wanted, users] of [
        [plain, []],
        [started, [0]],
      ] as const) {
        await runs(device, [program, 'his'], { MARK: 'his' });
        const down = await captureServices(device.host, [wanted], { known });
        assert.equal(
          down.map(({ runningProcesses, lastRan }) => [runningProcesses, lastRan.map(({ uid }) => uid)]),
          [[[], [0]]],
        );
        await stopServices(device.host, down);
        await startServices(device.host, down, 'target');
        assert.equal(await usersOf(device, program), users);
      }
      assert.match(
        device.logged.join('\n'),
        /another user's: it ran as uid 0 so far: stopped, not started again/,
      );
      rmSync(open, { recursive: true });
    }, 5),
);

tests.needing(notRoot, 'his respawning processes fail no update of a service that is down', () =>
  withDevice(async (device) => {
    const { program, open } = installOpen(device, 'child-service.sh');
    const running = await runs(device, [program], {}, 0);
    const known = await captureServices(device.host, [spec(program)]);
    device.host.processes.signal(running.pid, 'SIGKILL');
    const loops = [1, 2, 3].map((n) =>
      spawn('/bin/sh', ['-c', `while :; do ${program} ${n}; done`], { uid: neighbour, stdio: 'ignore' }),
    );
    try {
      await eventually(
        'all run',
        async () => (await usersOf(device, program)).join() === '65534,65534,65534',
      );
      const started = spec(program, { start: [program, 'new'] });
      const down = await captureServices(device.host, [started], { known });
      await stopServices(device.host, down);
      await startServices(device.host, down, 'target');
      assert.is((await usersOf(device, program)).filter((uid) => uid === 0).length, 1);
    } finally {
      for (const loop of loops) loop.kill('SIGKILL');
      rmSync(open, { recursive: true });
    }
  }, 5),
);

tests.needing(notRoot, 'his process is not what a program that has ended left in the background', () =>
  withDevice(async (device) => {
    const { program, open } = installOpen(device, 'child-service.sh');
    writeFileSync(
      program,
      `#!/bin/sh\n[ "$1" = new ] && exit 0\nexec -a ${program} sleep 600\n`.replace('/bin/sh', '/bin/bash'),
    );
    await runs(device, [program], {}, 0);
    const snapshots = await captureServices(device.host, [spec(program, { start: [program, 'new'] })]);
    await stopServices(device.host, snapshots);
    await runs(device, [program], {});
    let said = '';
    await startServices(device.host, snapshots, 'target').catch((thrown: Error) => {
      said = thrown.message;
    });
    assert.match(
      said,
      /SERVICE_START_FAILED: .* ended with exit status 0, .* no process named .* runs as its user/,
    );
    rmSync(open, { recursive: true });
  }, 5),
);

tests.needing(
  notRoot,
  'his process with the very command line of a service does not keep it from coming back',
  () =>
    withDevice(async (device) => {
      const { program, open } = installOpen(device, 'child-service.sh');
      await runs(device, [program, 'x'], {}, 0);
      const snapshots = await captureServices(device.host, [spec(program)]);
      await stopServices(device.host, snapshots);
      await runs(device, [program, 'x']);
      await startServices(device.host, snapshots, 'captured');
      assert.equal(await usersOf(device, program), [0, neighbour]);
      rmSync(open, { recursive: true });
    }, 5),
);

tests.needing(
  notRoot,
  'no updater is ever a service, neither this one nor that of another work directory',
  () =>
    withDevice(async (device) => {
      for (const name of ['tope-updater', 'tope-updater-x64']) {
        const program = device.install('child-service.sh', name);
        const other = spawn(program, { stdio: 'ignore' });
        try {
          await eventually('it runs', async () => commOf(String(other.pid)) === name.slice(0, 15));
          const snapshots = await captureServices(device.host, [spec(program)]);
          await stopServices(device.host, snapshots);
          assert.is(commOf(String(other.pid)), name.slice(0, 15));
        } finally {
          other.kill('SIGKILL');
        }
      }
    }, 5),
);

function commOf(pid: string): string {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
}

tests.run();
