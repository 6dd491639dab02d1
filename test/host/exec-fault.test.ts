/** Why a file that is there cannot be executed: real files, and the real machine's words for them. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { certainFault, execFault } from '../../src/host/exec-fault.ts';
import { realProcesses } from '../../src/host/processes.ts';

const test = suite('exec fault');
const folder = mkdtempSync(join(tmpdir(), 'exec-fault-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** /bin/sh with another loader, and for another machine. */
const shell = readFileSync('/bin/sh');
const otherLoader = Buffer.from(shell);
otherLoader.write('/lib/ld-none.so.9\0', shell.indexOf('/lib'), 'latin1');
const otherMachine = Buffer.from(shell);
otherMachine.writeUInt16LE(22, 18);

const cases: readonly (readonly [string, string | Buffer, number, RegExp])[] = [
  ['a mode without x', '#!/bin/sh\n', 0o644, /^is not executable: its mode is 0644$/],
  ['no interpreter', '#!/usr/bin/python9 -u\n', 0o755, /^is a script for \/usr\/bin\/python9, which is not/],
  ['lines of Windows', '#!/bin/sh\r\necho\r\n', 0o755, /lines end as on Windows/],
  ['no loader', otherLoader, 0o755, /^needs the loader \/lib\/ld-none\.so\.9, which is not there/],
  ['no program', 'text', 0o755, /^is neither a program of this system nor a script/],
  ['nothing', '', 0o755, /^is empty$/],
];
for (const [what, content, mode, expected] of cases)
  test(`${what}: said`, async () => {
    assert.match((await execFault(file(content, mode))) ?? 'nothing', expected);
  });

test('another machine: said, where nothing emulates it', async () => {
  const fault = await certainFault(file(otherMachine, 0o755));
  assert.match(fault ?? 'emulated', /^is a program for s390x, and this is \w+$|^emulated$/);
});

test('what runs has no fault, and what is not there none either', async () => {
  for (const path of ['/bin/sh', process.execPath, file('#!/bin/sh\n', 0o755), join(folder, 'none')])
    assert.is(await execFault(path), undefined, path);
  assert.is(await certainFault(file('echo a shell may run this\n', 0o755)), undefined);
});

const canMount =
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'noexec', 'none', makeFolder('mount')]).status === 0;
if (!canMount) console.log('skipped: a noexec mount: mount(8) is not allowed here');
(canMount ? test : test.skip)('a mount without programs: said', async () => {
  const path = join(folder, 'mount', 'program');
  try {
    writeFileSync(path, '#!/bin/sh\n');
    chmodSync(path, 0o755);
    assert.is(await execFault(path), `lies on ${join(folder, 'mount')}, which is mounted noexec`);
  } finally {
    execFileSync('umount', [join(folder, 'mount')]);
  }
});

test('helpers and services that cannot be executed say so', async () => {
  const processes = realProcesses();
  const path = file(otherLoader, 0o755);
  const start = processes.start({ argv: [path], cwd: '/', env: { PATH: '/bin' } });
  const error = await start.then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  assert.match(error?.message ?? 'started', /exec-fault-\S+ needs the loader \/lib\/ld-none/);
  const run = await processes.run([file('#!/bin/sh\n', 0o644)], 1_000).then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  assert.match(run?.message ?? 'ran', /^EACCES: \S+ is not executable: its mode is 0644$/);
});

const made: string[] = [];

function file(content: string | Buffer, mode: number): string {
  const path = join(folder, `program-${made.push(mode.toString())}`);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

function makeFolder(name: string): string {
  mkdirSync(join(folder, name));
  return join(folder, name);
}

test.run();
