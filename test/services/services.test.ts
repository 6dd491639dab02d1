/** Stopping and starting the services of an update as plain processes: real children all the way. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import type { ServiceSpec } from '../../src/release.ts';
import { findNamed } from '../../src/services/processes.ts';
import { captureServices, startServices, stopServices } from '../../src/services/services.ts';
import { type ServiceSnapshot, ServiceSnapshotsSchema } from '../../src/services/snapshot.ts';
import { concurrently } from '../runner/concurrently.ts';
import { type Device, eventually, factsIn, withDevice } from './device.ts';
import { rejects } from './outcome.ts';

const test = concurrently('services', 4);

/** What stays up stays up: those tests need not wait the whole two seconds for each start. */
const quickly = (body: (device: Device) => Promise<void>) => withDevice(body, 5);

/** What another updater reads back from the journal. */
const fromJournal = (snapshots: ServiceSnapshot[]) =>
  v.parse(ServiceSnapshotsSchema, JSON.parse(JSON.stringify(snapshots)));

function spec(program: string, more: Partial<ServiceSpec> = {}): ServiceSpec {
  const processName = program.slice(program.lastIndexOf('/') + 1);
  return {
    module: processName,
    processName,
    restartOrder: undefined,
    unit: undefined,
    start: undefined,
    health: undefined,
    ...more,
  };
}

/** The same device seen by an updater that notes every start and signal. */
function noting(device: Device): { host: Device['host']; notes: string[] } {
  const notes: string[] = [];
  const { processes } = device.host;
  const host: Device['host'] = {
    ...device.host,
    processes: {
      ...processes,
      start: (command) => {
        notes.push(`start ${command.argv.join(' ')}`);
        return processes.start(command);
      },
    },
  };
  return { host, notes };
}

test('a plain process comes back with its arguments, directory and environment, from the journal too', () =>
  quickly(async (device) => {
    const { host, install } = device;
    const program = install('child-service.sh');
    const facts = join(device.directory, 'facts');
    await device.run([program, 'one', 'two words'], { FACTS: facts, MARK: 'kept' });
    const before = await factsIn(facts);
    const snapshots = fromJournal(await captureServices(host, [spec(program)]));
    await stopServices(host, snapshots);
    assert.equal(await device.running(program), []);
    for (const which of ['target', 'captured'] as const) {
      rmSync(facts);
      await startServices(host, snapshots, which);
      const after = await factsIn(facts);
      assert.equal({ ...after, session: '' }, { ...before, session: '' });
      assert.is((await device.running(program)).length, 1);
      await stopServices(host, snapshots);
    }
  }));

test.long('several processes of a name all come back, workers only through the process that made them', () =>
  quickly(async (device) => {
    const program = device.install('child-workers.sh');
    await device.run([program]);
    await device.run([program, '-2']);
    const four = () =>
      eventually(
        'two with a worker each',
        async () => (await findNamed(device.host, [spec(program).module])).length === 4,
      );
    await four();
    const snapshots = await captureServices(device.host, [spec(program)]);
    assert.equal(snapshots[0]?.runningProcesses.map(({ argv }) => argv.slice(2)).sort(), [[], ['-2']]);
    await stopServices(device.host, snapshots);
    assert.equal(await device.running(program), []);
    await startServices(device.host, snapshots, 'captured');
    await four();
  }),
);

test.long('the manifest start replaces the command line and keeps the environment; old is as it was', () =>
  quickly(async (device) => {
    const { host, install, directory } = device;
    const program = install('child-service.sh');
    const facts = join(directory, 'facts');
    await device.run([program, 'before'], { FACTS: facts, MARK: 'kept' });
    await factsIn(facts);
    const snapshots = await captureServices(host, [spec(program, { start: [program, 'after'] })]);
    await stopServices(host, snapshots);
    for (const [which, args] of [
      ['target', 'after'],
      ['captured', 'before'],
    ] as const) {
      rmSync(facts);
      await startServices(host, snapshots, which);
      const seen = await factsIn(facts);
      assert.equal([seen.args, seen.mark, seen.cwd], [args, 'kept', directory]);
      await stopServices(host, snapshots);
    }
  }),
);

