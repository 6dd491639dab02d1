/** What is not the package's stays: files of others, edited ones, mounted volumes; and what stands already is left alone. */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DeployedFile } from '../../src/deploy/deployed-record.ts';
import { fileSteps, type Plan } from '../../src/deploy/plan.ts';
import type { Recorded } from '../../src/deploy/recorded.ts';
import { clearAway, switchTargets } from '../../src/deploy/switch.ts';
import type { ReleaseModule, WhenThere } from '../../src/release.ts';
import { moduleOf, planFor, prepare, refusal } from './parts.ts';
import { type Device, device } from './rig.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('what is not ours', {} as Context);
test.before.each((context) => {
  context.d = device();
});
test.after.each(({ d }) => d.remove());

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** The record of a module `app` that was deployed with these files. */
function deployed(d: Device, files: Record<string, string>, directories: readonly string[] = []): Recorded {
  const lines = Object.entries(files).map(([name, content]): [string, DeployedFile] => {
    const path = join(d.targets, 'app', name);
    const { mode, uid, gid } = statSync(path);
    const facts = { kind: 'file', module: 'app', path, entry: name, mode: mode & 0o7777, uid, gid } as const;
    return [path, { ...facts, sizeBytes: content.length, crc32: 0, sha256: sha256(content) }];
  });
  return {
    files: new Map(lines),
    links: new Map(),
    directories: new Set(directories.map((name) => join(d.targets, 'app', name))),
    modules: new Map(),
  };
}

function tree(d: Device, files: Record<string, string>, more: Partial<ReleaseModule> = {}): ReleaseModule {
  const base = moduleOf(d, 'app', files);
  return {
    ...base,
    exact: false,
    ...more,
    files: [...base.files].map((file) => ({ ...file, sha256: sha256(file.entry) })),
  };
}

/** The same with what becomes of files that are there. */
function when(module: ReleaseModule, whenThere: WhenThere, name: string): ReleaseModule {
  const files = [...module.files].map((file) =>
    file.target.endsWith(`/${name}`) ? { ...file, whenThere } : file,
  );
  return { ...module, files };
}

async function installed(d: Device, module: ReleaseModule, recorded?: Recorded): Promise<Plan> {
  const plan = await planFor(d, [module], recorded);
  await prepare(d, plan);
  await switchTargets(d.host, plan);
  await clearAway(d.host, plan, false);
  return plan;
}

/** All plans of a test have the same id. */
function forget(d: Device): void {
  rmSync(d.backups, { recursive: true });
  mkdirSync(d.backups);
}

const text = (d: Device, name: string) => readFileSync(join(d.targets, 'app', name), 'utf8');

(process.getuid?.() === 0 ? test : test.skip)(
  "directories made above a file are its owner's where he could have made them, else root's",
  async ({ d }) => {
    mkdirSync(join(d.targets, 'home'));
    chownSync(join(d.targets, 'home'), 1000, 1000);
    const module = (name: string): ReleaseModule => ({
      ...moduleOf(d, `${name}/data/config/printer.cfg`, { '': 'printer' }, false),
      owner: '1000:1001',
    });
    const plan = await planFor(d, [module('home'), module('opt')]);
    await prepare(d, plan);
    await switchTargets(d.host, plan);
    const owners = (path: string) => {
      const { uid, gid, mode } = statSync(join(d.targets, path));
      return `${uid}:${gid} ${(mode & 0o777).toString(8)}`;
    };
    const paths = ['home/data', 'home/data/config', 'opt', 'opt/data', 'opt/data/config'];
    const made = [...Array(2).fill('1000:1001 755'), ...Array(3).fill('0:0 755')];
    assert.equal(paths.map(owners), made);
    assert.is(owners('opt/data/config/printer.cfg'), '1000:1001 644');
  },
);

