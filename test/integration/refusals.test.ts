/** Every refusal of the API, asked for while the daemon really is in that stage; and that it changes nothing. */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { concurrently } from '../runner/concurrently.ts';
import { type Daemon, type Reply, until } from './daemon.ts';
import { type Device, type Request, withDevice } from './harness.ts';

const tests = concurrently('refusals');

/** The data file alone, with a filler that makes the download last where the store is slow. */
function dataOnly(device: Device, version: string, more: Partial<PackageSpec> = {}): PackageSpec {
  return {
    version,
    modules: [{ name: 'data', src: 'model.bin', dst: device.dataFile }],
    files: { 'model.bin': `model of ${version}`, filler: { content: { random: 300_000 }, compress: false } },
    ...more,
  };
}

/** Each refused command, in its words; a refusal is said with the code of its kind. */
async function areRefused(daemon: Daemon, expected: readonly (readonly [Promise<Reply>, number, RegExp])[]) {
  const before = await daemon.progress();
  for (const [asked, code, words] of expected) {
    const reply = await asked;
    assert.is(reply.code, code, reply.msg);
    assert.match(reply.msg, words);
  }
  const { stage, error } = await daemon.progress();
  assert.equal([stage, error], [before.stage, before.error], 'a refusal changes nothing');
}

const another = (request: Request): Request => ({
  ...request,
  version: '9.9.9',
  package_name: 'another.zip',
});

tests('idle: nothing to update, nothing to roll back, cancelling is no error', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await areRefused(daemon, [
      [daemon.post('update', { version: '2.0.0' }), 409, /^DOWNLOAD_INCOMPLETE: .*2\.0\.0/],
      [daemon.post('rollback'), 404, /^NO_BACKUP: /],
      [daemon.post('rollback', { version: '2.0.0' }), 404, /^NO_BACKUP: /],
    ]);
    assert.equal((await daemon.post('cancel')).data, { status: 'idle' });
  }),
);

tests('a download is refused with the name of the field that is wrong', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const good = await device.offer(dataOnly(device, '2.0.0'));
    const wrong: readonly (readonly [string, unknown])[] = [
      ['version', '2.0'],
      ['version', undefined],
      ['package_url', 'not a url'],
      ['package_url', 'file:///etc/passwd'],
      ['package_url', 'http://updates.example.com/package.zip'],
      ['package_url', 'ftp://127.0.0.1/package.zip'],
      ['package_name', '../package.zip'],
      ['package_name', 'state.json'],
      ['package_size', 0],
      ['package_size', '100'],
      ['package_md5', 'abc'],
      ['package_sha256', 'abc'],
    ];
    await areRefused(
      daemon,
      wrong.map(([field, value]) => [
        daemon.post('download', { ...good, [field]: value }),
        400,
        new RegExp(`^VALIDATION_ERROR: .*${field}`),
      ]),
    );
    await areRefused(daemon, [
      [daemon.post('update', { version: 'latest' }), 400, /^VALIDATION_ERROR: version/],
      [daemon.post('rollback', { version: 'v2' }), 400, /^VALIDATION_ERROR: version/],
    ]);
    assert.equal(device.namesBelow(join(device.work, 'tmp')), []);
  }),
);

tests(
  'downloading: another package, an update and a rollback are refused; a cancel keeps the partial file',
  () =>
    withDevice(async (device) => {
      const daemon = await device.start();
      const request = await device.offer(dataOnly(device, '2.0.0'));
      device.store.throttle(200_000);
      await daemon.post('download', request);
      await until('some of it is there', async () => (await daemon.progress()).progress >= 10);
      await areRefused(daemon, [
        [daemon.post('download', another(request)), 409, /^OPERATION_IN_PROGRESS: .*package-2\.0\.0\.zip/],
        [daemon.post('update', { version: '2.0.0' }), 409, /^DOWNLOAD_INCOMPLETE: /],
        [daemon.post('rollback'), 409, /^OPERATION_IN_PROGRESS: /],
      ]);
      assert.equal((await daemon.post('cancel')).data, { status: 'idle' });
      assert.ok(existsSync(join(device.work, 'tmp', `${request.package_name}.part`)));

      device.store.throttle(undefined);
      await daemon.post('download', request);
      await daemon.reach('toInstall');
      assert.match(device.store.ranges.at(-1) ?? '', /^bytes=[1-9]\d*-$/, 'it goes on where it was');
    }),
);

const withoutStrace = existsSync('/usr/bin/strace')
  ? undefined
  : 'strace is not there (Debian package strace)';