test('a service that an interpreter runs is told by its own name', () =>
  quickly(async (device) => {
    const program = device.install('child-service.sh');
    const { processName = '' } = spec(program);
    await device.run(['/bin/sh', program], {}, processName);
    await stopServices(device.host, await captureServices(device.host, [spec(program)]));
    assert.match(device.logged.join('\n'), new RegExp(`: stopping ${processName} \\(sh, pid \\d+\\)`));
  }));

test('what a wrapper had started does not go on beside the next one', () =>
  quickly(async (device) => {
    const wrapper = device.install('child-service.sh');
    const child = device.install('child-service.sh');
    writeFileSync(wrapper, `#!/bin/sh\n${child} &\nwhile :; do ${child}; sleep 1; done\n`);
    await device.run([wrapper]);
    await eventually('both run', async () => (await device.running(child)).length === 2);
    const snapshots = await captureServices(device.host, [spec(wrapper)]);
    await stopServices(device.host, snapshots);
    assert.equal([await device.running(wrapper), await device.running(child)], [[], []]);
    assert.match(device.logged.join('\n'), /was left by what was stopped: stopping it, too/);
  }));

test('what did not run: started new only where the manifest says how, never as old', () =>
  quickly(async (device) => {
    const known = device.install('child-service.sh');
    const unknown = device.install('child-service.sh');
    const specs = [spec(known, { start: [known], processName: undefined }), spec(unknown)];
    const snapshots = await captureServices(device.host, specs);
    await startServices(device.host, snapshots, 'captured');
    assert.is((await device.running(known)).length, 0);
    await startServices(device.host, snapshots, 'target');
    assert.is((await device.running(known)).length, 1);
    assert.is((await device.running(unknown)).length, 0);
    assert.match(device.logged.join(), new RegExp(`${snapshots[1]?.module}: nothing to start`));
    // Found by the name of its command line, so that the next update stops it.
    await stopServices(device.host, snapshots);
    assert.is((await device.running(known)).length, 0);
  }));

test('a module without any process is left alone', () =>
  quickly(async ({ host }) => {
    const none = spec('', { module: 'data', processName: undefined });
    const snapshots = fromJournal(await captureServices(host, [none]));
    await stopServices(host, snapshots);
    await startServices(host, snapshots, 'target');
  }));

test('started in restart order, those without one last; stopped in reverse', () =>
  quickly(async (device) => {
    const programs = ['third', 'first', 'second'].map(() => device.install('child-service.sh'));
    const [last = '', first = '', second = ''] = programs;
    const specs = [
      spec(last, { start: [last] }),
      spec(first, { start: [first], restartOrder: 1 }),
      spec(second, { start: [second], restartOrder: 2 }),
    ];
    const { host, notes } = noting(device);
    const snapshots = await captureServices(host, specs);
    await startServices(host, snapshots, 'target');
    assert.equal(notes, [`start ${first}`, `start ${second}`, `start ${last}`]);
    for (const program of programs) assert.is((await device.running(program)).length, 1);
    device.logged.length = 0;
    await stopServices(host, snapshots);
    const stops = device.logged.map((line) => line.match(/: stopping (\S+) /)?.[1]);
    // A shell that is just forking shows twice.
    assert.equal(
      [...new Set(stops)],
      [last, second, first].map((program) => spec(program).processName),
    );
  }));

test.long('what runs already is not started a second time as old', () =>
  quickly(async (device) => {
    const program = device.install('child-service.sh');
    const kept = await device.run([program, 'kept']);
    await device.run([program, 'stopped']);
    const snapshots = await captureServices(device.host, [spec(program)]);
    const stopped = (await device.running(program)).find(({ argv }) => argv.includes('stopped'));
    device.host.processes.signal(stopped?.pid ?? 0, 'SIGKILL');
    await eventually('one is left', async () => (await device.running(program)).length === 1);
    await startServices(device.host, snapshots, 'captured');
    const running = await device.running(program);
    assert.equal(running.map(({ argv }) => argv.at(-1)).sort(), ['kept', 'stopped']);
    assert.ok(running.some(({ pid }) => pid === kept.pid));
  }),
);

