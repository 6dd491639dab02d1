/**
 * What becomes of a device whose new updater is bad in one of many ways, is asked back, or is killed at any instant: one whole
 * version runs in the end, and one true end is told.
 */
import { existsSync, linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from './daemon.ts';
import { arch, type SelfDevice, withSelfDevice } from './self-device.ts';

const test = suite('self-update, whatever happens');

interface Fault {
  readonly what: string;
  readonly make: (device: SelfDevice) => string | Uint8Array;
  readonly ends: 'old' | 'new';
  /** Starts of the updater until it rests: the first one, those of the new one, and the fallback. */
  readonly starts: number;
  readonly error?: RegExp;
}

const exits = (code: string) => (bundle: string) => bundle.replace(/append\(\{state:"committed"\}\)/, code);
const gaveUp = /^HEALTH_CHECK_FAILED: the new updater ended or hung too often/;
const doesNotRun = /^DEPLOYMENT_FAILED: the new updater does not run here/;

const faults: readonly Fault[] = [
  {
    what: 'is garbage',
    make: () => Buffer.from([...Array(4096).keys()].map((at) => (at * 167 + 13) & 0xff)),
    ends: 'old',
    starts: 1,
    error: doesNotRun,
  },
  {
    what: 'is for another architecture',
    make: () => foreignElf(),
    ends: 'old',
    starts: 1,
    error: doesNotRun,
  },
  {
    what: 'is another program',
    make: () => '#!/bin/sh\necho something else\n',
    ends: 'old',
    starts: 1,
    error: doesNotRun,
  },
  {
    what: 'aborts at every start',
    make: (device) => device.executable('2.0.0', '[ "$1" = --version ] || kill -ABRT $$'),
    ends: 'old',
    starts: 5,
    error: gaveUp,
  },
  {
    what: 'hangs at every start',
    make: (device) => device.executable('2.0.0', '[ "$1" = --version ] || exec sleep 100'),
    ends: 'old',
    starts: 5,
    error: gaveUp,
  },
  {
    what: 'refuses the settings of the device',
    make: (device) => device.executable('2.0.0', '[ "$1" = --version ] || set -- "$@" --no-such-setting'),
    ends: 'old',
    starts: 5,
    error: gaveUp,
  },
  {
    what: 'dies when it is about to commit',
    make: (device) =>
      device.executable(
        '2.0.0',
        '',
        exits('append((process.kill(process.pid,"SIGKILL"),{state:"committed"}))'),
      ),
    ends: 'old',
    starts: 5,
    error: gaveUp,
  },
  {
    what: 'dies when the commit is on the disk',
    make: (device) =>
      device.executable(
        '2.0.0',
        '',
        exits('append({state:"committed"}).then(()=>process.kill(process.pid,"SIGKILL"))'),
      ),
    ends: 'new',
    starts: 3,
  },
  {
    what: 'crashes again and again after its commit',
    make: (device) =>
      device.executable('2.0.0', '', (bundle) => `${crashAfterCommit};\n${bundle.replace(/^#!.*\n/, '')}`),
    ends: 'old',
    starts: 5,
    error: gaveUp,
  },
];

const crashAfterCommit = `process.argv.includes('run') && setInterval(() => {
  try {
    const lines = require('fs').readFileSync(process.env.HERE + '/probation', 'latin1');
    if (lines.includes('committed')) process.exit(9);
  } catch {}
}, 20)`;

for (const { what, make, ends, starts, error } of faults)
  test(`one that ${what}: the ${ends} set stands and runs`, () =>
    withSelfDevice(async (device) => {
      device.supervise();
      await device.reach('idle');
      await device.download(device.package('2.0.0', make(device)));
      await device.post('update', { version: '2.0.0' });
      const end = await rest(device, ends);
      assert.is(device.starts(), starts);
      if (error !== undefined) assert.match(String(end.error), error);
      assert.is(device.deviceApi.reports.at(-1)?.stage, ends === 'new' ? 'success' : 'failed');
    }));

test('a rollback brings the old updater back by the same hand-over', () =>
  withSelfDevice(async (device) => {
    await updated(device);
    await device.post('rollback');
    await until('the old updater', async () => (await device.healthz())?.version === '1.0.0');
    await device.reach('success');
    await device.tidied('probation', 'tope-updater.previous');
    const { updater, data } = device.standing();
    assert.equal([updater, data], ['1.0.0', 'model of 1.0.0']);
    const [entry] = await device.history();
    assert.equal([entry?.kind, entry?.outcome, entry?.updater], ['rollback', 'success', '1.0.0']);
  }));

test('while one is on probation another one waits, and anything else is installed', () =>
  withSelfDevice(async (device) => {
    await updated(device);
    const refused = await device.download(device.package('3.0.0', device.executable('3.0.0')));
    assert.match(String(refused.error), /^DEPLOYMENT_FAILED: the updater is new itself and on probation/);
    const [, data] = device.package('2.1.0', '').modules;
    await device.download(device.package('2.1.0', '', { modules: [data ?? {}] }));
    await device.post('update', { version: '2.1.0' });
    await until('the data', () => device.standing().data === 'model of 2.1.0');
    await device.reach('success');
    // What the new updater has installed meanwhile goes back with it.
    for (let crash = 0; crash < 3; crash++) await kill(device);
    const { error } = await device.reach('failed');
    assert.match(String(error), gaveUp);
    await device.tidied();
    assert.equal(device.standing(), { updater: '1.0.0', data: 'model of 1.0.0', left: [] });
  }));

test('where the backups are gone the updater alone comes back', () =>
  withSelfDevice(async (device) => {
    await updated(device);
    const backups = join(device.prefix, 'backups');
    for (const name of readdirSync(backups).filter((each) => /^data\..*\.bak$/.test(each)))
      rmSync(join(backups, name), { recursive: true });
    for (let crash = 0; crash < 3; crash++) await kill(device);
    assert.match(String((await device.reach('failed')).error), gaveUp);
    await device.tidied();
    assert.equal(device.standing(), { updater: '1.0.0', data: 'model of 2.0.0', left: [] });
    assert.is((await device.healthz())?.version, '1.0.0');
  }));

test('an unsigned package, one for another architecture, and a start without the launcher are refused', () =>
  withSelfDevice(async (device) => {
    device.supervise();
    await device.reach('idle');
    const good = device.package('2.0.0', device.executable('2.0.0'));
    const { sign: _sign, ...unsigned } = good;
    assert.match(String((await device.download(unsigned)).error), /^SIGNATURE_INVALID/);
    const foreign = {
      ...good,
      version: '2.0.1',
      files: { 'updater/tope-updater-riscv64': '', 'model.bin': '' },
    };
    assert.match(String((await device.download(foreign)).error), new RegExp(`^INCOMPATIBLE: .*-${arch}`));
    await device.halt();
    // As a unit of an earlier release does it.
    rmSync(join(device.prefix, 'tope-updater-launch'));
    linkSync(join(device.prefix, 'tope-updater'), join(device.prefix, 'tope-updater-launch'));
    device.supervise();
    await device.reach('idle', 'failed');
    const { error } = await device.download({ ...good, version: '2.0.2' });
    assert.match(String(error), /^INCOMPATIBLE: .*was not started by tope-updater-launch/);
  }));

test('what an installer has put there and crashes is put back, and that is told', () =>
  withSelfDevice(async (device) => {
    device.supervise();
    await device.reach('idle');
    const program = join(device.prefix, 'tope-updater');
    linkSync(program, `${program}.previous`);
    writeFileSync(join(device.prefix, 'probation'), '');
    writeFileSync(`${program}.new`, device.executable('2.0.0', '[ "$1" = --version ] || exit 4'), {
      mode: 0o755,
    });
    renameSync(`${program}.new`, program);
    await kill(device);
    const { error } = await device.reach('failed');
    assert.match(String(error), gaveUp);
    await device.tidied();
    assert.is(device.standing().updater, '1.0.0');
    assert.is(device.deviceApi.reports.at(-1)?.stage, 'failed');
  }));

test('one that an installer has put there and works is committed, and stays where it is stopped and started', () =>
  withSelfDevice(async (device) => {
    const program = join(device.prefix, 'tope-updater');
    linkSync(program, `${program}.previous`);
    writeFileSync(join(device.prefix, 'probation'), '');
    writeFileSync(`${program}.new`, device.executable('2.0.0'), { mode: 0o755 });
    renameSync(`${program}.new`, program);
    const lines = () => readFileSync(join(device.prefix, 'probation'), 'latin1').split('\n');
    for (let start = 1; start <= 5; start++) {
      device.supervise();
      await until('the commit', () => lines().filter((line) => line === 'committed').length === start);
      await device.halt();
      assert.is(lines().filter((line) => line === 'ended').length, start);
    }
    device.supervise();
    await device.reach('idle');
    assert.is((await device.healthz())?.version, '2.0.0');
  }));

/** So many instants each; TOPE_SELF_KILLS asks for more. */
const kills = Number(process.env.TOPE_SELF_KILLS ?? 12);

for (const [what, before, ends] of [
  ['a good update', '', ['old', 'new']],
  ['one that crashes at every start', '[ "$1" = --version ] || exit 3', ['old']],
] as const)
  test(`${kills} kills of whatever updater runs, from the request on, of ${what}`, () =>
    withSelfDevice(async (device) => {
      device.supervise();
      await device.reach('idle');
      await device.download(device.package('2.0.0', device.executable('2.0.0', before)));
      await device.halt();
      device.save();
      const seen: string[] = [];
      for (let at = 0; at < kills; at++) {
        device.restore();
        device.supervise();
        await device.reach('toInstall');
        await device.post('update', { version: '2.0.0' });
        await sleep((1500 * at) / kills);
        const hit = device.pid();
        if (hit !== undefined) process.kill(hit, 'SIGKILL');
        seen.push(await whole(device));
        await device.halt();
      }
      console.log(
        `\nmeasured: ${what}: ${count(seen, 'old')} old, ${count(seen, 'new')} new of ${kills} kills`,
      );
      for (const end of seen) assert.ok((ends as readonly string[]).includes(end), end);
      assert.ok(count(seen, ends[ends.length - 1] ?? '') > 0);
    }));

test.run();

/** Starts the updater and has it replaced by a good one, which has committed. */
async function updated(device: SelfDevice): Promise<void> {
  device.supervise();
  await device.reach('idle');
  await device.download(device.package('2.0.0', device.executable('2.0.0')));
  await device.post('update', { version: '2.0.0' });
  await rest(device, 'new');
}

/** Waits for the end, and that nothing but the probation of a new one is left. */
async function rest(device: SelfDevice, ends: 'old' | 'new') {
  const version = ends === 'new' ? '2.0.0' : '1.0.0';
  const end = await device.reach(...(ends === 'new' ? ['success'] : ['failed']));
  await device.tidied(...(ends === 'new' ? ['probation', 'tope-updater.previous'] : []));
  const { updater, data } = device.standing();
  assert.equal([updater, data, (await device.healthz())?.version], [version, `model of ${version}`, version]);
  return end;
}

/** Waits until nothing goes on any more after a kill, and says which version stands whole and was told. */
async function whole(device: SelfDevice): Promise<'old' | 'new'> {
  await until('rest', async () => {
    const stage = (await device.progress())?.stage ?? '';
    if (!['idle', 'success', 'failed'].includes(stage)) return false;
    return !device.standing().left.includes('backups/journal') && (await device.healthz()) !== undefined;
  });
  const { updater, data } = device.standing();
  const running = (await device.healthz())?.version;
  const entries = (await device.history()).map(({ outcome }) => outcome);
  const isNew = updater === '2.0.0';
  const version = isNew ? '2.0.0' : '1.0.0';
  assert.equal([updater, data, running], [version, `model of ${version}`, version]);
  assert.equal(entries, [isNew ? 'success' : 'failed']);
  // The end is told before the last of it is tidied away.
  if (!isNew) await device.tidied();
  assert.not.ok(existsSync(join(device.prefix, 'tmp/state.json')) && isNew, 'state.json is left');
  return isNew ? 'new' : 'old';
}

/** Ends the updater as a crash would, once it has been up, and waits for another start. */
async function kill(device: SelfDevice): Promise<void> {
  const starts = device.starts();
  await until('an updater that answers', async () => (await device.healthz()) !== undefined);
  const pid = device.pid();
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
  await until('another start', () => device.starts() > starts);
}

function count(list: readonly string[], what: string): number {
  return list.filter((each) => each === what).length;
}

/** The head of an ELF executable for RISC-V, without anything to run. */
function foreignElf(): Buffer {
  const head = Buffer.alloc(64);
  head.write('\x7fELF\x02\x01\x01', 'latin1');
  head.writeUInt16LE(2, 16);
  head.writeUInt16LE(243, 18);
  head.writeUInt32LE(1, 20);
  return head;
}
