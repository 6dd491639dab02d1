/** Backups of 0.1.0, which anybody could read and run, are closed at the first start; cut anywhere, nothing is lost. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { backupOf } from '../../src/deploy/backup.ts';
import { closeBackups } from '../../src/deploy/closed-backup.ts';
import type { RemoveStep } from '../../src/deploy/plan.ts';
import { realFiles } from '../../src/host/files.ts';
import { Crash, faultyFiles } from '../powercut/faulty-files.ts';
import { type Device, device } from './rig.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('closed backups', {} as Context);
test.before.each((context) => {
  context.d = device();
});
test.after.each(({ d }) => d.remove());

const id = '20261123T200000000Z';
const stepOf = (d: Device, module: string): RemoveStep => ({
  kind: 'remove',
  module,
  target: join(d.targets, module),
  temp: join(d.targets, '.tope'),
  backup: join(d.backups, `${module}.${id}.bak`),
});

function fill(d: Device): void {
  for (const path of [d.root, dirname(d.backups), d.backups]) chmodSync(path, 0o755);
  d.put(`work/backups/api.${id}.bak`, 'a program', 0o4755);
  symlinkSync('where', join(d.backups, `link.${id}.bak`));
  d.put(`work/backups/web.${id}.bak/index.html`, 'a tree');
  d.put(`work/backups/${id}.journal`, 'a record', 0o600);
}

test('a file and a link move into a directory that only root enters; trees and records stay', async ({
  d,
}) => {
  fill(d);
  await closeBackups(d.host.files, d.backups);
  const backup = await backupOf(d.host.files, stepOf(d, 'api'));
  assert.is(readFileSync(backup ?? '', 'utf8'), 'a program');
  assert.is(statSync(backup ?? '').mode & 0o7777, 0o4755);
  assert.is(statSync(join(d.backups, `api.${id}.bak`)).mode & 0o7777, 0o700);
  assert.is(await d.host.files.readLink((await backupOf(d.host.files, stepOf(d, 'link'))) ?? ''), 'where');
  assert.is(readFileSync(join(d.backups, `web.${id}.bak/index.html`), 'utf8'), 'a tree');
  const once = d.snapshot('work');
  await closeBackups(d.host.files, d.backups);
  assert.equal(d.snapshot('work'), once);
  if (process.getuid?.() !== 0) return;
  const found = spawnSync('find', [d.backups, '-perm', '/4000'], {
    uid: 65534,
    gid: 65534,
    encoding: 'utf8',
  });
  assert.is(found.stdout, '');
});

test('cut at every call, the next start ends it', async ({ d }) => {
  fill(d);
  const whole = async (prepare: (at: number) => Promise<boolean>) => {
    for (let at = 1; ; at++) {
      rmSync(d.backups, { recursive: true });
      mkdirSync(d.backups);
      fill(d);
      const isCut = await prepare(at);
      await closeBackups(realFiles(), d.backups);
      assert.is(
        readFileSync(join(d.backups, `api.${id}.bak/file`), 'utf8'),
        'a program',
        `cut at call ${at}`,
      );
      assert.equal(readdirSync(d.backups).sort(), [
        `${id}.journal`,
        `api.${id}.bak`,
        `link.${id}.bak`,
        `web.${id}.bak`,
      ]);
      if (!isCut) return at;
    }
  };
  const calls = await whole(async (at) => {
    const { files } = faultyFiles(realFiles(), { kind: 'kill', at });
    try {
      await closeBackups(files, d.backups);
      return false;
    } catch (thrown) {
      if (!(thrown instanceof Crash)) throw thrown;
      return true;
    }
  });
  assert.ok(calls > 10, `${calls} calls`);
});

test.run();