test('stopping catches what appeared since the capture', () =>
  quickly(async (device) => {
    const program = device.install('child-service.sh');
    const snapshots = fromJournal(await captureServices(device.host, [spec(program)]));
    await device.run([program]);
    await device.run([program, 'another']);
    await stopServices(device.host, snapshots);
    assert.equal(await device.running(program), []);
  }));

test('what comes back whenever it is stopped is PROCESS_KILL_FAILED', () =>
  quickly(async (device) => {
    const program = device.install('child-service.sh');
    const { processes } = device.host;
    // A supervisor that is quicker than any look at the processes.
    const list = async () => {
      await processes.start({ argv: [program], cwd: '/', env: { PATH: process.env.PATH ?? '' } });
      return await processes.list();
    };
    const supervised = { ...device.host, processes: { ...processes, list } };
    const snapshots = await captureServices(supervised, [spec(program)]);
    await rejects(stopServices(supervised, snapshots), 'PROCESS_KILL_FAILED', [
      spec(program).module,
      'came back',
    ]);
  }));

const failures: [what: string, fixture: string, facts: string[]][] = [
  ['exits with a status', 'child-fails.sh', ['ended with exit status 3', 'ms after its start']],
  ['exits with 0', '/bin/true', ['exit status 0', 'no process named']],
];
for (const [what, fixture, facts] of failures) {
  test(`a service that ${what} right after its start is SERVICE_START_FAILED`, () =>
    withDevice(async (device) => {
      const program = device.install(fixture);
      const snapshots = await captureServices(device.host, [spec(program, { start: [program] })]);
      await rejects(startServices(device.host, snapshots, 'target'), 'SERVICE_START_FAILED', [
        spec(program).module,
        ...facts,
      ]);
    }));
}

test('a service that a signal ends right after its start is SERVICE_START_FAILED with the signal', () =>
  withDevice(async (device) => {
    const program = join(device.directory, 'crashes');
    writeFileSync(program, '#!/bin/sh\nkill -SEGV $$\n', { mode: 0o755 });
    const snapshots = await captureServices(device.host, [spec(program, { start: [program] })]);
    await rejects(startServices(device.host, snapshots, 'target'), 'SERVICE_START_FAILED', [
      'ended by SIGSEGV',
    ]);
  }));

test('a service whose program is missing is SERVICE_START_FAILED with the system words', () =>
  withDevice(async ({ host, install }) => {
    const good = install('child-service.sh');
    const specs = [
      spec('/nonexistent/gone', { start: ['/nonexistent/gone'] }),
      spec(good, { start: [good] }),
    ];
    const snapshots = await captureServices(host, specs);
    await rejects(startServices(host, snapshots, 'target'), 'SERVICE_START_FAILED', [
      'ENOENT',
      '/nonexistent/gone',
    ]);
  }));

test.long('a program that puts itself in the background counts as running', () =>
  quickly(async (device) => {
    const program = device.install('child-daemon.sh');
    const snapshots = await captureServices(device.host, [spec(program, { start: [program] })]);
    await startServices(device.host, snapshots, 'target');
    assert.is((await device.running(program)).length, 1);
  }),
);

test('a new program that its name does not find fails and is told the right name; one of an old set is a warning', () =>
  quickly(async (device) => {
    const program = device.install('child-service.sh');
    const name = program.slice(program.lastIndexOf('/') + 1);
    const wrong = spec(program, { module: 'app', processName: `${name}-service`, start: [program] });
    const snapshots = await captureServices(device.host, [wrong]);
    const start = startServices(device.host, snapshots, 'target', { isNew: true });
    const words = [`app: started ${program}`, `no process named "${name}-service" runs`, `script (${name})`];
    await rejects(start, 'SERVICE_START_FAILED', words);
    assert.equal(await device.running(program), [], 'nobody would find it by its name later');
    await startServices(device.host, snapshots, 'target');
    assert.is(
      device.logged.filter((line) => /^warn app: started .* but no process named/.test(line)).length,
      1,
    );
  }));

