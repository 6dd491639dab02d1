/**
 * Files with a POSIX access list (acl(5)): what stat(2) shows as the group's permission is the list's mask, and nobody may get
 * more from an update, an undo or a copy than he had. Read by node:ffi where this Node has it, else by getfacl.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { copyFile } from '../../src/deploy/clone.ts';
import { switchTargets } from '../../src/deploy/switch.ts';
import { groupBitsOf } from '../../src/host/acl.ts';
import { moduleOf, planFor, prepare } from './parts.ts';
import { type Device, device } from './rig.ts';

const test = suite('access lists');
const [service, friend, group] = [65534, 65533, 65532];

test('the value of the attribute: the entry of the owning group, whatever else is named', () => {
  const entry = (tag: number, bits: number, id = 0xffffffff) => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt16LE(tag, 0);
    bytes.writeUInt16LE(bits, 2);
    bytes.writeUInt32LE(id, 4);
    return bytes;
  };
  const version = Buffer.from([2, 0, 0, 0]);
  const list = [
    version,
    entry(0x01, 6),
    entry(0x02, 6, 1000),
    entry(0x04, 4),
    entry(0x10, 6),
    entry(0x20, 0),
  ];
  assert.is(groupBitsOf(Buffer.concat(list)), 4);
  assert.is(groupBitsOf(Buffer.concat([version, entry(0x01, 6)])), undefined);
  assert.is(groupBitsOf(Buffer.from([1, 0, 0, 0])), undefined);
  assert.is(groupBitsOf(Buffer.alloc(3)), undefined);
});

/** Why the rest cannot be tried here. */
function whatIsMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (spawnSync('setfacl', ['--version']).error !== undefined) return 'the program setfacl is not installed';
  const d = device();
  try {
    d.put('targets/probe', '');
    return spawnSync('setfacl', ['-m', 'u:1:r', join(d.targets, 'probe')]).status === 0
      ? undefined
      : 'the filesystem of the scratch folder has no access lists';
  } finally {
    d.remove();
  }
}

/** A secret that its owner and one friend may read, and no one else of its group. */
function putSecret(d: Device, name: string): string {
  for (const path of [d.root, d.targets]) chmodSync(path, 0o755);
  d.put(`targets/${name}`, 'a secret');
  const path = join(d.targets, name);
  chownSync(path, service, group);
  chmodSync(path, 0o600);
  execFileSync('setfacl', ['-m', `u:${friend}:rw`, path]);
  assert.is(statSync(path).mode & 0o777, 0o660, 'as stat(2) tells it, the group may read and write');
  return path;
}

/** A member of the group without any other right. */
function asMember(script: string): number | null {
  return spawnSync('/bin/sh', ['-c', script], { uid: 65531, gid: group }).status;
}

function asFriend(script: string): number | null {
  return spawnSync('/bin/sh', ['-c', script], { uid: friend, gid: 65530 }).status;
}

const missing = whatIsMissing();
if (missing !== undefined) console.log(`skipped: access lists: ${missing}`);
else {
  test('an update gives a member of the group no more than the list did', async () => {
    const d = device();
    try {
      const path = putSecret(d, 'token');
      assert.is.not(asMember(`cat ${path}`), 0);
      const plan = await planFor(d, [moduleOf(d, 'token', { token: 'a new secret' }, false)]);
      await prepare(d, plan);
      await switchTargets(d.host, plan);
      assert.is(readFileSync(path, 'utf8'), 'a new secret');
      assert.is.not(asMember(`cat ${path}`), 0);
      assert.is(asFriend(`cat ${path} >/dev/null`), 0, 'whom the list lets in, it still does');
      assert.is(statSync(path).mode & 0o777, 0o660);
    } finally {
      d.remove();
    }
  });

  test('nor does a copy of the file, or a list that takes from the group what everybody has', async () => {
    const d = device();
    try {
      const path = putSecret(d, 'token');
      await copyFile(d.host.files, path, `${path}.copy`);
      assert.is.not(asMember(`cat ${path}.copy`), 0);
      assert.is(asFriend(`cat ${path}.copy >/dev/null`), 0);
      writeFileSync(path, 'of everybody but the group');
      chmodSync(path, 0o644);
      execFileSync('setfacl', ['-m', `u:${friend}:rw,g::-,o::r`, path]);
      const { mode } = (await d.host.files.stat(path)) ?? { mode: -1 };
      assert.is(mode.toString(8), '604');
    } finally {
      d.remove();
    }
  });
}

test.run();
