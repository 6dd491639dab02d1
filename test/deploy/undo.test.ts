/** What an undo meets on a real disk: no room, targets that cannot be restored, what programs did meanwhile. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { retakeBackups } from '../../src/deploy/backup.ts';
import { fileSteps, keptPath } from '../../src/deploy/plan.ts';
import { clearAway, switchTargets } from '../../src/deploy/switch.ts';
import { restoreTargets } from '../../src/deploy/undo.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Files } from '../../src/host/host.ts';
import { moduleOf, planFor, prepare, refusal } from './parts.ts';
import { type Device, device } from './rig.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('undo', {} as Context);
test.before.each((context) => {
  context.d = device();
});
test.after.each(({ d }) => d.remove());

const isRoot = process.getuid?.() === 0;

async function switched(d: Device) {
  const plan = await planFor(d, [moduleOf(d, 'app', { a: 'new a', b: 'new b', c: 'new c' })]);
  await prepare(d, plan);
  await switchTargets(d.host, plan);
  return plan;
}

test('one target that cannot be restored keeps no other from it, is named, and is restored when it can be', async ({
  d,
}) => {
  for (const name of ['a', 'b', 'c']) d.put(`targets/app/${name}`, `old ${name}`);
  const before = d.snapshot();
  const plan = await switched(d);
  const stubborn = join(d.targets, 'app/a');
  const files: Files = {
    ...d.host.files,
    rename: (from, to) =>
      to === stubborn
        ? Promise.reject(Object.assign(new Error('EIO: i/o error, rename'), { code: 'EIO' }))
        : d.host.files.rename(from, to),
  };
  assert.match(
    await refusal(() => restoreTargets({ ...d.host, files }, plan)),
    /^ROLLBACK_FAILED: restoring 1 of 3; still new: \S+app\/a; 2 old again; \S+app\/a: EIO/,
  );
  assert.is(readFileSync(join(d.targets, 'app/b'), 'utf8'), 'old b');
  assert.is(readFileSync(join(d.targets, 'app/c'), 'utf8'), 'old c');
  await restoreTargets(d.host, plan);
  assert.equal(d.snapshot(), before);
});

test('a directory that the new version has made of a file: out of the way, and what is in it stays', async ({
  d,
}) => {
  for (const name of ['a', 'b', 'c', 'd']) d.put(`targets/app/${name}`, `old ${name}`);
  const plan = await switched(d); // d goes
  rmSync(join(d.targets, 'app/a'));
  d.put('targets/app/a/precious', 'data');
  mkdirSync(join(d.targets, 'app/d'));
  await restoreTargets(d.host, plan);
  assert.is(readFileSync(join(d.targets, 'app/a'), 'utf8'), 'old a');
  assert.is(readFileSync(join(d.targets, 'app/d'), 'utf8'), 'old d');
  assert.is(readFileSync(join(d.targets, `app/a.${plan.id}/precious`), 'utf8'), 'data');
  assert.match(
    d.logged.join('\n'),
    /warn .*app\/a was made a directory by what is undone: it is .*app\/a\.2026/,
  );
});

test('a removed file that the new version has made anew is the old one again', async ({ d }) => {
  d.put('targets/app/gone', 'old gone', 0o640);
  const before = d.snapshot();
  const plan = await switched(d);
  d.put('targets/app/gone', 'made by the new version');
  await restoreTargets(d.host, plan);
  assert.equal(d.snapshot(), before);
});

test('an undo makes no name and writes nothing, also where a file was removed', async ({ d }) => {
  d.put('targets/app/a', 'old a');
  d.put('targets/app/gone', 'old gone');
  const before = d.snapshot();
  const plan = await switched(d);
  const full = () => Promise.reject(Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' }));
  const files: Files = {
    ...d.host.files,
    open: (path, how) => (how === 'create' ? full() : d.host.files.open(path, how)),
    hardLink: full,
    symbolicLink: full,
    makeDirectory: full,
  };
  await restoreTargets({ ...d.host, files }, plan);
  assert.equal(d.snapshot(), before);
});

test('without hard links: the switch keeps the old file beside its target, and undo renames it back', async () => {
  const real = realFiles();
  const hardLink = () => Promise.reject(Object.assign(new Error('EPERM: vfat'), { code: 'EPERM' }));
  const d = device({ ...real, hardLink });
  try {
    for (const name of ['a', 'b', 'gone']) d.put(`targets/app/${name}`, `old ${name}`);
    const before = d.snapshot();
    const inode = statSync(join(d.targets, 'app/a')).ino;
    for (const cut of [0, 1, 2, 3, 4, 5]) {
      const plan = await planFor(d, [moduleOf(d, 'app', { a: 'new a', b: 'new b', c: 'new c' })]);
      await prepare(d, plan);
      // The power goes after so many renames.
      let renames = 0;
      const files: Files = {
        ...d.host.files,
        rename: (from, to) =>
          renames++ < cut
            ? d.host.files.rename(from, to)
            : Promise.reject(Object.assign(new Error('cut'), { code: 'EIO' })),
      };
      await switchTargets({ ...d.host, files }, plan).catch(() => undefined);
      await restoreTargets(d.host, plan);
      assert.equal(d.snapshot(), before, `cut after ${cut} renames`);
      assert.is(statSync(join(d.targets, 'app/a')).ino, inode, 'the very file');
      rmSync(d.backups, { recursive: true });
      mkdirSync(d.backups);
    }
  } finally {
    d.remove();
  }
});

test('the kept name is lost: the backup comes back, and a second run finds it equal', async ({ d }) => {
  for (const name of ['a', 'b', 'c']) d.put(`targets/app/${name}`, `old ${name}`);
  const before = d.snapshot();
  const plan = await switched(d);
  for (const step of fileSteps(plan)) rmSync(keptPath(step), { force: true });
  await restoreTargets(d.host, plan);
  assert.equal(d.snapshot(), before);
  const inode = statSync(join(d.targets, 'app/a')).ino;
  await restoreTargets(d.host, plan);
  assert.is(statSync(join(d.targets, 'app/a')).ino, inode);
});

test('what a program saves while it stops is what undo and backup hold', async ({ d }) => {
  for (const name of ['a', 'b', 'c']) d.put(`targets/app/${name}`, `old ${name}`);
  const plan = await planFor(d, [moduleOf(d, 'app', { a: 'new a', b: 'new b', c: 'new c' })]);
  await prepare(d, plan);
  const last = join(d.targets, 'app/a');
  d.put('targets/app/.a.tmp', 'last word', 0o600);
  renameSync(join(d.targets, 'app/.a.tmp'), last);
  await retakeBackups(d.host, d.backups, plan, false);
  assert.match(
    d.logged.join('\n'),
    /app\/a was changed while the services were stopped: it is backed up again/,
  );
  const step = [...fileSteps(plan)].find(({ target }) => target === last);
  assert.is(readFileSync(step?.backup ?? '', 'utf8'), 'last word');
  await switchTargets(d.host, plan);
  await restoreTargets(d.host, plan);
  assert.is(readFileSync(last, 'utf8'), 'last word');
  assert.is(statSync(last).mode & 0o777, 0o600);
});

test('a file that a program makes while it stops, where a new one is due: the update fails and it stays', async ({
  d,
}) => {
  const plan = await planFor(d, [moduleOf(d, 'app', { a: 'new a' })]);
  await prepare(d, plan);
  d.put('targets/app/a', 'last word');
  assert.match(
    await refusal(() => retakeBackups(d.host, d.backups, plan, false)),
    /^DEPLOYMENT_FAILED: .*app\/a was made while the services were stopped/,
  );
});

if (!isRoot) console.log('skipped: backups on another filesystem: needs root and mount');
else
  test('backups on another filesystem: bytes written in place while a program stops are seen, times come back', async ({
    d,
  }) => {
    const mount = join(d.targets, 'ram');
    mkdirSync(mount);
    assert.is(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', mount]).status, 0);
    try {
      const path = d.put('targets/ram/app/a', 'old a');
      const untouched = d.put('targets/ram/app/b', 'old b');
      for (const one of [path, untouched]) utimesSync(one, 1_000_000_000.123, 1_000_000_000.123);
      const base = moduleOf(d, 'ram/app', { a: 'new a', b: 'new b' });
      const plan = await planFor(d, [{ ...base, name: 'app' }]);
      await prepare(d, plan);
      writeFileSync(path, 'last!');
      await retakeBackups(d.host, d.backups, plan, false);
      const backupOf = (target: string) =>
        [...fileSteps(plan)].find((step) => step.target === target)?.backup ?? '';
      assert.is(readFileSync(backupOf(path), 'utf8'), 'last!');
      assert.is(statSync(backupOf(untouched)).mtimeMs, 1_000_000_000_123);
      await switchTargets(d.host, plan);
      for (const step of fileSteps(plan)) rmSync(keptPath(step), { force: true });
      await restoreTargets(d.host, plan);
      assert.is(readFileSync(path, 'utf8'), 'last!');
      assert.is(statSync(untouched).mtimeMs, 1_000_000_000_123);
    } finally {
      spawnSync('umount', ['--lazy', mount]);
    }
  });

if (!isRoot) console.log('skipped: set-uid programs and closed backups: needs root');
else {
  test('a set-uid program never has a second name that others can reach', async ({ d }) => {
    for (const path of [d.root, d.targets, dirname(d.backups)]) chmodSync(path, 0o755);
    d.put('targets/app/a', 'old a', 0o4755);
    d.put('targets/app/gone', 'old gone', 0o2755);
    const before = d.snapshot();
    const base = moduleOf(d, 'app', { a: 'new a' });
    const plan = await planFor(d, [base]);
    const check = (when: string) => assert.equal(setIdsInReach(d.root), standing(d), when);
    check('before');
    await prepare(d, plan);
    check('staged and backed up');
    await switchTargets(d.host, plan);
    check('switched');
    await restoreTargets(d.host, plan);
    check('undone');
    assert.equal(d.snapshot(), before);
    rmSync(d.backups, { recursive: true });
    mkdirSync(d.backups, { mode: 0o755 });
    await prepare(d, plan);
    await switchTargets(d.host, plan);
    await clearAway(d.host, plan, false);
    check('committed');
    assert.not(readdirSync(join(d.targets, 'app')).some((name) => name.startsWith('.tope-')));
  });
}

/** Set-uid and set-gid files that uid 65534 finds below `root`. */
function setIdsInReach(root: string): string[] {
  const found = spawnSync('find', [root, '-type', 'f', '-perm', '/6000'], {
    uid: 65534,
    gid: 65534,
    encoding: 'utf8',
  });
  return found.stdout.split('\n').filter(Boolean).sort();
}

function standing(d: Device): string[] {
  return ['app/a', 'app/gone']
    .map((name) => join(d.targets, name))
    .filter((path) => existsSync(path) && (statSync(path).mode & 0o6000) !== 0);
}

test.run();
