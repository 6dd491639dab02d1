/** Nothing of the updater itself is a target, by whatever name it would be reached. */
import { linkSync, mkdirSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { refuseOwnFiles } from '../../src/deploy/own-files.ts';
import { surveyWants } from '../../src/deploy/survey.ts';
import type { Want } from '../../src/deploy/want.ts';
import { refusal } from './parts.ts';
import { type Device, device } from './rig.ts';

const test = suite<{ d: Device }>('own files');
test.before.each((context) => {
  context.d = device();
});
test.after.each(({ d }) => d.remove());

/** What is said of a want at this path below the root; `accepted` where nothing is. */
async function saidOf(d: Device, own: readonly string[], path: string, kind: 'file' | 'absent' = 'file') {
  const target = join(d.root, path);
  const want = { kind, module: 'm', target } as Want;
  const { found } = await surveyWants(d.host.files, [want], { uid: 0, gid: 0 });
  const paths = own.map((name) => join(d.root, name));
  return refusal(async () => {
    await refuseOwnFiles(d.host.files, paths, [want], found, 'INVALID_MANIFEST');
    throw new Error('accepted');
  }).catch((thrown: Error) => thrown.message);
}

const refused = /^INVALID_MANIFEST: module "m": .* belongs to the updater itself/;

test('a program is refused under its own name, by links of both kinds, and as what is removed', async ({
  d,
}) => {
  d.put('bin/updater', 'program');
  d.put('bin/other', 'program');
  symlinkSync('updater', join(d.root, 'bin/soft'));
  symlinkSync('soft', join(d.root, 'bin/softer'));
  symlinkSync('bin', join(d.root, 'current'));
  linkSync(join(d.root, 'bin/updater'), join(d.root, 'targets/hard'));
  for (const path of ['bin/updater', 'bin/soft', 'bin/softer', 'current', 'targets/hard']) {
    assert.match(await saidOf(d, ['bin/updater'], path), refused, path);
    assert.match(await saidOf(d, ['bin/updater'], path, 'absent'), refused, path);
  }
  for (const path of ['bin/other', 'bin/updater.old', 'targets/new', 'bin'])
    assert.is(await saidOf(d, ['bin/updater'], path), 'accepted', path);
});

test('one that is started by a link has both names, and those by the directory of either', async ({ d }) => {
  d.put('v1/updater', 'program');
  symlinkSync('v1', join(d.root, 'current'));
  mkdirSync(join(d.root, 'bin'));
  symlinkSync('../current/updater', join(d.root, 'bin/updater'));
  for (const path of ['v1/updater', 'bin/updater', 'current'])
    assert.match(await saidOf(d, ['bin/updater'], path), refused, path);
  assert.match(await saidOf(d, ['current/updater'], 'v1/updater'), refused);
});

test('what is not there yet is refused, and what lies below a directory of ours', async ({ d }) => {
  assert.match(await saidOf(d, ['units/updater.service'], 'units/updater.service'), refused);
  assert.match(await saidOf(d, ['units/updater.service.d'], 'units/updater.service.d/x.conf'), refused);
  assert.is(await saidOf(d, ['units/updater.service'], 'units/updater.service2'), 'accepted');
  d.put('real/x', '');
  symlinkSync('real', join(d.root, 'alias'));
  assert.match(await saidOf(d, ['alias/updater.service'], 'real/updater.service'), refused);
});

test('a program that was renamed since is known by its file', async ({ d }) => {
  d.put('bin/updater', 'program');
  linkSync(join(d.root, 'bin/updater'), join(d.root, 'bin/kept'));
  renameSync(join(d.root, 'bin/kept'), join(d.root, 'targets/moved'));
  assert.match(await saidOf(d, ['bin/updater'], 'targets/moved'), refused);
});

test.run();