test('a tree removes what was deployed there; files and directories of others stay, counted and named', async ({
  d,
}) => {
  for (const name of ['index', 'gone', 'old/gone', 'uploads/photo', 'note'])
    d.put(`targets/app/${name}`, name);
  mkdirSync(join(d.targets, 'app/empty'));
  const recorded = deployed(d, { index: 'index', gone: 'gone', 'old/gone': 'old/gone' }, ['', 'old']);
  await installed(d, tree(d, { index: 'new index' }), recorded);
  assert.equal(d.snapshot('targets/app'), [
    'targets/app/ 755',
    'targets/app/empty/ 755',
    'targets/app/index 644 new index',
    'targets/app/note 644 note',
    'targets/app/uploads/ 755',
    'targets/app/uploads/photo 644 uploads/photo',
  ]);
  assert.match(
    d.logged.join('\n'),
    /2 files below .*app are not the package's and stay: .*app\/note, .*uploads\/photo/,
  );
});

test("without a record all that stands is somebody else's", async ({ d }) => {
  d.put('targets/app/data', 'precious');
  await installed(d, tree(d, { index: 'new' }));
  assert.is(text(d, 'data'), 'precious');
});

test('an exact tree takes all of it away, and says what', async ({ d }) => {
  d.put('targets/app/data', 'x');
  await installed(d, tree(d, { index: 'new' }, { exact: true }));
  assert.not(existsSync(join(d.targets, 'app/data')));
  assert.match(d.logged.join('\n'), /1 file below .*app go: .*app\/data/);
});

for (const kind of ['tmpfs', 'bind'] as const)
  test(`a volume mounted below a tree (${kind}) is not emptied, not even by an exact one`, async ({ d }) => {
    const mount = join(d.targets, 'app/data');
    d.put('volume/photo', 'precious');
    mkdirSync(mount, { recursive: true });
    const argv =
      kind === 'bind' ? ['--bind', join(d.root, 'volume'), mount] : ['-t', 'tmpfs', 'tmpfs', mount];
    if (process.getuid?.() !== 0 || spawnSync('mount', argv).status !== 0) {
      console.log('skipped: needs root and mount');
      return;
    }
    try {
      writeFileSync(join(mount, 'photo'), 'precious');
      await installed(d, tree(d, { index: 'new' }, { exact: true }));
      assert.is(readFileSync(join(mount, 'photo'), 'utf8'), 'precious');
      assert.match(d.logged.join('\n'), /app\/data is a mount point: it stays/);
    } finally {
      spawnSync('umount', ['--lazy', mount]);
    }
  });

test('a file that people edit: replaced as it was deployed, else the new one is put beside', async ({
  d,
}) => {
  const module = (content: string) => when(tree(d, { 'printer.cfg': content }), 'config', 'printer.cfg');
  d.put('targets/app/printer.cfg', 'one');
  await installed(d, module('two'), deployed(d, { 'printer.cfg': 'one' }));
  assert.is(text(d, 'printer.cfg'), 'two');
  forget(d);

  const recorded = deployed(d, { 'printer.cfg': 'two' });
  d.put('targets/app/printer.cfg', 'mine');
  await installed(d, module('three'), recorded);
  assert.is(text(d, 'printer.cfg'), 'mine');
  assert.is(text(d, 'printer.cfg.new'), 'three');
  assert.match(
    d.logged.join('\n'),
    /warn .*printer\.cfg was edited: it stays, the one of the package is .*\.new/,
  );

  forget(d);
  d.put('targets/app/printer.cfg', 'three'); // taken over: as deployed again
  await installed(d, module('four'), deployedBeside(d, 'three'));
  assert.is(text(d, 'printer.cfg'), 'four');
  assert.not(existsSync(join(d.targets, 'app/printer.cfg.new')));
});

/** The record of `printer.cfg.new` with that content, put beside an edited one. */
function deployedBeside(d: Device, content: string): Recorded {
  const recorded = deployed(d, { 'printer.cfg.new': content });
  const path = join(d.targets, 'app/printer.cfg.new');
  const line = recorded.files.get(path);
  if (line === undefined) throw new Error('it is recorded');
  return {
    ...recorded,
    files: new Map([[path, { ...line, isConfig: true as const, isBeside: true as const }]]),
  };
}