tests.needing(
  withoutStrace,
  'verifying: an update is MD5_NOT_VERIFIED, another package and a rollback are refused',
  () =>
    withDevice(async (device) => {
      const daemon = await device.start([], { UV_USE_IO_URING: '0' });
      const request = await device.offer(dataOnly(device, '2.0.0'));
      // Verifying ends by the rename to the final name, within a directory that the daemon holds open: that call is
      // made to take its time, whichever number the directory has.
      const numbers = Array.from({ length: 100 }, (_, number) => number);
      const parts = numbers.map((number) => `/proc/self/fd/${number}/${request.package_name}.part`);
      const delay = 'rename,renameat,renameat2';
      const traced = ['-f', '-p', String(daemon.pid), ...parts.flatMap((part) => ['-P', part])];
      const slowed = ['-e', `trace=${delay}`, '-e', `inject=${delay}:delay_enter=2000000`];
      const strace = spawn('strace', [...traced, ...slowed], { stdio: ['ignore', 'ignore', 'pipe'] });
      const ended = new Promise((resolve) => strace.once('close', resolve));
      let printed = '';
      strace.stderr.on('data', (chunk: Buffer) => {
        printed += chunk.toString();
      });
      try {
        await until('strace is attached', () => /attached/.test(printed));
        await daemon.post('download', request);
        await daemon.reach('verifying');
        await areRefused(daemon, [
          [daemon.post('update', { version: '2.0.0' }), 409, /^MD5_NOT_VERIFIED: /],
          [daemon.post('download', another(request)), 409, /^OPERATION_IN_PROGRESS: /],
          [daemon.post('rollback'), 409, /^OPERATION_IN_PROGRESS: /],
        ]);
        assert.equal((await daemon.post('download', request)).data, { status: 'verifying' });
        await daemon.reach('toInstall');
      } finally {
        strace.kill('SIGTERM');
        await ended;
      }
    }),
);

tests(
  'toInstall: another version is VERSION_MISMATCH with both, a rollback is refused, a cancel discards',
  () =>
    withDevice(async (device) => {
      const daemon = await device.start();
      await daemon.post('download', await device.offer(dataOnly(device, '2.0.0')));
      await daemon.reach('toInstall');
      await areRefused(daemon, [
        [daemon.post('update', { version: '2.0.1' }), 409, /^VERSION_MISMATCH: .*2\.0\.1.*2\.0\.0/],
        [daemon.post('rollback'), 409, /^OPERATION_IN_PROGRESS: /],
      ]);
      assert.equal((await daemon.post('cancel')).data, { status: 'idle' });
      assert.equal(
        device.namesBelow(join(device.work, 'tmp')).filter((name) => name !== 'outbox.json'),
        [],
      );
    }),
);

/** An install that waits in its health check, when all is switched. */
function slowlyHealthy(device: Device): PackageSpec {
  const usual = device.usual('2.0.0');
  const health = { exec: ['/bin/sleep', '3'], timeout_s: 20 };
  return { ...usual, modules: usual.modules.map((module) => ({ ...module, health })) };
}

tests('installing: everything is refused, and a cancel too once files are switched', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const request = await device.offer(slowlyHealthy(device));
    await daemon.post('download', request);
    await daemon.reach('toInstall');
    await daemon.post('update', { version: '2.0.0' });
    await until('files are switched', () => readFileSync(device.dataFile, 'utf8') === 'model of 2.0.0');
    await areRefused(daemon, [
      [daemon.post('download', request), 409, /^OPERATION_IN_PROGRESS: /],
      [daemon.post('download', another(request)), 409, /^OPERATION_IN_PROGRESS: .*installing/],
      [daemon.post('update', { version: '2.0.0' }), 409, /^OPERATION_IN_PROGRESS: /],
      [daemon.post('rollback'), 409, /^OPERATION_IN_PROGRESS: /],
      [daemon.post('cancel'), 409, /^OPERATION_IN_PROGRESS: .*replaced/],
    ]);
    assert.is((await daemon.reach('success', 'failed')).stage, 'success');
  }),
);

tests.long('installing: a cancel before files are switched leaves everything as it was', () =>
  withDevice(async (device) => {
    // A service that takes its time to end: the install waits for it.
    writeFileSync(device.program('beta'), device.programText('beta', '1.0.0', { endsAfterS: 2 }));
    await device.restart('beta');
    const before = device.files();
    const daemon = await device.start();
    await daemon.post('download', await device.offer(device.usual('2.0.0')));
    await daemon.reach('toInstall');
    await daemon.post('update', { version: '2.0.0' });
    await until('it stops services', async () => (await daemon.progress()).message === 'stopping services');
    assert.equal((await daemon.post('cancel')).data, { status: 'idle' });
    assert.equal(device.files(), before);
    await until('the old services run', () => device.running().join() === 'alpha 1.0.0,beta 1.0.0');
    await areRefused(daemon, [[daemon.post('update', { version: '2.0.0' }), 409, /^DOWNLOAD_INCOMPLETE: /]]);
  }),
);

