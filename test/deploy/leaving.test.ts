/** Modules that go: which ones, what of them goes, what stays and is named, and that an undo brings all of it back. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DeployedModule, RecordLine } from '../../src/deploy/deployed-record.ts';
import { type Plan, summaryOf } from '../../src/deploy/plan.ts';
import { readRecorded } from '../../src/deploy/recorded.ts';
import { clearAway, switchTargets } from '../../src/deploy/switch.ts';
import type { Territory } from '../../src/deploy/territory.ts';
import { restoreTargets } from '../../src/deploy/undo.ts';
import type { Release, ReleaseModule } from '../../src/release.ts';
import { putRecord } from '../fixtures/put-record.ts';
import { moduleOf, planFor, prepare, refusal } from './parts.ts';
import { type Device, device } from './rig.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('modules that go', {} as Context);
test.before.each((context) => {
  context.d = device();
});
test.after.each(({ d }) => d.remove());

interface Was {
  /** Path below the targets -> content. */
  readonly files: Readonly<Record<string, string>>;
  readonly links?: Readonly<Record<string, string>>;
  readonly config?: readonly string[];
  /** Below the targets; undefined: a single file. */
  readonly tree?: string;
  readonly isSelf?: true;
}

/** Deploys modules as an earlier update did, and records them. */
async function deployed(d: Device, modules: Readonly<Record<string, Was>>): Promise<void> {
  const id = '20261122T200000000Z';
  const lines = Object.entries(modules).flatMap(
    ([module, { files, links = {}, config = [], tree, isSelf }]) => {
      const at = (name: string) => join(d.targets, name);
      const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
      const edited = (name: string) => (config.includes(name) ? { isConfig: true as const } : {});
      const service = { module, processName: undefined, restartOrder: undefined, unit: undefined };
      const first: DeployedModule = {
        ...{ kind: 'module', name: module, id, tree: tree === undefined ? null : at(tree) },
        ...(isSelf && { isSelf }),
        service: { ...service, start: undefined, health: undefined },
      };
      const directories = new Set<string>();
      const below = (name: string) => {
        for (let path = name; tree !== undefined && path !== tree; ) {
          path = path.slice(0, path.lastIndexOf('/'));
          directories.add(path);
        }
      };
      const placed: RecordLine[] = [];
      for (const [name, content] of Object.entries(files)) {
        below(name);
        d.put(`targets/${name}`, content);
        const sha256 = createHash('sha256').update(content).digest('hex');
        const facts = {
          kind: 'file',
          module,
          path: at(name),
          entry: name,
          sizeBytes: content.length,
        } as const;
        placed.push({ ...facts, sha256, mode: 0o644, ...owner, ...edited(name) });
      }
      for (const [name, to] of Object.entries(links)) {
        below(name);
        symlinkSync(to, at(name));
        placed.push({ kind: 'link', module, path: at(name), to, ...owner, ...edited(name) });
      }
      const kept = [...directories].map(
        (name): RecordLine => ({ kind: 'directory', module, path: at(name), mode: 0o755, ...owner }),
      );
      return [first, ...kept, ...placed];
    },
  );
  const header = { id, version: '1.0.0', package: { sizeBytes: 1, md5: '0'.repeat(32), sha256: null } };
  await putRecord(d.host.files, d.backups, { kind: 'header', format: 3, ...header }, lines);
}

async function planned(
  d: Device,
  more: Partial<Release & Territory>,
  modules: ReleaseModule[] = [],
): Promise<Plan> {
  return planFor(d, modules, await readRecorded(d.host.files, d.backups), more);
}

/** Installs, looks that an undo would have brought all of it back, and installs again. */
async function installed(
  d: Device,
  more: Partial<Release & Territory>,
  modules: ReleaseModule[] = [],
): Promise<void> {
  const before = d.snapshot();
  const undone = await planned(d, more, modules);
  await prepare(d, undone);
  await switchTargets(d.host, undone);
  await restoreTargets(d.host, undone);
  assert.equal(d.snapshot(), before);
  // All plans of a test have the same id.
  for (const name of readdirSync(d.backups))
    if (name.endsWith('.bak')) rmSync(join(d.backups, name), { recursive: true });
  d.logged.length = 0;
  const plan = await planned(d, more, modules);
  await prepare(d, plan);
  await switchTargets(d.host, plan);
  await clearAway(d.host, plan, false);
}