test('what was put beside an edited file goes with the edits, unless it was edited itself', async ({ d }) => {
  const module = (content: string) => when(tree(d, { 'printer.cfg': content }), 'config', 'printer.cfg');
  d.put('targets/app/printer.cfg', 'three');
  d.put('targets/app/printer.cfg.new', 'three');
  const ofThree = deployedBeside(d, 'three');
  d.put('targets/app/printer.cfg.new', 'mine');
  await installed(d, module('four'), ofThree);
  assert.is(text(d, 'printer.cfg'), 'four');
  assert.is(text(d, 'printer.cfg.new'), 'mine');
  forget(d);

  // Edited for longer than one update.
  d.put('targets/app/printer.cfg', 'edited long ago');
  d.put('targets/app/printer.cfg.new', 'three');
  await installed(d, module('five'), ofThree);
  assert.match(d.logged.join('\n'), /printer\.cfg was edited: it stays/);
  assert.is(text(d, 'printer.cfg.new'), 'five');
  forget(d);

  // One that brings the very bytes that people have come to.
  d.put('targets/app/printer.cfg', 'five');
  d.put('targets/app/printer.cfg.new', 'three');
  await installed(d, module('five'), ofThree);
  assert.is(text(d, 'printer.cfg'), 'five');
  assert.not(existsSync(join(d.targets, 'app/printer.cfg.new')));
  assert.match(d.logged.join('\n'), /printer\.cfg\.new goes: .*printer\.cfg is not edited any more/);
});

for (const [what, prepared] of [
  ["somebody's own", (d: Device) => deployed(d, { 'printer.cfg': 'two' })],
  ['put there by an update, and edited since', (d: Device) => deployedBeside(d, 'three')],
] as const)
  for (const exact of [false, true])
    test(`what stands beside an edited file stays: ${what}${exact ? ', in an exact tree' : ''}`, async ({
      d,
    }) => {
      const module = (content: string) => ({
        ...when(tree(d, { 'printer.cfg': content }), 'config', 'printer.cfg'),
        exact,
      });
      d.put('targets/app/printer.cfg', 'mine');
      d.put('targets/app/printer.cfg.new', 'three');
      const recorded = prepared(d);
      d.put('targets/app/printer.cfg.new', 'also mine');
      const plan = await installed(d, module('four'), recorded);
      assert.equal([...fileSteps(plan)], []);
      assert.equal([text(d, 'printer.cfg'), text(d, 'printer.cfg.new')], ['mine', 'also mine']);
      const told = d.logged.filter((line) => /printer\.cfg\.new/.test(line));
      assert.is(told.length, 1);
      assert.match(
        told[0] ?? '',
        /warn .*printer\.cfg was edited: it stays, without the one of the package: .*printer\.cfg\.new is not as an update put it, and stays, too/,
      );
      // The record of that update tells of neither.
      forget(d);
      await installed(d, module('five'));
      assert.equal([text(d, 'printer.cfg'), text(d, 'printer.cfg.new')], ['mine', 'also mine']);
      forget(d);
      rmSync(join(d.targets, 'app/printer.cfg.new'));
      await installed(d, module('six'));
      assert.equal([text(d, 'printer.cfg'), text(d, 'printer.cfg.new')], ['mine', 'six']);
    });

test('beside an edited file a directory stays, and so does a symlink that no update made', async ({ d }) => {
  const module = when(tree(d, { 'printer.cfg': 'two' }), 'config', 'printer.cfg');
  const beside = join(d.targets, 'app/printer.cfg.new');
  d.put('targets/app/printer.cfg', 'mine');
  mkdirSync(beside);
  await installed(d, module);
  assert.ok(statSync(beside).isDirectory());
  rmSync(beside, { recursive: true });
  forget(d);
  symlinkSync('printer.cfg', beside);
  await installed(d, module);
  assert.equal([readlinkSync(beside), text(d, 'printer.cfg')], ['printer.cfg', 'mine']);
});

