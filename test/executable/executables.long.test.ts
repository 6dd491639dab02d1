/** The executables that `make dist` made: does each start, update a device, and recover from a power cut? */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { projectVersion } from '../../build/bundle.ts';
import { arches } from '../../build/runtime.ts';
import { type Device, makeDevice, until } from './device.ts';
import { runnerOf } from './runner.ts';

for (const arch of arches) {
  const runner = runnerOf(arch);
  const tests = suite(`executable for ${arch}`);
  if (typeof runner === 'string') {
    console.log(`skipped: executable for ${arch}: ${runner}`);
    tests.skip('all of it', () => undefined);
    tests.run();
    continue;
  }
  const how = runner.isEmulated ? 'under qemu' : 'natively';

  const withDevice = async (use: (device: Device) => Promise<void>) => {
    const device = await makeDevice(runner);
    try {
      await use(device);
    } finally {
      await device.close();
    }
  };

  const downloaded = async (device: Device) => {
    const answer = await device.post('/api/v1.0/download', await device.offer('2.0.0'));
    assert.is(answer.code, 200, answer.msg);
    await device.reach('toInstall');
  };

  const isWhole = async (device: Device, version: string) => {
    assert.equal(device.installedVersions(), [version, version, version]);
    await until(
      `both services run ${version}`,
      () => device.runningVersions().join(),
      async () => device.runningVersions().join() === `${version},${version}`,
    );
    assert.is(device.files().length, 3, `leftovers: ${device.files().join()}`);
  };

  tests('tells its version', () => {
    const [program = '', ...args] = runner.argv;
    const started = performance.now();
    const { stdout, stderr, status } = spawnSync(program, [...args, '--version'], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    console.log(`\nmeasured: ${arch} ${how}: --version in ${(performance.now() - started).toFixed(0)} ms`);
    assert.is(status, 0, stderr);
    assert.match(stdout, projectVersion);
    assert.is(stderr, '');
  });

  // Node 20, which armv7 carries without a release's own, has no assets in its executables.
  (arch === 'armv7' ? tests.skip : tests)(
    'starts with the code that was made of it, and without where V8 does not take that',
    () => {
      const [program = '', ...args] = runner.argv;
      const probe = resolve(import.meta.dirname, '../fixtures/code-verdict.cjs');
      const said = (flag: string) => {
        const env = { PATH: process.env.PATH, NODE_OPTIONS: `--require=${probe} ${flag}` };
        return spawnSync(program, [...args, '--version'], { encoding: 'utf8', env, timeout: 60_000 });
      };
      assert.is(said('').stderr, 'the code is taken\n');
      const refused = said('--stack-trace-limit=20');
      assert.is(refused.stderr, 'the code is refused\n');
      assert.match(refused.stdout, projectVersion);
    },
  );

  tests('downloads, installs, restarts two services and ends at SIGTERM', () =>
    withDevice(async (device) => {
      const startMs = await device.startUpdater();
      const started = performance.now();
      await downloaded(device);
      assert.is((await device.post('/api/v1.0/update', { version: '2.0.0' })).code, 200);
      assert.is((await device.reach('success', 'failed')).error, null);
      const seconds = (performance.now() - started) / 1000;
      console.log(
        `\nmeasured: ${arch} ${how}: ready in ${startMs.toFixed(0)} ms, whole update ${seconds.toFixed(1)} s`,
      );
      await isWhole(device, '2.0.0');
      const stages = ['downloading', 'verifying', 'toInstall', 'installing', 'success'];
      await until(
        `reports of ${stages.join()}`,
        () => device.reported.join(),
        async () => device.reported.join() === stages.join(),
      );
      assert.is(await device.killUpdater('SIGTERM'), 0);
    }),
  );

  tests('killed in mid-install, it comes back with the whole set old or new and the services running', () =>
    withDevice(async (device) => {
      await device.startUpdater();
      await downloaded(device);
      void device.post('/api/v1.0/update', { version: '2.0.0' }).catch(() => undefined);
      await until(
        'the first service is stopped',
        () => device.runningVersions().join(),
        async () => device.runningVersions().length < 2,
      );
      assert.is(await device.killUpdater('SIGKILL'), 'SIGKILL');
      await device.startUpdater();
      const { stage } = await device.reach('success', 'failed');
      const [version = ''] = device.installedVersions();
      console.log(
        `\nmeasured: ${arch} ${how}: killed while services were stopped: ${stage}, all of ${version}`,
      );
      assert.ok(['1.0.0', '2.0.0'].includes(version));
      await isWhole(device, version);
    }),
  );

  tests.run();
}