const said = (d: Device) => d.logged.join('\n');
const web: Was = {
  tree: 'web',
  files: { 'web/index': 'index', 'web/js/app': 'app' },
  links: { 'web/js/latest': 'app' },
};

test('a tree goes with its links and directories; other modules stay', async ({ d }) => {
  await deployed(d, { web, app: { files: { 'bin/app': 'app' } } });
  await installed(d, { remove: ['web'] });
  assert.equal(d.snapshot(), ['targets/ 755', 'targets/bin/ 755', 'targets/bin/app 644 app']);
  assert.match(said(d), /module "web" goes, with 5 of its files and directories/);
});

test('complete: every recorded module goes that the package does not name, but never the updater', async ({
  d,
}) => {
  await deployed(d, {
    web,
    app: { files: { 'bin/app': 'app' } },
    voice: { files: { 'bin/voice': 'voice' } },
    updater: { files: { 'bin/updater': 'self' }, isSelf: true },
  });
  const app = { ...moduleOf(d, 'app', { '': 'new app' }, false), target: join(d.targets, 'bin/app') };
  const files = [...app.files].map((file) => ({ ...file, target: app.target }));
  await installed(d, { complete: true }, [{ ...app, files }]);
  assert.equal(d.snapshot('targets'), [
    'targets/ 755',
    'targets/bin/ 755',
    'targets/bin/app 644 new app',
    'targets/bin/updater 644 self',
  ]);
  assert.is(
    await refusal(() => planned(d, { remove: ['updater'] })),
    'INVALID_MANIFEST: remove: "updater" is the updater itself: no package removes it',
  );
});

