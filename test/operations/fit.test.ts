import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkEnables, checkFit, checkNoDowngrade } from '../../src/operations/fit.ts';
import type { Release, ReleaseModule } from '../../src/release.ts';

const release: Release = {
  version: '2.0.0',
  modules: [],
  compatible: undefined,
  minVersion: undefined,
  reboot: false,
};

test('a package for other device types is INCOMPATIBLE and names both', () => {
  const forPrinters = { ...release, compatible: ['printer-a', 'printer-b'] };
  checkFit(forPrinters, 'printer-b', undefined);
  assert.throws(
    () => checkFit(forPrinters, 'gateway', undefined),
    /INCOMPATIBLE: .*"printer-a", "printer-b".*"gateway"/,
  );
  assert.throws(() => checkFit(forPrinters, undefined, undefined), /no device_type configured/);
});

test('a package that needs a newer installed version is INCOMPATIBLE', () => {
  const needy = { ...release, minVersion: '1.5.0' };
  checkFit(needy, undefined, '1.5.0');
  checkFit(needy, undefined, undefined);
  assert.throws(() => checkFit(needy, undefined, '1.4.9'), /INCOMPATIBLE: .*1\.5\.0.*1\.4\.9/);
});

test('a unit to be enabled where systemd does not run is INCOMPATIBLE, one to be restarted is not', () => {
  const service = { module: 'camera', unit: 'camera.service', enable: true } as const;
  const camera = (enable: boolean): Release => {
    const none = { processName: undefined, restartOrder: undefined, start: undefined, health: undefined };
    const module: ReleaseModule = {
      ...{ name: 'camera', target: '/opt/tope/camera', isTree: false, files: [], directories: [], keep: [] },
      ...{ owner: undefined, exact: false, config: [], commands: undefined },
      service: { ...none, ...service, enable },
    };
    return { ...release, modules: [module] };
  };
  checkEnables(camera(true), true);
  checkEnables(camera(false), false);
  assert.throws(() => checkEnables(camera(true), false), /INCOMPATIBLE: .*"camera" enables camera\.service/);
});

test('a lower version than the installed one is DOWNGRADE_REFUSED, the same one is not', () => {
  checkNoDowngrade('2.0.0', '2.0.0');
  checkNoDowngrade('2.0.0', undefined);
  checkNoDowngrade('2.0.0', '2.0.0-rc.1');
  checkNoDowngrade('2.0.0+b', '2.0.0+a');
  assert.throws(() => checkNoDowngrade('2.0.0-rc.1', '2.0.0'), /DOWNGRADE_REFUSED/);
  assert.throws(() => checkNoDowngrade('1.9.0', '1.10.0'), /DOWNGRADE_REFUSED: 1\.9\.0 .*1\.10\.0/);
});

test.run();
