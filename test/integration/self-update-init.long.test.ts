/**
 * The updater replaces itself on a board without systemd: under the init script as it is shipped, by dash and by busybox. A good one,
 * one that crashes at every start, and a power cut while one is on probation.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { newUpdaters } from '../fixtures/new-updaters.ts';
import { suite } from '../runner/suites.ts';
import { until } from './daemon.ts';
import { type SelfDevice, withSelfDevice } from './self-device.ts';

interface Board {
  readonly device: SelfDevice;
  /** Everything ends at once; then the machine boots. */
  powerCut(): Promise<void>;
}

for (const shell of ['/bin/dash', '/bin/busybox sh']) {
  const test = suite(`self-update under the init script, by ${shell}`);
  const [program = '', ...applet] = shell.split(' ');
  const isThere = spawnSync(program, [...applet, '-c', 'true']).status === 0;
  if (!isThere) console.log(`skipped: the init script by ${shell}: it is not installed`);
  const each = isThere ? test : test.skip;

  each('a good one commits; power cuts condemn nobody, three crashes do', () =>
    onBoard(shell, async ({ device, powerCut }) => {
      await device.download(device.package('2.0.0', newUpdaters.works.make(device.executable)));
      await device.post('update', { version: '2.0.0' });
      await device.reach('success');
      await device.tidied('probation', 'tope-updater.previous');
      await stands(device, '2.0.0');
      for (let cut = 0; cut < 3; cut++) {
        await powerCut();
        await until('the commit of this boot', () => /committed\n$/.test(probationOf(device)));
        await stands(device, '2.0.0');
      }
      for (let crash = 0; crash < 3; crash++) {
        const lines = probationOf(device);
        process.kill(pidOf(device), 'SIGKILL');
        await until('the next start', () => probationText(device) !== lines);
        await until('an answer', async () => (await device.healthz()) !== undefined);
      }
      assert.match(String((await device.reach('failed')).error), newUpdaters.aborts.error);
      await device.tidied();
      await stands(device, '1.0.0');
    }),
  );

  each('one that crashes at every start is taken back, with a power cut after two of its starts, too', () =>
    onBoard(shell, async ({ device, powerCut }) => {
      const crashes = newUpdaters.aborts.make(device.executable);
      for (const isCut of [false, true]) {
        const version = isCut ? '2.0.1' : '2.0.0';
        await device.download(device.package(version, crashes));
        await device.post('update', { version });
        if (isCut) {
          await until('two starts', () => (probationText(device)?.split('\n').length ?? 0) > 3);
          await powerCut();
        }
        const { error } = await device.reach('failed');
        assert.match(String(error), newUpdaters.aborts.error);
        await device.tidied();
        await stands(device, '1.0.0');
        const [newest] = await device.history();
        assert.equal([newest?.version, newest?.outcome], [version, 'failed']);
      }
    }),
  );

  test.run();
}

/** A device whose init script starts the updater, both by this shell. */
async function onBoard(shell: string, use: (board: Board) => Promise<void>): Promise<void> {
  await withSelfDevice(async (device) => {
    const at = (name: string) => join(device.folder, name);
    const place = (name: string, path: string) => {
      const text = readFileSync(join('deploy', name), 'utf8')
        .replace('#!/bin/sh', `#!${shell}`)
        .replaceAll('/opt/tope/updater', device.prefix)
        .replaceAll('/etc/default/tope-updater', at('defaults'));
      writeFileSync(path, text, { mode: 0o755 });
    };
    place('tope-updater.init', at('tope-updater-init'));
    place('launch.sh', join(device.prefix, 'tope-updater-launch'));
    writeFileSync(at('defaults'), `TOPE_UPDATER_OPTIONS="${device.options.join(' ')}"\n`);
    mkdirSync(at('run'));
    let boot = 1;
    const init = (action: string) => {
      writeFileSync(at('boot-id'), `boot-${boot}\n`);
      const { status, stderr } = spawnSync(at('tope-updater-init'), [action], {
        encoding: 'utf8',
        timeout: 60_000,
        env: {
          PATH: process.env.PATH,
          TOPE_UPDATER_RUN: at('run'),
          TOPE_UPDATER_BOOT_ID: at('boot-id'),
          TOPE_UPDATER_PROBATION_S: '20',
        },
      });
      assert.is(status, 0, stderr);
    };
    const board: Board = {
      device,
      powerCut: async () => {
        for (const file of ['tope-updater.loop.pid', 'tope-updater.pid']) end(at(`run/${file}`));
        await sleep(100);
        boot += 1;
        init('recover');
        init('start');
        await until('an answer after the boot', async () => (await device.healthz()) !== undefined);
      },
    };
    init('start');
    try {
      await device.reach('idle');
      await use(board);
    } finally {
      init('stop');
    }
  });
}

function end(pidFile: string): void {
  try {
    process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
  } catch {
    // Between two starts there is nobody.
  }
}

function pidOf(device: SelfDevice): number {
  return Number(readFileSync(join(device.folder, 'run/tope-updater.pid'), 'utf8'));
}

function probationText(device: SelfDevice): string | undefined {
  try {
    return readFileSync(join(device.prefix, 'probation'), 'latin1');
  } catch {
    return undefined;
  }
}

function probationOf(device: SelfDevice): string {
  return probationText(device) ?? '';
}

async function stands(device: SelfDevice, version: string): Promise<void> {
  const { updater, data } = device.standing();
  assert.equal([updater, data, (await device.healthz())?.version], [version, `model of ${version}`, version]);
}