test('what was edited, what people edit and what others put there stays, and is named', async ({ d }) => {
  await deployed(d, {
    web: {
      tree: 'web',
      files: {
        'web/index': 'index',
        'web/site.cfg': 'cfg',
        'web/a/note': 'note',
        'web/b/gone': 'x',
        'web/c': 'c',
      },
      links: { 'web/way': 'index' },
      config: ['web/site.cfg'],
    },
  });
  d.put('targets/web/a/note', 'mine');
  d.put('targets/web/uploads/photo', 'photo');
  chmodSync(join(d.targets, 'web/index'), 0o600); // no edit
  rmSync(join(d.targets, 'web/c'));
  mkdirSync(join(d.targets, 'web/c'));
  rmSync(join(d.targets, 'web/way'));
  symlinkSync('elsewhere', join(d.targets, 'web/way'));
  await installed(d, { remove: ['web'] });
  assert.equal(d.snapshot('targets/web'), [
    'targets/web/ 755',
    'targets/web/a/ 755',
    'targets/web/a/note 644 mine',
    'targets/web/c/ 755',
    'targets/web/site.cfg 644 cfg',
    'targets/web/uploads/ 755',
    'targets/web/uploads/photo 644 photo',
    'targets/web/way -> elsewhere',
  ]);
  assert.match(said(d), /stays what was edited since it was deployed: .*web\/a\/note, .*web\/way\n/);
  assert.match(said(d), /stays what is what people edit: .*web\/site.cfg\n/);
  assert.match(said(d), /stays what is not what was deployed there: .*web\/c\n/);
  assert.match(said(d), /stays what is not the package's: .*web\/uploads$/m);
});

test('a name that is not recorded is gone already, with or without a record', async ({ d }) => {
  assert.is((await planned(d, { remove: ['voice'] })).steps.length, 0);
  assert.match(said(d), /module "voice" is not installed: there is nothing to remove/);
  await deployed(d, { web });
  assert.is((await planned(d, { remove: ['voice'] })).steps.length, 0);
});

test('what a module of the package wants is its own matter: a new name, a file of a tree, a tree within', async ({
  d,
}) => {
  await deployed(d, { web, voice: { files: { voice: 'voice' } }, b: { files: { 'web/b': 'b' } } });
  const renamed = moduleOf(d, 'web', { index: 'new', 'js/more': 'more' });
  const single = moduleOf(d, 'voice', { '': 'new voice' }, false);
  await installed(d, { remove: ['web', 'voice', 'b'] }, [
    { ...renamed, name: 'site', exact: false },
    { ...single, name: 'speech' },
  ]);
  assert.equal(d.snapshot(), [
    'targets/ 755',
    'targets/voice 644 new voice',
    'targets/web/ 755',
    'targets/web/index 644 new',
    'targets/web/js/ 755',
    'targets/web/js/more 644 more',
  ]);
});

test('directories of a tree that goes stay where a module of the package lies in them', async ({ d }) => {
  await deployed(d, { web });
  const inside = moduleOf(d, 'web/js/lib', { one: '1' });
  await installed(d, { remove: ['web'] }, [{ ...inside, name: 'lib' }]);
  assert.equal(d.snapshot('targets/web'), [
    'targets/web/ 755',
    'targets/web/js/ 755',
    'targets/web/js/lib/ 755',
    'targets/web/js/lib/one 644 1',
  ]);
  assert.not(/is no longer part of its module, but stays/.test(said(d)));
});

test('a file takes the place of a tree that goes', async ({ d }) => {
  await deployed(d, { web });
  await installed(d, { remove: ['web'] }, [{ ...moduleOf(d, 'web', { '': 'file' }, false), name: 'page' }]);
  assert.equal(d.snapshot(), ['targets/ 755', 'targets/web 644 file']);
});

test('a directory that became a symlink leads nowhere; outside the roots nothing is touched', async ({
  d,
}) => {
  await deployed(d, { web });
  renameSync(join(d.targets, 'web/js'), join(d.root, 'elsewhere'));
  symlinkSync(join(d.root, 'elsewhere'), join(d.targets, 'web/js'));
  await installed(d, { remove: ['web'] });
  assert.is(statSync(join(d.root, 'elsewhere/app')).size, 3);
  assert.match(
    said(d),
    /stays what is not what was deployed there: .*web\/js\/app, .*web\/js\/latest, .*web\/js/,
  );
  const other = { remove: ['web'], allowedRoots: [join(d.targets, 'other')] };
  assert.match(
    await refusal(() => planned(d, other)),
    /^INVALID_MANIFEST: module "web", which is to go, has .*, outside the allowed roots$/,
  );
});

test("the updater's own files are not for packages to remove", async ({ d }) => {
  await deployed(d, { web });
  const own = { remove: ['web'], ownPaths: [join(d.targets, 'web/js/app')] };
  assert.match(
    await refusal(() => planned(d, own)),
    /^INVALID_MANIFEST: module "web": .* belongs to the updater itself/,
  );
});

test('a volume mounted in a tree that goes is not emptied', async ({ d }) => {
  await deployed(d, { web });
  const js = join(d.targets, 'web/js');
  if (process.getuid?.() !== 0 || spawnSync('mount', ['--bind', js, js]).status !== 0) {
    console.log('skipped: needs root and mount');
    return;
  }
  try {
    await installed(d, { remove: ['web'] });
    assert.equal(d.snapshot('targets/web'), [
      'targets/web/ 755',
      'targets/web/js/ 755',
      'targets/web/js/app 644 app',
      'targets/web/js/latest -> app',
    ]);
    assert.match(said(d), /stays what lies on another filesystem, mounted there: .*web\/js\/app/);
  } finally {
    spawnSync('umount', [js]);
  }
});

test('a damaged record removes nothing, and that is said', async ({ d }) => {
  await deployed(d, { web });
  d.put('work/backups/20261122T200000000Z.deployed', 'rot\n');
  assert.is((await planned(d, { remove: ['web'] })).steps.length, 0);
  assert.match(said(d), /warn no module is removed: NO_BACKUP: .* is damaged/);
});

test('backups lie in the directory of their module', async ({ d }) => {
  await deployed(d, { web, voice: { files: { 'bin/voice': 'voice', 'bin/voice.new': 'new' } } });
  const plan = await planned(d, { remove: ['web', 'voice'] });
  const backups = [...plan.steps].flatMap((step) => (step.kind === 'remove' ? step.backup : []));
  const own = (name: string) => join(d.backups, name.replace('/', `.${plan.id}.bak/`));
  assert.equal(
    backups.sort(),
    ['voice/voice', 'voice/voice.new', 'web/index', 'web/js/app', 'web/js/latest'].map(own),
  );
  assert.equal([...summaryOf(plan).modules].sort(), ['voice', 'web']);
});

test.run();
