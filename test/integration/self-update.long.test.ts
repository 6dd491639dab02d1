/**
 * What becomes of a device whose new updater is bad in one of many ways, or is asked back: one whole version runs in the end, and
 * one true end is told. Killed at any instant: self-update-kills.long.test.ts.
 */
import { linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { arch, type NewUpdater, newUpdaterKinds, newUpdaters } from '../fixtures/new-updaters.ts';
import { until } from './daemon.ts';
import { type SelfDevice, withSelfDevice } from './self-device.ts';

const test = suite('self-update, whatever happens');

const gaveUp = newUpdaters.aborts.error;

for (const kind of newUpdaterKinds) {
  const { what, make, ends, starts, error, stays, probationS }: NewUpdater = newUpdaters[kind];
  test(`one that ${what}: the ${ends} set stands and runs`, () =>
    withSelfDevice(async (device) => {
      device.supervise(probationS);
      await device.reach('idle');
      await device.download(device.package('2.0.0', make(device.executable)));
      await device.post('update', { version: '2.0.0' });
      const end = await rest(device, ends, stays ? [] : undefined);
      assert.is(device.starts(), starts);
      if (error !== undefined) assert.match(String(end.error), error);
      const [newest] = await device.history();
      assert.is(newest?.error ?? null, end.error);
      const told = ends === 'new' ? 'success' : 'failed';
      await until('the report', () => device.deviceApi.reports.at(-1)?.stage === told);
    }));
}

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
    await until('the report', () => device.deviceApi.reports.at(-1)?.stage === 'failed');
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
async function rest(
  device: SelfDevice,
  ends: 'old' | 'new',
  left = ends === 'new' ? ['probation', 'tope-updater.previous'] : [],
) {
  const version = ends === 'new' ? '2.0.0' : '1.0.0';
  const end = await device.reach(...(ends === 'new' ? ['success'] : ['failed']));
  await device.tidied(...left);
  const { updater, data } = device.standing();
  assert.equal([updater, data, (await device.healthz())?.version], [version, `model of ${version}`, version]);
  return end;
}

/** Ends the updater as a crash would, once it has been up, and waits for another start. */
async function kill(device: SelfDevice): Promise<void> {
  const starts = device.starts();
  await until('an updater that answers', async () => (await device.healthz()) !== undefined);
  const pid = device.pid();
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
  await until('another start', () => device.starts() > starts);
}