test('a file that people edit stays where the package has it no more, edited or not, but not in an exact tree', async ({
  d,
}) => {
  d.put('targets/app/printer.cfg', 'mine');
  d.put('targets/app/index', 'one');
  const recorded = deployed(d, { 'printer.cfg': 'one', index: 'one' });
  const path = join(d.targets, 'app/printer.cfg');
  const line = recorded.files.get(path);
  if (line === undefined) throw new Error('it is recorded');
  const files = new Map([[path, { ...line, isConfig: true as const }]]);
  const next = tree(d, { other: 'two' });
  await installed(d, next, { ...recorded, files });
  assert.is(text(d, 'printer.cfg'), 'mine');
  assert.match(d.logged.join('\n'), /printer\.cfg is what people edit: it stays/);
  forget(d);
  await installed(d, { ...next, exact: true }, { ...recorded, files });
  assert.not(existsSync(path));
});

test('a manifest that learns what people edit protects what it has no more; others stay as ever', async ({
  d,
}) => {
  for (const name of ['e.cfg', 'sub/f.cfg', 'index']) d.put(`targets/app/${name}`, 'one');
  const recorded = deployed(d, { 'e.cfg': 'one', 'sub/f.cfg': 'one', index: 'one' }, ['', 'sub']);
  d.put('targets/app/e.cfg', 'mine');
  await installed(d, tree(d, { other: 'two' }, { config: ['**/*.cfg'] }), recorded);
  assert.equal([text(d, 'e.cfg'), text(d, 'sub/f.cfg')], ['mine', 'one']);
  assert.not(existsSync(join(d.targets, 'app/index')));
});

test('an edited file that goes is told as one that is replaced is, and its backup holds the edits', async ({
  d,
}) => {
  for (const name of ['a', 'b']) d.put(`targets/app/${name}`, 'one');
  const recorded = deployed(d, { a: 'one', b: 'one' });
  d.put('targets/app/b', 'two'); // of the same size
  for (const exact of [false, true]) {
    d.logged.length = 0;
    await planFor(d, [tree(d, { other: 'o' }, { exact })], recorded);
    assert.match(
      d.logged.join('\n'),
      /warn .*app\/b was edited since it was deployed: it goes, .*in the backups/,
    );
    assert.not.match(d.logged.join('\n'), /app\/a was edited/);
  }
  const plan = await installed(d, tree(d, { other: 'o' }), recorded);
  const step = [...fileSteps(plan)].find(({ target }) => target.endsWith('/b'));
  assert.is(readFileSync(step?.backup ?? '', 'utf8'), 'two');
});

test('a module that goes to another place leaves what it had at the old one, and says so, once', async ({
  d,
}) => {
  const service = { module: 'app', processName: undefined, restartOrder: undefined, unit: undefined };
  const at = (place: string) =>
    new Map([['app', { place, service: { ...service, start: undefined, health: undefined } }]]);
  d.put('targets/old/index', 'one');
  const place = join(d.targets, 'old');
  const moves =
    /warn module "app" goes to .*targets\/app now: what earlier updates put to .*targets\/old stays there/;
  await installed(d, tree(d, { index: 'two' }), { ...deployed(d, {}), modules: at(place) });
  assert.match(d.logged.join('\n'), moves);
  assert.is(readFileSync(join(place, 'index'), 'utf8'), 'one');
  forget(d);
  d.logged.length = 0;
  // At its place; a directory that somebody has moved and linked; one of which nothing stands.
  renameSync(place, join(d.targets, 'moved'));
  for (const [was, module] of [
    ['app', tree(d, { index: '3' })],
    ['none', tree(d, { index: '3' })],
  ] as const)
    await planFor(d, [module], { ...deployed(d, {}), modules: at(join(d.targets, was)) });
  symlinkSync('app', place);
  await planFor(d, [tree(d, { index: '3' })], { ...deployed(d, {}), modules: at(place) });
  assert.not.match(d.logged.join('\n'), /stays there/);
});

