/** Survey, stage, backup, switch and undo together on a real disk: old set -> new set -> old set, byte for byte. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createStager, makeDirectories } from '../../src/deploy/stage.ts';
import { clearAway, switchTargets } from '../../src/deploy/switch.ts';
import { discardStaged, restoreTargets } from '../../src/deploy/undo.ts';
import { openWriteGroup } from '../../src/host/write-group.ts';
import { sealOf } from '../fixtures/seal-of.ts';
import { moduleOf, planFor, prepare, refusal } from './parts.ts';
import { type Device, device } from './rig.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('transaction parts', {} as Context);
test.before.each((context) => {
  context.d = device();
});
test.after.each(({ d }) => d.remove());

/** Without the names that serve an undo until the commit. */
const standing = (d: Device) => d.snapshot().filter((line) => !/\.kept( |$)/.test(line));

const digestOf = (name: 'md5' | 'sha256') => createHash(name).update('new').digest('hex');
for (const [what, wanted, refused] of [
  ['an MD5', { md5: digestOf('md5') }, /^MD5_MISMATCH: new: [0-9a-f]{32} expected, [0-9a-f]{32} found/],
  [
    'a SHA-256',
    { sha256: digestOf('sha256') },
    /^SHA256_MISMATCH: new: [0-9a-f]{64} expected, [0-9a-f]{64} found/,
  ],
  [
    'a seal',
    { seal: sealOf(Buffer.from('new'), 'ab'.repeat(32)) },
    /^DEPLOYMENT_FAILED: .*new: not the bytes that were deployed/,
  ],
] as const)
  test(`staging takes the bytes of ${what} and refuses others of the same size`, async ({ d }) => {
    const { steps, ...rest } = await planFor(d, [moduleOf(d, 'app', { new: 'new' })]);
    const plan = {
      ...rest,
      steps: [...steps].map((step) => (step.kind === 'put' ? { ...step, ...wanted } : step)),
    };
    await makeDirectories(d.host, plan);
    const stage = async (content: string) => {
      const group = await openWriteGroup(d.host.files, [d.backups], 1);
      const stager = await createStager(d.host, plan, group);
      try {
        const writer = await stager.open('new');
        await writer.write(Buffer.from(content));
        await writer.end();
        await group.close();
        return d.snapshot().filter((line) => line.endsWith('.new 644 new')).length;
      } finally {
        await stager.close();
        await group.close();
        await discardStaged(d.host, plan);
        await makeDirectories(d.host, plan);
      }
    };
    assert.is(await stage('new'), 1);
    assert.match(await refusal(() => stage('neW')), refused);
  });

test('a tree is replaced, extended and pruned, and undo brings every byte and mode back', async ({ d }) => {
  d.put('targets/app/keep', 'old keep', 0o755);
  d.put('targets/app/gone/deep/file', 'old file', 0o600);
  symlinkSync('keep', join(d.targets, 'app/link'));
  const before = d.snapshot();
  const plan = await planFor(d, [moduleOf(d, 'app', { keep: 'new keep', 'fresh/file': 'new file' })]);

  await prepare(d, plan);
  assert.equal(
    d.snapshot().filter((line) => !line.includes('.tope-') && !line.includes('fresh/')),
    before,
    'staging touches no target',
  );
  await switchTargets(d.host, plan);
  assert.equal(standing(d), [
    'targets/ 755',
    'targets/app/ 755',
    'targets/app/fresh/ 755',
    'targets/app/fresh/file 644 new file',
    'targets/app/gone/ 755',
    'targets/app/gone/deep/ 755',
    'targets/app/keep 755 new keep',
  ]);
  await switchTargets(d.host, plan);
  await restoreTargets(d.host, plan);
  assert.equal(d.snapshot(), before);
  await restoreTargets(d.host, plan);
  assert.equal(d.snapshot(), before, 'undo may be run again');
});

test('directories that go are removed after the commit, unless somebody put files there', async ({ d }) => {
  d.put('targets/app/keep', 'old');
  d.put('targets/app/gone/deep/file', 'old');
  d.put('targets/app/taken/file', 'old');
  const plan = await planFor(d, [moduleOf(d, 'app', { keep: 'new' })]);
  await prepare(d, plan);
  await switchTargets(d.host, plan);
  d.put('targets/app/taken/other', 'not ours');
  await clearAway(d.host, plan, false);
  await clearAway(d.host, plan, true);
  assert.equal(standing(d), [
    'targets/ 755',
    'targets/app/ 755',
    'targets/app/keep 644 new',
    'targets/app/taken/ 755',
    'targets/app/taken/other 644 not ours',
  ]);
});