test('the name that the set before had does not find a new program', () =>
  quickly(async (device) => {
    const program = device.install('child-service.sh');
    const before = spec(program, { module: 'app', start: [program] });
    await startServices(device.host, await captureServices(device.host, [before]), 'target');
    const wrong = { ...before, processName: 'no-such-name' };
    const snapshots = await captureServices(device.host, [wrong], { before: [before] });
    await stopServices(device.host, snapshots);
    const start = startServices(device.host, snapshots, 'target', { isNew: true, ready: [wrong] });
    await rejects(start, 'SERVICE_START_FAILED', ['no process named "no-such-name" runs']);
    assert.equal(await device.running(program), []);
  }));

test.long('all started services are watched together', () =>
  withDevice(async (device) => {
    const programs = [1, 2, 3, 4].map(() => device.install('child-service.sh'));
    const specs = programs.map((program, index) => spec(program, { start: [program], restartOrder: index }));
    const snapshots = await captureServices(device.host, specs);
    const started = Date.now();
    await startServices(device.host, snapshots, 'target');
    assert.ok(Date.now() - started < 7_000, 'not two seconds for each');
  }),
);

test('an abort ends the wait for services to settle with its reason', () =>
  quickly(async ({ host, install }) => {
    const program = install('child-service.sh');
    const snapshots = await captureServices(host, [spec(program, { start: [program] })]);
    const reason = new Error('shutting down');
    const signal = AbortSignal.abort(reason);
    const thrown = await startServices(host, snapshots, 'target', { signal }).catch(
      (error: unknown) => error,
    );
    assert.is(thrown, reason);
  }));

test('an abort leaves no service down, whatever its order', () =>
  quickly(async (device) => {
    const programs = [1, 2, 3].map(() => device.install('child-service.sh'));
    for (const program of programs) await device.run([program]);
    const specs = programs.map((program, index) => spec(program, { restartOrder: index }));
    for (const which of ['target', 'captured'] as const) {
      const snapshots = await captureServices(device.host, specs);
      await stopServices(device.host, snapshots);
      const signal = AbortSignal.abort(new Error('shutting down'));
      await startServices(device.host, snapshots, which, { signal }).catch(() => undefined);
      for (const program of programs) assert.is((await device.running(program)).length, 1, which);
    }
  }));

test('on the way back a service that does not start keeps no other from it, and is told', () =>
  withDevice(async (device) => {
    const [gone = '', crashes = '', good = ''] = [1, 2, 3].map(() => device.install('child-service.sh'));
    for (const program of [gone, crashes, good]) await device.run([program]);
    const specs = [gone, crashes, good].map((program, index) => spec(program, { restartOrder: index }));
    const snapshots = await captureServices(device.host, specs);
    await stopServices(device.host, snapshots);
    rmSync(gone);
    writeFileSync(crashes, '#!/bin/sh\nexit 3\n');
    await rejects(startServices(device.host, snapshots, 'captured'), 'SERVICE_START_FAILED', [gone]);
    assert.is((await device.running(good)).length, 1);
  }));

test('a unit named where systemd does not run is handled as a plain process', () =>
  quickly(async (device) => {
    const program = device.install('child-service.sh');
    await device.run([program]);
    const places = { systemctl: '/nonexistent/systemctl', bootedDirectory: '/nonexistent/systemd' };
    const [snapshot] = await captureServices(device.host, [spec(program, { unit: 'x.service' })], {
      systemd: places,
    });
    assert.is(snapshot?.unit, null);
    assert.is(snapshot?.runningProcesses.length, 1);
    assert.match(device.logged.join(), /unit x.service is not used/);
  }));

test.run();
