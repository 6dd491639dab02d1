/** What becomes of deployed files later: an audit finds it, a repair puts it right. The built daemon and its commands. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import zlib from 'node:zlib';
import * as assert from 'uvu/assert';
import type { AuditReport } from '../../src/audit/audit-report.ts';
import { fastestCrc32 } from '../../src/zip/crc32.ts';
import { command } from '../cli/command.ts';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { concurrently } from '../runner/concurrently.ts';
import { type Daemon, until } from './daemon.ts';
import { type Device, withDevice } from './harness.ts';
import { dataOnly, installed, rolledBack } from './updates.ts';

const tests = concurrently('audits');

/** The usual package and a folder of three files, one of them in a folder of its own. */
function withTree(device: Device, version: string) {
  const usual = device.usual(version, {
    'web/index.html': `index of ${version}`,
    'web/js/app.js': 'the same in every version',
    'web/js/big.bin': { content: { random: 3_000_000 } },
  });
  const web = { name: 'web', src: 'web', dst: join(device.root, 'web') };
  return { ...usual, modules: [...usual.modules, web] };
}

async function audit(
  daemon: Daemon,
  ...flags: string[]
): Promise<{ status: number | string; report: AuditReport; stderr: string }> {
  const { status, stdout, stderr } = await command(['audit', '--json', ...flags, '--url', daemon.url]);
  return { status, report: JSON.parse(stdout === '' ? 'null' : stdout) as AuditReport, stderr };
}

function kindsOf({ findings }: AuditReport, device: Device): Record<string, string> {
  return Object.fromEntries(
    findings.map(({ path, kind }) => [path.slice(device.root.length + 1).replace(/-\w+$/, ''), kind]),
  );
}

/** Turns one bit in the middle of a file, as flash does. */
function rot(path: string): void {
  const bytes = readFileSync(path);
  const at = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(path, bytes);
}

tests('what rotted, was edited, removed or replaced is found and restored, and services restart', () =>
  withDevice(async (device) => {
    const daemon = await device.start(['--keep-package']);
    await installed(device, daemon, withTree(device, '2.0.0'));
    const deployed = device.files();
    const clean = await audit(daemon);
    assert.equal([clean.status, clean.report.differing, clean.report.files], [0, 0, 6], clean.stderr);

    writeFileSync(device.program('alpha'), '#!/bin/sh\necho edited\n');
    chmodSync(device.program('beta'), 0o777);
    rot(join(device.root, 'web/js/big.bin'));
    rmSync(join(device.root, 'web/index.html'));
    renameSync(device.dataFile, join(device.folder, 'elsewhere'));
    symlinkSync(join(device.folder, 'elsewhere'), device.dataFile);
    writeFileSync(join(device.root, 'web/js/cache'), 'of a service');

    const found = await audit(daemon);
    assert.is(found.status, 4);
    assert.equal(kindsOf(found.report, device), {
      'alpha/alpha': 'content',
      'beta/beta': 'attributes',
      'data/model.bin': 'kind',
      'web/index.html': 'missing',
      'web/js/big.bin': 'content',
    });
    assert.equal(found.report.extra_files, [join(device.root, 'web/js/cache')]);
    assert.ok(found.report.findings.every(({ restored }) => restored === null));
    const before = device.events().length;

    const repaired = await audit(daemon, '--repair', '--yes');
    assert.is(repaired.status, 0, repaired.stderr);
    assert.equal([repaired.report.differing, repaired.report.findings.length], [0, 5]);
    rmSync(join(device.root, 'web/js/cache'));
    assert.equal(device.files(), deployed);
    assert.equal(device.events().slice(before), [
      'stop beta 2.0.0',
      'stop alpha 2.0.0',
      'start alpha 2.0.0',
      'start beta 2.0.0',
    ]);
    assert.is((await audit(daemon)).status, 0);
    const [entry] = (await daemon.get<{ updates: { kind: string; modules: string[] }[] }>('history')).data
      .updates;
    assert.equal([entry?.kind, entry?.modules.slice().sort()], ['repair', ['alpha', 'beta', 'data', 'web']]);
    const backups = readdirSync(join(device.work, 'backups')).filter((name) => name.endsWith('.bak'));
    assert.equal(new Set(backups.map((name) => name.split('.').at(-2))).size, 1, 'only those of the update');
  }),
);