test('staged files are discarded without a trace where nothing was switched', async ({ d }) => {
  d.put('targets/app/keep', 'old');
  const before = d.snapshot();
  const plan = await planFor(d, [moduleOf(d, 'app', { keep: 'new', 'a/b/c': 'deep' })]);
  await prepare(d, plan);
  await discardStaged(d.host, plan);
  assert.equal(d.snapshot(), before);
});

test('a target that is a symlink is replaced as a link, what it points to is untouched, and undo restores the link', async ({
  d,
}) => {
  d.put('elsewhere/real', 'precious');
  symlinkSync(join(d.root, 'elsewhere/real'), join(d.targets, 'tool'));
  const before = d.snapshot();
  const plan = await planFor(d, [moduleOf(d, 'tool', { '': 'new tool' }, false)]);
  await prepare(d, plan);
  await switchTargets(d.host, plan);
  assert.equal(standing(d), ['targets/ 755', 'targets/tool 644 new tool']);
  assert.equal(d.snapshot('elsewhere'), ['elsewhere/ 755', 'elsewhere/real 644 precious']);
  await restoreTargets(d.host, plan);
  assert.equal(d.snapshot(), before);
});

test('a symlinked parent that leads outside the allowed roots is refused by name', async ({ d }) => {
  mkdirSync(join(d.root, 'outside'));
  symlinkSync(join(d.root, 'outside'), join(d.targets, 'app'));
  const message = await refusal(() => planFor(d, [moduleOf(d, 'app', { 'x/file': 'new' })]));
  assert.match(message, /INVALID_MANIFEST: module "app": .*leads to .*outside/);
});

test('a symlinked parent inside the allowed roots is followed once, at planning', async ({ d }) => {
  d.put('targets/versions/1/file', 'old');
  symlinkSync('versions/1', join(d.targets, 'current'));
  const base = moduleOf(d, 'current', {});
  const target = join(d.targets, 'current/file');
  const [file] = moduleOf(d, 'x', { '': 'new' }, false).files;
  assert.ok(file);
  const plan = await planFor(d, [
    { ...base, isTree: false, target, directories: [], files: [{ ...file, target }] },
  ]);
  await prepare(d, plan);
  await switchTargets(d.host, plan);
  assert.ok(d.snapshot().includes('targets/versions/1/file 644 new'));
});

test('a directory exchanged for a symlink between check and switch is refused', async ({ d }) => {
  d.put('targets/app/file', 'old');
  mkdirSync(join(d.root, 'outside'));
  const plan = await planFor(d, [moduleOf(d, 'app', { file: 'new' })]);
  await prepare(d, plan);
  execFileSync('mv', [join(d.targets, 'app'), join(d.targets, 'app.was')]);
  symlinkSync(join(d.root, 'outside'), join(d.targets, 'app'));
  assert.match(await refusal(() => switchTargets(d.host, plan)), /exchanged for a symlink/);
  assert.equal(d.snapshot('outside'), ['outside/ 755']);
});

test('two modules that meet through a symlink are refused', async ({ d }) => {
  d.put('targets/one/file', 'old');
  symlinkSync('one', join(d.targets, 'two'));
  const one = moduleOf(d, 'one', { file: 'new' });
  const two = {
    ...moduleOf(d, 'two', {}),
    isTree: false,
    target: join(d.targets, 'two/file'),
    directories: [],
  };
  const [file] = one.files;
  assert.ok(file);
  const message = await refusal(() =>
    planFor(d, [one, { ...two, files: [{ ...file, target: two.target }] }]),
  );
  assert.match(message, /INVALID_MANIFEST: modules "one" and "two" both lead to/);
});

test('a directory of others where a file is due is refused before anything changes', async ({ d }) => {
  d.put('targets/tool/inside', 'old');
  const before = d.snapshot();
  assert.match(
    await refusal(() => planFor(d, [moduleOf(d, 'tool', { '': 'new' }, false)])),
    /tool is a directory, a file is due there; what is not the package's would be lost: .*tool\/inside/,
  );
  assert.equal(d.snapshot(), before);
});

test('a switch that is taken up again takes what a program has written to a new file meanwhile for the new file', async ({
  d,
}) => {
  d.put('targets/app/file', 'old');
  const plan = await planFor(d, [moduleOf(d, 'app', { file: 'new' })]);
  await prepare(d, plan);
  await switchTargets(d.host, plan);
  d.put('targets/app/file', 'new, and what a program keeps there');
  await switchTargets(d.host, plan);
  await clearAway(d.host, plan, false);
  assert.equal(standing(d), [
    'targets/ 755',
    'targets/app/ 755',
    'targets/app/file 644 new, and what a program keeps there',
  ]);
});

