/** Finding, ending and remembering processes: real children, and a port that misleads where the kernel would not. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Processes } from '../../src/host/host.ts';
import { captureProcess } from '../../src/services/capture-process.ts';
import {
  findNamed,
  inheritableEnvironment,
  runningProcesses,
  terminate,
} from '../../src/services/processes.ts';
import { type Device, eventually, factsIn, withDevice } from './device.ts';
import { rejects } from './outcome.ts';

const test = suite('services/processes');

test('a process is found by its name, and ended by SIGTERM', () =>
  withDevice(async (device) => {
    const program = device.install('child-service.sh');
    const process = await device.run([program]);
    await terminate(device.host, [process]);
    assert.equal(await device.running(program), []);
    assert.equal(device.logged, []);
  }));

test('a name longer than the kernel keeps is found, its neighbour with the same beginning is not', () =>
  withDevice(async (device) => {
    const stem = `tp-${Math.random().toString(36).slice(2, 10)}-long-name`;
    const one = device.install('/bin/sleep', `${stem}-one`);
    const two = device.install('/bin/sleep', `${stem}-two`);
    const first = await device.run([one, '30']);
    await device.run([two, '30']);
    assert.is(first.comm.length, 15);
    assert.equal(
      (await device.running(one)).map(({ pid }) => pid),
      [first.pid],
    );
    assert.equal(await findNamed(device.host, [first.comm]), []);
  }));

test('a script run by an interpreter is found by the name of the script', () =>
  withDevice(async (device) => {
    const script = device.install('child-service.sh', 'tp-script-of-this-test.sh');
    const process = await device.run(['/bin/sh', script], {}, 'tp-script-of-this-test');
    assert.is((await device.running(script))[0]?.pid, process.pid);
  }));

test('a process that ignores SIGTERM is killed once its time is over', () =>
  withDevice(async (device) => {
    const program = device.install('child-stubborn.sh');
    const process = await device.run([program], { READY: join(device.directory, 'ready') });
    await factsIn(join(device.directory, 'ready'));
    const { host } = device;
    // The ten seconds of grace pass at once; what waits is real time still.
    const start = host.clock.elapsed();
    const hurried = {
      ...host,
      clock: { ...host.clock, elapsed: () => start + (host.clock.elapsed() - start) * 25 },
    };
    await terminate(hurried, [process]);
    await isGone(device, program);
    assert.match(device.logged.join(), /still runs 10000 ms after SIGTERM, sending SIGKILL/);
  }));

test('what not even SIGKILL ends is PROCESS_KILL_FAILED with its pid and name', () =>
  withDevice(async (device) => {
    const { host, install } = device;
    const process = await device.run([install('child-service.sh')]);
    const signals: string[] = [];
    const deaf: Processes = { ...host.processes, signal: (_pid, name) => signals.push(name) > 0 };
    const hurried = { ...host.clock, elapsed: () => host.clock.elapsed() * 100 };
    await rejects(terminate({ ...host, processes: deaf, clock: hurried }, [process]), 'PROCESS_KILL_FAILED', [
      process.comm,
      `pid ${process.pid}`,
    ]);
    assert.equal(signals, ['SIGTERM', 'SIGKILL']);
  }));

test('a process of somebody else is PROCESS_KILL_FAILED with the system words', () =>
  withDevice(async (device) => {
    const { host, install } = device;
    const process = await device.run([install('child-service.sh')]);
    const foreign: Processes = {
      ...host.processes,
      signal: () => {
        throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' });
      },
    };
    await rejects(terminate({ ...host, processes: foreign }, [process]), 'PROCESS_KILL_FAILED', [
      `pid ${process.pid}`,
      'EPERM',
    ]);
  }));

test('a recycled pid is never signalled: the start time says it is another process', () =>
  withDevice(async (device) => {
    const program = device.install('child-service.sh');
    const process = await device.run([program]);
    await terminate(device.host, [{ ...process, startTime: '1' }]);
    assert.is((await device.running(program)).length, 1);
  }));

test('an abort ends the wait for a polite end: SIGKILL follows at once', () =>
  withDevice(async (device) => {
    const program = device.install('child-stubborn.sh');
    const process = await device.run([program]);
    await terminate(device.host, [process], AbortSignal.abort(new Error('shutting down')));
    await isGone(device, program);
    assert.match(device.logged.join(), /still runs and the updater is to stop, sending SIGKILL/);
  }));

test('never the updater itself, init, kernel threads or zombies', () =>
  withDevice(async (device) => {
    const { host } = device;
    const line = (comm: string, state: string, flags: number) =>
      `9 (${comm}) ${state} 1 9 9 0 -1 ${flags} 0 0 0 0 0 0 0 0 20 0 1 0 77 0 0`;
    const stats: Record<number, string> = {
      1: line('same', 'S', 0),
      2: line('same', 'S', 0x00200000),
      3: line('same', 'Z', 0),
      4: line('same', 'S', 0),
      5: line('same', 'S', 0),
      6: 'nonsense',
    };
    const staged: Processes = {
      ...host.processes,
      ownPid: 4,
      list: async () => [1, 2, 3, 4, 5, 6, 7],
      read: async (pid, file) => (file === 'stat' ? stats[pid] : ''),
      readLink: async () => undefined,
    };
    const found = await findNamed({ ...host, processes: staged }, ['same']);
    assert.equal(
      found.map(({ pid }) => pid),
      [5],
    );
  }));

test('every process of this machine can be looked at', () =>
  withDevice(async (device) => {
    const { pid } = await device.run([device.install('child-service.sh')]);
    const all = await runningProcesses(device.host);
    assert.ok(all.some((one) => one.pid === pid));
    assert.not.ok(all.some(({ pid }) => pid === 1 || pid === process.pid));
  }));

test('what a process was started with is captured whole', () =>
  withDevice(async (device) => {
    const program = device.install('child-service.sh');
    const running = await device.run([program, 'a b', ''], { MARK: 'x=y' });
    const captured = await captureProcess(device.host, running);
    assert.equal(captured?.argv, ['/bin/sh', program, 'a b', '']);
    assert.is(captured?.cwd, device.directory);
    assert.is(captured?.env.MARK, 'x=y');
    assert.is(captured?.uid, process.getuid?.());
    assert.is(captured?.gid, process.getgid?.());
    assert.match(captured?.program ?? '', /sh$/);
  }));

test('a process that ended is not captured, one closed to us is said to be', () =>
  withDevice(async (device) => {
    const { host } = device;
    const running = await device.run([device.install('child-service.sh')]);
    const closed: Processes = {
      ...host.processes,
      read: (pid, file) => (file === 'environ' ? Promise.resolve(undefined) : host.processes.read(pid, file)),
    };
    assert.is(await captureProcess({ ...host, processes: closed }, running), undefined);
    assert.match(device.logged.join(), /cannot be started again as it was/);
    await terminate(host, [running]);
    assert.is(await captureProcess(host, running), undefined);
  }));

test('a started program does not get what systemd told the updater alone', () =>
  withDevice(async ({ host }) => {
    const environ =
      'PATH=/bin\0DISPLAY=:0\0NOTIFY_SOCKET=/run/n\0LISTEN_FDS=1\0STATE_DIRECTORY=/x\0MAINPID=3\0';
    const staged: Processes = { ...host.processes, read: async () => environ };
    const env = await inheritableEnvironment({ ...host, processes: staged });
    assert.equal(env, { PATH: '/bin', DISPLAY: ':0' });
  }));

test.run();

/** What it was just starting has its name until the exec, and ends by itself. */
function isGone(device: Device, program: string): Promise<boolean> {
  return eventually(`${program} is gone`, async () => (await device.running(program)).length === 0);
}