tests('the record of what is deployed tells the CRC-32 of each file', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await installed(device, daemon, withTree(device, '2.0.0'));
    const backups = join(device.work, 'backups');
    const [name = ''] = readdirSync(backups).filter((entry) => entry.endsWith('.deployed'));
    const files = readFileSync(join(backups, name), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line.slice(65)) as { kind: string; path: string; crc32?: number })
      .filter(({ kind }) => kind === 'file');
    assert.is(files.length, 6);
    for (const { path, crc32 } of files) assert.is(crc32, fastestCrc32(zlib)(readFileSync(path), 0), path);
  }),
);

tests.long(
  'without a kept package, a file that the update left as it was comes from the backup, the rest is told',
  () =>
    withDevice(async (device) => {
      const daemon = await device.start();
      await installed(device, daemon, withTree(device, '2.0.0'));
      await installed(device, daemon, withTree(device, '3.0.0'));
      for (const name of ['index.html', 'js/app.js']) rot(join(device.root, 'web', name));
      const { status, report } = await audit(daemon, '--repair', '-y');
      assert.is(status, 4);
      assert.equal(
        report.findings.map(({ path, restored, note }) => [path.split('/').at(-1), restored, note]),
        [
          [
            'index.html',
            false,
            'no backup holds its bytes, and no package is kept (see --keep-package): install 3.0.0 again',
          ],
          ['app.js', true, 'the backup of 2.0.0'],
        ],
      );
      const again = await audit(daemon, '--repair', '-y');
      assert.is(again.status, 1);
      assert.match(again.stderr, /NO_BACKUP: \S+index.html cannot be restored: .* install 3.0.0 again/);
      const words = await command(['audit', '--repair', '-y', '--url', daemon.url]);
      assert.not.match(words.stdout, 'audit --repair restores', 'a repair that failed is no advice');
      await installed(device, daemon, withTree(device, '3.0.0'));
      assert.is((await audit(daemon)).status, 0);
    }),
);

tests.long('after a rollback the record is that of the version before; after the first there is none', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const none = await audit(daemon);
    assert.is(none.status, 1);
    assert.match(none.stderr, /there is no record of what is deployed: .* the next install makes one/);
    const refused = await command(['audit', '--repair', '-y', '--url', daemon.url]);
    assert.is(refused.status, 1);
    await installed(device, daemon, device.usual('2.0.0'));
    await installed(device, daemon, device.usual('3.0.0'));
    await rolledBack(daemon);
    const { status, report } = await audit(daemon);
    assert.equal([status, report.version, report.differing], [0, '2.0.0', 0]);
    await rolledBack(daemon);
    assert.is((await audit(daemon)).report.unknown !== null, true);
  }),
);

tests.long('what stands in the way, or leads elsewhere, is told and left alone', () =>
  withDevice(async (device) => {
    const daemon = await device.start(['--keep-package']);
    await installed(device, daemon, withTree(device, '2.0.0'));
    rmSync(device.dataFile);
    mkdirSync(device.dataFile);
    renameSync(join(device.root, 'web/js'), join(device.folder, 'js'));
    symlinkSync(join(device.folder, 'js'), join(device.root, 'web/js'));
    rot(join(device.root, 'web/index.html'));
    const { status, report } = await audit(daemon, '--repair', '-y');
    assert.is(status, 4);
    const notes = report.findings.map(({ path, restored, note }) => [path.split('/').at(-1), restored, note]);
    assert.is(notes.length, 4);
    assert.match(
      String(notes.find(([name]) => name === 'model.bin')),
      /false,it is a directory, .* move away/,
    );
    assert.match(
      String(notes.find(([name]) => name === 'app.js')),
      /web\/js is not a directory: move it away/,
    );
    assert.equal(notes.find(([name]) => name === 'index.html')?.slice(1), [
      true,
      'the package that was kept',
    ]);
  }),
);