test('what is kept is deployed only where there is none, and never removed', async ({ d }) => {
  const module = when(tree(d, { 'uploads/hello': 'hi' }, { keep: ['uploads/**'] }), 'keep', 'uploads/hello');
  await installed(d, module);
  assert.is(text(d, 'uploads/hello'), 'hi');
  d.put('targets/app/uploads/hello', 'mine');
  d.put('targets/app/uploads/more', 'more');
  const plan = await installed(d, { ...module, exact: true });
  assert.equal([...fileSteps(plan)], []);
  assert.is(text(d, 'uploads/hello'), 'mine');
  assert.is(text(d, 'uploads/more'), 'more');
  assert.match(d.logged.join('\n'), /1 file below .*app is kept by the manifest: .*uploads\/more/);
  assert.not.match(d.logged.join('\n'), /not the package's/);
});

test('of a settings file that no update has deployed nobody says that it was edited', async ({ d }) => {
  d.put('targets/app/printer.cfg', 'of the factory');
  await installed(d, when(tree(d, { 'printer.cfg': 'new' }), 'config', 'printer.cfg'));
  assert.equal([text(d, 'printer.cfg'), text(d, 'printer.cfg.new')], ['of the factory', 'new']);
  assert.match(d.logged.join('\n'), /printer\.cfg was not deployed by an update: it stays/);
  assert.not.match(d.logged.join('\n'), /was edited/);
});

test('an edited file that is neither is replaced with a warning, and its backup holds the edits', async ({
  d,
}) => {
  d.put('targets/app/index', 'one');
  const recorded = deployed(d, { index: 'one' });
  d.put('targets/app/index', 'mine');
  const plan = await installed(d, tree(d, { index: 'two' }), recorded);
  assert.is(text(d, 'index'), 'two');
  assert.match(
    d.logged.join('\n'),
    /warn .*index was edited since it was deployed: it is replaced, and kept in the backups/,
  );
  assert.is(readFileSync([...fileSteps(plan)][0]?.backup ?? '', 'utf8'), 'mine');
});

test('a file that stands already is neither staged nor backed up nor renamed; one with another mode is put', async ({
  d,
}) => {
  d.put('targets/app/same', 'same', 0o640);
  d.put('targets/app/mode', 'mode', 0o600);
  d.put('targets/app/other', 'old');
  const inode = statSync(join(d.targets, 'app/same')).ino;
  const module = tree(d, { same: 'same', mode: 'mode', other: 'new' });
  const forced = [...module.files].map((file) =>
    file.target.endsWith('/mode') ? { ...file, mode: 0o755, modeIsForced: true } : file,
  );
  const plan = await installed(d, { ...module, files: forced });
  assert.equal(
    [...fileSteps(plan)].map(({ target }) => target),
    ['mode', 'other'].map((name) => join(d.targets, 'app', name)),
  );
  assert.is(statSync(join(d.targets, 'app/same')).ino, inode);
  assert.is(statSync(join(d.targets, 'app/mode')).mode & 0o7777, 0o755);
});

/** A user of a service can make them in a moment; no package brings such paths. */
test('paths that are too long for a package are not looked into: they stay, and an exact tree is refused that has one', async ({
  d,
}) => {
  const deep = join(d.targets, 'app', ...Array.from({ length: 14 }, () => 'x'.repeat(250)));
  mkdirSync(deep, { recursive: true });
  d.put('targets/app/short', 'of the user');
  const plan = await planFor(d, [tree(d, { new: '1' })]);
  assert.is([...plan.steps].length, 1);
  assert.match(d.logged.join('\n'), /2 files below .*app are not the package's and stay: .*\/short/);
  const said = await refusal(() => planFor(d, [tree(d, { new: '1' }, { exact: true })]));
  assert.match(
    said,
    /^DEPLOYMENT_FAILED: .*app holds a path of more than 1024 bytes that is not in the package: .*xxx\.\.\.$/,
  );
  const kept = await planFor(d, [tree(d, { new: '1' }, { exact: true, keep: ['x*/**', 'short'] })]);
  assert.is([...kept.steps].length, 1);
});

test.run();