test('sockets and pipes in a tree stay, and so do their directories', async ({ d }) => {
  d.put('targets/app/run/old', 'old');
  execFileSync('mkfifo', [join(d.targets, 'app/run/pipe')]);
  const plan = await planFor(d, [moduleOf(d, 'app', { file: 'new' })]);
  await prepare(d, plan);
  await switchTargets(d.host, plan);
  assert.equal(standing(d), [
    'targets/ 755',
    'targets/app/ 755',
    'targets/app/file 644 new',
    'targets/app/run/ 755',
    'targets/app/run/pipe special',
  ]);
});

test('a file that another program holds open and writes keeps what it wrote through undo', async ({ d }) => {
  d.put('targets/app/log', 'old');
  const plan = await planFor(d, [moduleOf(d, 'app', { log: 'new' })]);
  await prepare(d, plan);
  d.put('targets/app/log', 'old, edited after the backup');
  await switchTargets(d.host, plan);
  await restoreTargets(d.host, plan);
  assert.ok(d.snapshot().includes('targets/app/log 644 old, edited after the backup'));
});

const isRoot = process.getuid?.() === 0;

test('a target on another filesystem is backed up by a copy and restored, also where the disk is full by then', async ({
  d,
}) => {
  const mount = join(d.targets, 'ram');
  mkdirSync(mount);
  if (!isRoot || spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', mount]).status !== 0) {
    console.log('skipped: target on tmpfs: needs root and mount');
    return;
  }
  try {
    d.put('targets/ram/app/tool', 'old', 0o750);
    symlinkSync('tool', join(mount, 'app/link'));
    const before = d.snapshot('targets/ram');
    const base = moduleOf(d, 'ram/app', { tool: 'new' });
    const plan = await planFor(d, [{ ...base, name: 'app' }]);
    await prepare(d, plan);
    await switchTargets(d.host, plan);
    assert.ok(d.snapshot().includes('targets/ram/app/tool 750 new'));
    const filler = join(mount, 'filler');
    assert.throws(() => writeFileSync(filler, Buffer.alloc(9_000_000)), /ENOSPC/);
    await restoreTargets(d.host, plan);
    rmSync(filler);
    assert.equal(d.snapshot('targets/ram'), before);

    const large = {
      ...base,
      name: 'app',
      files: [...base.files].map((file) => ({ ...file, sizeBytes: 8_000_000 })),
    };
    assert.match(
      await refusal(() => planFor(d, [large])),
      /DISK_FULL: the update needs \d+ bytes .*ram.* are free/,
    );
  } finally {
    execFileSync('umount', ['--lazy', mount]);
  }
});

test('an immutable target fails the switch, and undo brings the others back', async ({ d }) => {
  const stubborn = d.put('targets/app/z', 'old z');
  d.put('targets/app/a', 'old a');
  if (!isRoot || spawnSync('chattr', ['+i', stubborn]).status !== 0) {
    console.log('skipped: immutable target: needs root and a filesystem with chattr +i');
    return;
  }
  try {
    const before = d.snapshot();
    const plan = await planFor(d, [moduleOf(d, 'app', { a: 'new a', z: 'new z' })]);
    await prepare(d, plan);
    assert.match(await refusal(() => switchTargets(d.host, plan)), /DEPLOYMENT_FAILED: replacing .*z: EPERM/);
    await restoreTargets(d.host, plan);
    assert.equal(d.snapshot(), before);
  } finally {
    spawnSync('chattr', ['-i', stubborn]);
  }
});

test('a read-only filesystem is refused while staging, by name', async ({ d }) => {
  const mount = join(d.targets, 'ro');
  mkdirSync(mount);
  if (!isRoot || spawnSync('mount', ['-t', 'tmpfs', '-o', 'ro,size=8m', 'tmpfs', mount]).status !== 0) {
    console.log('skipped: read-only target: needs root and mount');
    return;
  }
  try {
    const plan = await planFor(d, [{ ...moduleOf(d, 'ro', { file: 'new' }), name: 'app' }]);
    assert.match(await refusal(() => prepare(d, plan)), /DEPLOYMENT_FAILED: staging .*ro\/file: EROFS/);
  } finally {
    execFileSync('umount', ['--lazy', mount]);
    rmSync(mount, { recursive: true });
  }
});

test.run();
