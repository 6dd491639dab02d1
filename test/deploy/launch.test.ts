/** deploy/launch.sh under the system's sh and under busybox: which executable it starts, and what counts as failed. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { suite } from '../runner/suites.ts';

const launcher = resolve('deploy/launch.sh');
const thisBoot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
const shells = [['sh'], ['busybox', 'sh']].filter(([program = '', ...rest]) => {
  if (spawnSync(program, [...rest, '-c', 'true']).status === 0) return true;
  console.log(`skipped: launch.sh under ${program}: it is not installed`);
  return false;
});

for (const shell of shells) {
  const tests = suite(`launch.sh under ${shell.join(' ')}`);
  const test = shell[0] === 'sh' ? tests : tests.long;

  test('without a probation the executable is started with its arguments, and knows where it stands', () => {
    const device = place();
    const { status, stdout } = launch(device, ['run', '--dir', 'a b']);
    assert.is(status, 7);
    assert.is(stdout, `current run|--dir|a b| executable=${device}/tope-updater fallback=\n`);
  });

  test('a fallback that the environment asks for is not believed', () => {
    assert.match(launch(place(), ['run'], { TOPE_UPDATER_FALLBACK: '1' }).stdout, /^current .*fallback=\n$/);
  });

  test('the fourth start in one boot is that of the previous executable', () => {
    const device = place({ probation: '' });
    for (let start = 1; start <= 3; start++) assert.match(launch(device).stdout, /^current /);
    assert.is(readFileSync(join(device, 'probation'), 'utf8'), `${thisBoot}\n`.repeat(3));
    assert.match(launch(device).stdout, /^previous .*fallback=1\n$/);
  });

  test('starts that a power cut ended do not count', () => {
    const boots = ['boot-1', 'boot-2', 'boot-3', 'boot-4'];
    const device = place({ probation: boots.map((boot) => `${boot}\n`).join('') });
    assert.match(launch(device).stdout, /^current /);
  });

  test('a crash before a power cut counts, the start that the cut ended does not', () => {
    const two = place({ probation: 'boot-1\nboot-1\nboot-2\nboot-2\n' });
    assert.match(launch(two).stdout, /^current /);
    const three = place({ probation: 'boot-1\nboot-1\nboot-2\nboot-2\nboot-3\nboot-3\n' });
    assert.match(launch(three).stdout, /^previous /);
  });

  test('ten starts are enough, whatever ended them', () => {
    const boots = Array.from({ length: 10 }, (_, index) => `boot-${index}\n`).join('');
    assert.match(launch(place({ probation: boots })).stdout, /^previous /);
  });

  test('a line that a power cut tore counts as a start of another boot', () => {
    const device = place({ probation: `${thisBoot}\n${thisBoot.slice(0, 9)}` });
    assert.match(launch(device).stdout, /^current /);
  });

  test('a start that was asked to end has not failed', () => {
    const device = place({ probation: `${thisBoot}\nended\n`.repeat(4) });
    assert.match(launch(device).stdout, /^current /);
  });

  test('crashes after the commit count too', () => {
    const device = place({ probation: `${thisBoot}\ncommitted\n${thisBoot}\n${thisBoot}\n` });
    assert.match(launch(device).stdout, /^previous /);
  });

  test('the line that names the update is no start', () => {
    const device = place({ probation: `update 7\n${thisBoot}\n${thisBoot}\n` });
    assert.match(launch(device).stdout, /^current /);
    assert.match(launch(device).stdout, /^previous /);
  });

  test('what recovers at boot is the previous executable, and no start; other commands are those of the current one', () => {
    const device = place({ probation: '' });
    assert.match(launch(device, ['recover']).stdout, /^previous recover.*fallback=\n$/);
    assert.match(launch(device, ['status']).stdout, /^current status/);
    assert.is(readFileSync(join(device, 'probation'), 'utf8'), '');
    const condemned = place({ probation: `${thisBoot}\n`.repeat(3) });
    assert.match(launch(condemned, ['recover']).stdout, /^previous recover.*fallback=1\n$/);
    assert.match(launch(place(), ['recover']).stdout, /^current /);
  });

  test('without a previous executable there is nothing to fall back to', () => {
    const device = place({ probation: `${thisBoot}\n`.repeat(5), previous: false });
    assert.match(launch(device).stdout, /^current /);
  });

  test('where the executable is gone the previous one is started', () => {
    const device = place();
    rmSync(join(device, 'tope-updater'));
    assert.match(launch(device).stdout, /^previous /);
  });

  test('a start that adds no line hangs and is killed; one that commits lives on', async () => {
    const hanging = place({ probation: '', program: 'exec sleep 30' });
    assert.is(await ended(hanging), 'SIGKILL');
    const proven = place({ probation: '', program: `echo committed >>"$HERE/probation"; exec sleep 3` });
    assert.is(await ended(proven), 0);
  });

  test('a process that took the number of one that ended is left alone', async () => {
    const device = place({ probation: '', program: 'exit 1' });
    launch(device, ['run'], { TOPE_UPDATER_PROBATION_S: '1' });
    await sleep(1500);
    assert.ok(existsSync(join(device, 'probation')));
  });

  const launch = (device: string, args: readonly string[] = ['run'], env: Record<string, string> = {}) =>
    spawnSync(shell[0] ?? '', [...shell.slice(1), join(device, 'tope-updater-launch'), ...args], {
      encoding: 'utf8',
      timeout: 20_000,
      env: { PATH: process.env.PATH, HERE: device, TOPE_UPDATER_PROBATION_S: '5', ...env },
    });

  /** How a start with a probation of one second ends. */
  const ended = (device: string) =>
    new Promise<number | string | null>((done) => {
      const child = spawn(shell[0] ?? '', [...shell.slice(1), join(device, 'tope-updater-launch'), 'run'], {
        stdio: 'ignore',
        env: { PATH: process.env.PATH, HERE: device, TOPE_UPDATER_PROBATION_S: '1' },
      });
      child.on('exit', (code, signal) => done(signal ?? code));
    });

  tests.run();
}

const scratch: string[] = [];
process.on('exit', () => {
  for (const folder of scratch) rmSync(folder, { recursive: true, force: true });
});

interface Placed {
  readonly probation?: string;
  readonly previous?: boolean;
  /** What the executable does in place of telling how it was started. */
  readonly program?: string;
}

/** A device's directory: the launcher and two executables that tell how they were started. */
function place({ probation, previous = true, program }: Placed = {}): string {
  const device = mkdtempSync(join(tmpdir(), 'launch-'));
  scratch.push(device);
  writeFileSync(join(device, 'tope-updater-launch'), readFileSync(launcher), { mode: 0o755 });
  const tells = (name: string) =>
    `#!/bin/sh\nprintf '${name} '; printf '%s|' "$@"; echo " executable=$TOPE_UPDATER_EXECUTABLE fallback=$TOPE_UPDATER_FALLBACK"; exit 7\n`;
  const own = program === undefined ? tells('current') : `#!/bin/sh\n${program}\n`;
  writeFileSync(join(device, 'tope-updater'), own, { mode: 0o755 });
  if (previous) writeFileSync(join(device, 'tope-updater.previous'), tells('previous'), { mode: 0o755 });
  if (probation !== undefined) writeFileSync(join(device, 'probation'), probation);
  return device;
}