tests.long('an audit gives way to an update, and a repair waits for a hold', () =>
  withDevice(async (device) => {
    const daemon = await device.start(['--keep-package', '--audit-interval', '60']);
    await installed(device, daemon, withTree(device, '2.0.0'));
    const request = await device.offer(device.usual('3.0.0'));
    await post(daemon, 'audit', {});
    await daemon.post('download', request);
    await daemon.reach('toInstall');
    assert.match(
      (await post(daemon, 'audit', { repair: true })).msg,
      /^OPERATION_IN_PROGRESS: package .* waits/,
    );
    assert.is((await audit(daemon)).status, 0, 'a check alone may run while a package waits');
    await daemon.post('cancel');
    rmSync(device.dataFile);
    await post(daemon, 'hold', { owner: 'test', reason: 'a print', ttl_s: 60 });
    assert.is((await post(daemon, 'audit', { repair: true })).code, 200);
    await until('it waits', async () => (await daemon.progress()).message.includes('a print'));
    assert.not.ok(existsSync(device.dataFile));
    await post(daemon, 'release', { owner: 'test' });
    await daemon.reach('success');
    assert.is(readFileSync(device.dataFile, 'utf8'), 'model of 2.0.0');
  }),
);

tests.long('a kept package that rotted, a record that rotted, and a report that outlives a restart', () =>
  withDevice(async (device) => {
    const daemon = await device.start(['--keep-package']);
    await installed(device, daemon, device.usual('2.0.0'));
    const backups = join(device.work, 'backups');
    const named = (ending: string) =>
      join(backups, readdirSync(backups).find((name) => name.endsWith(ending)) ?? ending);
    await until('the package is kept', () => existsSync(named('.zip')));
    rmSync(device.dataFile);
    const copy = join(device.folder, 'kept.zip');
    copyFileSync(named('.zip'), copy);
    rot(named('.zip'));
    const hopeless = await audit(daemon, '--repair', '-y');
    assert.is(hopeless.status, 1);
    assert.match(hopeless.stderr, /the package that was kept, \S+, is damaged: install 2.0.0 again/);
    await daemon.end('SIGTERM');

    const second = await device.start(['--keep-package']);
    const state = (await (await fetch(`${second.url}/api/v1.0/audit`)).json()) as {
      data: { report: AuditReport };
    };
    assert.is(state.data.report.differing, 1);
    const metrics = await (await fetch(`${second.url}/metrics`)).text();
    assert.match(metrics, /^tope_updater_audit_differing_files 1$/m);
    assert.match(metrics, /^tope_updater_audit_last_timestamp_seconds 1[\d.]+$/m);
    copyFileSync(copy, named('.zip'));
    const repaired = await audit(second, '--repair', '-y');
    assert.is(repaired.status, 0, repaired.stderr);
    rot(named('.deployed'));
    const damaged = await audit(second);
    assert.is(damaged.status, 1);
    assert.match(
      damaged.stderr,
      /the record of what is deployed, \S+, is damaged .*install the version again/,
    );
    await installed(device, second, device.usual('2.0.0'));
    assert.is((await audit(second)).status, 0);
  }),
);

