/** The updater replaces itself: real processes, the real launcher, executables that are scripts around the bundle. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withSelfDevice } from './self-device.ts';

const test = suite('self-update');

test('the new updater commits the update that brought it', () =>
  withSelfDevice(async (device) => {
    device.supervise();
    await device.reach('idle');
    assert.is(
      (await device.download(device.package('2.0.0', device.executable('2.0.0')))).stage,
      'toInstall',
    );
    const before = device.pid();
    await device.post('update', { version: '2.0.0' });
    await device.reach('success');
    assert.not.equal(device.pid(), before);
    assert.is((await device.healthz())?.version, '2.0.0');
    const [entry] = await device.history();
    assert.equal([entry?.version, entry?.outcome, entry?.updater], ['2.0.0', 'success', '2.0.0']);
    const left = ['probation', 'tope-updater.previous'];
    await device.tidied(...left);
    assert.equal(device.standing(), { updater: '2.0.0', data: 'model of 2.0.0', left });
    assert.is(device.starts(), 2);
  }));

test('one that crashes at every start gives way to the one before, which takes everything back and says so', () =>
  withSelfDevice(async (device) => {
    device.supervise();
    await device.reach('idle');
    const crashes = device.executable('2.0.0', '[ "$1" = --version ] || exit 3');
    await device.download(device.package('2.0.0', crashes));
    await device.post('update', { version: '2.0.0' });
    const { error } = await device.reach('failed');
    assert.match(String(error), /^HEALTH_CHECK_FAILED: the new updater ended or hung/);
    await device.tidied();
    assert.equal(device.standing(), { updater: '1.0.0', data: 'model of 1.0.0', left: [] });
    assert.is(device.starts(), 5);
    const [entry] = await device.history();
    assert.equal([entry?.outcome, entry?.updater], ['failed', '1.0.0']);
    assert.is(device.deviceApi.reports.at(-1)?.stage, 'failed');
  }));

test.run();
