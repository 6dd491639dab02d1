/** The progress display: whatever it does, launching it never fails. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { launchGui } from '../../src/services/gui.ts';
import { type Device, eventually, withDevice } from './device.ts';

const test = suite('services/gui');

const says = (device: Device, text: RegExp) =>
  eventually(`the log says ${text}`, async () => text.test(device.logged.join('\n')));

test('it is started once, however often it is launched', () =>
  withDevice(async (device) => {
    const gui = device.install('child-service.sh');
    await launchGui(device.host, gui);
    await eventually('it runs', async () => (await device.running(gui)).length === 1);
    await launchGui(device.host, gui);
    assert.is((await device.running(gui)).length, 1);
    assert.match(device.logged.join(), /already runs/);
  }));

test('missing: logged', () =>
  withDevice(async (device) => {
    await launchGui(device.host, '/nonexistent/ota-gui');
    assert.equal(device.logged, ['info no progress display: /nonexistent/ota-gui is not there']);
  }));

test('not executable, or a directory: logged', () =>
  withDevice(async (device) => {
    const text = join(device.directory, 'gui-text');
    writeFileSync(text, 'x', { mode: 0o644 });
    const folder = join(device.directory, 'gui-folder');
    mkdirSync(folder);
    for (const path of [text, folder]) await launchGui(device.host, path);
    assert.is(device.logged.filter((line) => line.startsWith('warn')).length, 2);
  }));

test('crashing: logged', () =>
  withDevice(async (device) => {
    const gui = device.install('child-fails.sh');
    await launchGui(device.host, gui);
    await says(device, /warn progress display .* ended with 3/);
  }));

test('ending well: logged', () =>
  withDevice(async (device) => {
    await launchGui(device.host, device.install('/bin/true'));
    await says(device, /info progress display ended/);
  }));

test('a machine that fails at everything: logged', () =>
  withDevice(async (device) => {
    const realPath = () => Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }));
    await launchGui({ ...device.host, files: { ...device.host.files, realPath } }, '/opt/tope/ota-gui');
    assert.match(device.logged.join(), /warn .*EIO/);
  }));

test.run();