async function post(daemon: Daemon, name: string, body: object): Promise<{ code: number; msg: string }> {
  const response = await fetch(`${daemon.url}/api/v1.0/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return (await response.json()) as { code: number; msg: string };
}

tests.long(
  'symlinks of a tree are deployed, audited, repaired, removed and rolled back over several updates',
  () =>
    withDevice(async (device) => {
      const tree = join(device.root, 'app');
      const link = (content: string) => ({ content, isLink: true });
      const spec = (version: string, files: PackageSpec['files']): PackageSpec => ({
        version,
        modules: [{ name: 'app', src: 'app', dst: tree }],
        files: Object.fromEntries(Object.entries(files).map(([name, file]) => [`app/${name}`, file])),
        withDigests: true,
        manifest: { requires: ['symlinks'] },
      });
      const daemon = await device.start();
      const before = device.files();
      await installed(
        device,
        daemon,
        spec('2.0.0', {
          'lib/foo.so.1.0': 'the first',
          'lib/foo.so.1': link('foo.so.1.0'),
          'lib/foo.so': link('foo.so.1'),
          'bin/tool': link('../lib/foo.so'),
          plain: 'a file',
          turned: link('lib/foo.so'),
        }),
      );
      const first = device.files();
      assert.is(readFileSync(join(tree, 'bin/tool'), 'utf8'), 'the first');
      symlinkSync('precious', join(tree, 'lib/mine')); // somebody's own
      await installed(
        device,
        daemon,
        spec('3.0.0', {
          'lib/foo.so.1.1': 'the second',
          'lib/foo.so.1': link('foo.so.1.1'),
          'lib/foo.so': link('foo.so.1'),
          plain: link('lib'),
          turned: 'a file now',
        }),
      );
      assert.is(readFileSync(join(tree, 'plain/foo.so'), 'utf8'), 'the second');
      assert.is(readFileSync(join(tree, 'turned'), 'utf8'), 'a file now');
      assert.not(existsSync(join(tree, 'bin')));
      assert.is(readlinkSync(join(tree, 'lib/mine')), 'precious');

      const second = device.files();
      rmSync(join(tree, 'lib/foo.so.1'));
      symlinkSync('/etc/passwd', join(tree, 'lib/foo.so.1'));
      rmSync(join(tree, 'lib/foo.so'));
      rmSync(join(tree, 'plain'));
      writeFileSync(join(tree, 'plain'), 'no link');
      const audit = await command(['audit', '--json', '--repair', '--yes', '--url', daemon.url]);
      const { findings } = JSON.parse(audit.stdout) as AuditReport;
      assert.equal(
        Object.fromEntries(
          findings.map(({ path, kind, restored }) => [path.slice(tree.length + 1), [kind, restored]]),
        ),
        {
          'lib/foo.so': ['missing', true],
          'lib/foo.so.1': ['content', true],
          plain: ['kind', true],
        },
        audit.stderr,
      );
      assert.equal(device.files(), second);

      await rolledBack(daemon);
      rmSync(join(tree, 'lib/mine'));
      assert.equal(device.files(), first);
      await rolledBack(daemon);
      assert.equal(device.files(), before);
    }),
);

tests(
  'what was put beside an edited file may be thrown away or taken over: no damage, and it goes by itself',
  () =>
    withDevice(async (device) => {
      const config = (version: string) => ({
        ...dataOnly(device, version),
        modules: [{ name: 'data', src: 'model.bin', dst: device.dataFile, config: true }],
      });
      const beside = `${device.dataFile}.new`;
      const daemon = await device.start(['--keep-package']);
      await installed(device, daemon, config('2.0.0'));
      writeFileSync(device.dataFile, 'edited');
      await installed(device, daemon, config('3.0.0'));
      assert.is((await audit(daemon)).status, 0);
      rmSync(beside);
      assert.is((await audit(daemon)).status, 0);
      assert.is((await audit(daemon, '--repair', '--yes')).status, 0);
      assert.not(existsSync(beside));

      await installed(device, daemon, config('4.0.0'));
      copyFileSync(beside, device.dataFile);
      await installed(device, daemon, config('5.0.0'));
      assert.is(readFileSync(device.dataFile, 'utf8'), 'model of 5.0.0');
      assert.not(existsSync(beside));
      await rolledBack(daemon);
      assert.equal(
        [readFileSync(device.dataFile, 'utf8'), readFileSync(beside, 'utf8')],
        ['model of 4.0.0', 'model of 4.0.0'],
      );
      assert.is((await audit(daemon)).status, 0);
    }),
);

tests.run();
