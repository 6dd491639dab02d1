/** Capabilities, access lists and attributes over updates, audits, repairs and a rollback: the built daemon and its commands. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AuditReport } from '../../src/audit/audit-report.ts';
import { command } from '../cli/command.ts';
import { attributesOf, output } from '../fixtures/file-attributes.ts';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import type { Daemon } from './daemon.ts';
import { type Device, withDevice } from './harness.ts';
import { dataOnly, installed, rolledBack } from './updates.ts';

const test = suite('attributes over updates');

async function audit(daemon: Daemon, ...flags: string[]): Promise<{ status: unknown; texts: string[] }> {
  const { status, stdout } = await command(['audit', '--json', ...flags, '--url', daemon.url]);
  const report = JSON.parse(stdout) as AuditReport;
  return { status, texts: report.findings.map(({ text }) => text) };
}

/** Of the module with the data file. */
function saying(spec: PackageSpec, keys: object): PackageSpec {
  return { ...spec, modules: spec.modules.map((module) => ({ ...module, ...keys })) };
}

function dress(path: string): void {
  writeFileSync(path, 'model of the factory');
  output('setfacl', '-m', 'u:1234:r', path);
  output('setcap', 'cap_net_raw+ep', path);
  output('setfattr', '-n', 'user.note', '-v', 'factory', path);
}

const factory = 'cap_net_raw=ep user:1234:r-- factory';

async function isKept(device: Device): Promise<void> {
  const path = device.dataFile;
  dress(path);
  const daemon = await device.start(['--keep-package']);
  await installed(device, daemon, dataOnly(device, '2.0.0'));
  assert.is(attributesOf(path), factory);
  assert.equal(await audit(daemon), { status: 0, texts: [] });

  output('setcap', '-r', path);
  assert.equal(await audit(daemon), {
    status: 4,
    texts: ['has no capabilities, cap_net_raw=ep was deployed'],
  });
  assert.is((await audit(daemon, '--repair', '--yes')).status, 0);
  assert.is(attributesOf(path), factory);

  // The same bytes again: left alone, and remembered all the same.
  const sha256 = createHash('sha256').update('model of 2.0.0').digest('hex');
  const same = { ...dataOnly(device, '2.0.0'), version: '2.0.1' };
  const { ino } = statSync(path);
  await installed(device, daemon, saying(same, { sha256 }));
  assert.is(statSync(path).ino, ino);
  output('setfacl', '-b', path);
  assert.equal(await audit(daemon), { status: 4, texts: ['has no access list (ACL), one was deployed'] });
  assert.is((await audit(daemon, '--repair', '--yes')).status, 0);
  assert.is(attributesOf(path), factory);

  utimesSync(path, 1_000_000_000, 1_000_000_000.5);
  const { mtimeMs } = statSync(path);
  await installed(device, daemon, saying(dataOnly(device, '2.1.0'), { capabilities: 'cap_chown+ep' }));
  assert.is(attributesOf(path), factory.replace('net_raw', 'chown'));
  truncateSync(path, 3);
  assert.is((await audit(daemon, '--repair', '--yes')).status, 0);
  assert.is(attributesOf(path), factory.replace('net_raw', 'chown'));
  assert.is(statSync(path).size, 'model of 2.1.0'.length);

  await installed(device, daemon, saying(dataOnly(device, '2.2.0'), { xattrs: 'drop' }));
  assert.is(attributesOf(path), '- - -');
  await rolledBack(daemon, '2.1.0');
  assert.is(attributesOf(path), factory);
  assert.is(statSync(path).mtimeMs, mtimeMs);
}

const missing = ['getfattr', 'setfattr', 'setfacl'].find(
  (program) => spawnSync(program, ['--version']).error !== undefined,
);
const why = process.getuid?.() === 0 ? missing && `${missing} is not installed` : 'needs root';
if (why !== undefined) console.log(`skipped: attributes: ${why}`);
(why === undefined ? test : test.skip)(
  'go over, are missed, given back, stated, dropped and rolled back',
  () => withDevice(isKept),
);

test.run();