tests.long('rebooting: everything is refused', () =>
  withDevice(async (device) => {
    // The only systemctl that this daemon can find writes down what it is asked for.
    const bin = join(device.folder, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'systemctl'), `#!/bin/sh\necho "$@" > '${bin}/asked'\n`);
    chmodSync(join(bin, 'systemctl'), 0o755);
    const daemon = await device.start([], { PATH: bin });
    const request = await device.offer(dataOnly(device, '2.0.0', { manifest: { reboot: true } }));
    await daemon.post('download', request);
    await daemon.reach('toInstall');
    await daemon.post('update', { version: '2.0.0' });
    await daemon.reach('rebooting');
    await areRefused(daemon, [
      [daemon.post('download', another(request)), 409, /^OPERATION_IN_PROGRESS: .*rebooting/],
      [daemon.post('update', { version: '2.0.0' }), 409, /^OPERATION_IN_PROGRESS: /],
      [daemon.post('rollback'), 409, /^OPERATION_IN_PROGRESS: /],
      [daemon.post('cancel'), 409, /^OPERATION_IN_PROGRESS: /],
    ]);
    await until('the restart is asked for', () => existsSync(join(bin, 'asked')));
    assert.is(readFileSync(join(bin, 'asked'), 'utf8'), 'reboot\n');
    assert.is(await daemon.end('SIGTERM'), 0);
  }),
);

tests.long('success: the installed package cannot be installed once more without a download', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    assert.is((await device.install(daemon, dataOnly(device, '2.0.0'))).stage, 'success');
    await areRefused(daemon, [
      [daemon.post('update', { version: '2.0.0' }), 409, /^DOWNLOAD_INCOMPLETE: /],
      [daemon.post('rollback', { version: '1.0.0' }), 404, /^NO_BACKUP: .*1\.0\.0.*2\.0\.0/],
    ]);
  }),
);

tests('failed: /progress has code 500 with stage and progress at its root; a new download is taken', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const request = await device.offer(dataOnly(device, '2.0.0'));
    await daemon.post('download', { ...request, package_md5: '0'.repeat(32) });
    await daemon.reach('failed');
    const { code, msg, data, ...root } = await daemon.get<{ stage: string; error: string }>('progress');
    assert.is(code, 500);
    assert.match(msg, /^MD5_MISMATCH: /);
    assert.equal([data.stage, data.error], ['failed', msg]);
    assert.equal(Object.keys(root).sort(), ['progress', 'stage']);
    await areRefused(daemon, [
      [daemon.post('update', { version: '2.0.0' }), 409, /^DOWNLOAD_INCOMPLETE: /],
      [daemon.post('rollback'), 404, /^NO_BACKUP: /],
    ]);
    await daemon.post('download', request);
    await daemon.reach('toInstall');
  }),
);

tests.long('24 hours after its verification a package is PACKAGE_EXPIRED and removed', () =>
  withDevice(async (device) => {
    const first = await device.start();
    await first.post('download', await device.offer(dataOnly(device, '2.0.0')));
    await first.reach('toInstall');
    await first.end('SIGTERM');
    const statePath = join(device.work, 'tmp/state.json');
    const state = JSON.parse(readFileSync(statePath, 'utf8'));
    const almostOneDayMs = 24 * 3600 * 1000 - 2_000;
    const verified = new Date(Date.now() - almostOneDayMs).toISOString();
    writeFileSync(statePath, JSON.stringify({ ...state, verified_at: verified }));

    const daemon = await device.start();
    await daemon.reach('toInstall');
    const { error } = await daemon.reach('failed');
    assert.match(error ?? '', /^PACKAGE_EXPIRED: .*24 hours/);
    await areRefused(daemon, [[daemon.post('update', { version: '2.0.0' }), 410, /^PACKAGE_EXPIRED: /]]);
    const names = device.namesBelow(join(device.work, 'tmp')).filter((name) => name !== 'outbox.json');
    assert.equal(names, []);
    await until('it is reported', () => device.deviceApi.stages().at(-1) === 'failed');
    assert.match(device.deviceApi.reports.at(-1)?.error ?? '', /^PACKAGE_EXPIRED: /);
  }),
);

tests.run();
