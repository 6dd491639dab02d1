/** Places that change their kind: files that become directories, directories that become files, and links in between. */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { saveBackups } from '../../src/deploy/backup.ts';
import type { DeployedFile, DeployedLink } from '../../src/deploy/deployed-record.ts';
import { makePlan } from '../../src/deploy/make-plan.ts';
import { wantsOfRollback } from '../../src/deploy/past-updates.ts';
import { fileSteps, type Plan } from '../../src/deploy/plan.ts';
import { withPlanGroup } from '../../src/deploy/plan-group.ts';
import type { Recorded } from '../../src/deploy/recorded.ts';
import { makeDirectories, stageBackups } from '../../src/deploy/stage.ts';
import { openSteps } from '../../src/deploy/step-list.ts';
import { surveyWants } from '../../src/deploy/survey.ts';
import { clearAway, switchTargets } from '../../src/deploy/switch.ts';
import { discardStaged, restoreTargets } from '../../src/deploy/undo.ts';
import { moduleOf, planFor, prepare, refusal } from './parts.ts';
import { type Device, device } from './rig.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('places that change their kind', {} as Context);
test.before.each((context) => {
  context.d = device();
});
test.after.each(({ d }) => d.remove());

/** What stands at each name of the tree: text, `-> place` of a symlink, null of an empty directory. */
type Standing = Readonly<Record<string, string | null>>;

function deploy(d: Device, standing: Standing): Recorded {
  const files = new Map<string, DeployedFile>();
  const links = new Map<string, DeployedLink>();
  const directories = new Set<string>();
  const common = { module: 'app', mode: 0o644, uid: 0, gid: 0 };
  for (const [name, text] of Object.entries(standing)) {
    const path = join(d.targets, 'app', name);
    for (let at = join(path, '..'); at.startsWith(join(d.targets, 'app')); at = join(at, '..'))
      directories.add(at);
    if (text === null) {
      mkdirSync(path, { recursive: true });
      directories.add(path);
    } else if (text.startsWith('-> ')) {
      mkdirSync(join(path, '..'), { recursive: true });
      symlinkSync(text.slice(3), path);
      links.set(path, { kind: 'link', path, to: text.slice(3), ...common });
    } else {
      d.put(`targets/app/${name}`, text);
      files.set(path, { kind: 'file', path, entry: name, sizeBytes: text.length, sha256: '', ...common });
    }
  }
  return { files, links, directories, modules: new Map() };
}

function release(d: Device, standing: Standing) {
  const module = moduleOf(
    d,
    'app',
    Object.fromEntries(Object.entries(standing).map(([name, text]) => [name, text ?? ''])),
  );
  const files = [...module.files].map((file) =>
    file.entry.startsWith('-> ')
      ? { ...file, link: file.entry.slice(3), sizeBytes: file.sizeBytes - 3 }
      : file,
  );
  return { ...module, exact: false, files };
}

async function rollbackOf(d: Device, plan: Plan): Promise<Plan> {
  const wants = await wantsOfRollback(d.host.files, [plan]);
  const self = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const facts = await surveyWants(d.host.files, wants, self);
  const header = { ...plan, id: '20261124T200000000Z', kind: 'rollback', consumes: [plan.id] } as const;
  const roots = { backupDirectory: d.backups, moduleRoots: new Map() };
  const back = await makePlan({ ...header, ...roots }, wants, facts, await openSteps());
  await makeDirectories(d.host, back);
  await withPlanGroup(d.host.files, back, [d.backups], 'DEPLOYMENT_FAILED', async (group) => {
    await stageBackups(d.host, back, group);
    return saveBackups(d.host, d.backups, back, group);
  });
  return back;
}

const cases: readonly (readonly [string, Standing, Standing])[] = [
  ['a file becomes a directory', { x: 'old x', y: 'y' }, { 'x/a': 'a', 'x/sub/b': 'b', y: 'y2' }],
  [
    'a directory becomes a file',
    { 'x/a': 'a', 'x/sub/b': 'b', 'x/none': null, y: 'y' },
    { x: 'new x', y: 'y2' },
  ],
  [
    'a symlink becomes a directory',
    { 'real/a': 'a', x: '-> real' },
    { 'real/a': 'a', 'x/a': 'own a', 'x/s/b': 'b' },
  ],
  [
    'a directory becomes a symlink',
    { 'real/z': 'z', 'x/a': 'a', 'x/s/b': 'b' },
    { 'real/z': 'z', x: '-> real' },
  ],
  ['two change places', { a: 'file a', 'b/f': 'f' }, { 'a/f': 'f2', b: 'file b' }],
];

for (const [what, before, after] of cases) {
  test(`${what}, and back by a rollback`, async ({ d }) => {
    const recorded = deploy(d, before);
    const old = d.snapshot();
    const plan = await planFor(d, [release(d, after)], recorded);
    await prepare(d, plan);
    assert.equal(
      d.snapshot().filter((line) => !line.includes('.tope-')),
      old,
      'staging changes nothing',
    );
    await switchTargets(d.host, plan);
    await switchTargets(d.host, plan); // again, as after a cut
    await clearAway(d.host, plan, false);
    await clearAway(d.host, plan, true);
    const now = d.snapshot();
    const other = device();
    deploy(other, after);
    assert.equal(now, other.snapshot());
    other.remove();

    const back = await rollbackOf(d, plan);
    await switchTargets(d.host, back);
    await clearAway(d.host, back, false);
    assert.equal(d.snapshot(), old);
  });

  test(`${what}, and back by an undo, also of a rollback, wherever the switch ended`, async ({ d }) => {
    const recorded = deploy(d, before);
    const old = d.snapshot();
    const plan = await planFor(d, [release(d, after)], recorded);
    await prepare(d, plan);
    await discardStaged(d.host, plan);
    assert.equal(d.snapshot(), old);
    for (let calls = 0, isWhole = false; !isWhole; calls++) {
      rmSync(d.backups, { recursive: true });
      mkdirSync(d.backups);
      await prepare(d, plan);
      isWhole = await cutAfter(calls, d, (host) => switchTargets(host, plan));
      await cutAfter(calls % 7, d, async (host) => void (await restoreTargets(host, plan))); // an undo that is cut itself
      await restoreTargets(d.host, plan);
      assert.equal(d.snapshot(), old, `after ${calls} calls`);
    }
    await prepareAgain(d, plan);
    await switchTargets(d.host, plan);
    await clearAway(d.host, plan, false);
    const now = d.snapshot();
    const back = await rollbackOf(d, plan);
    await switchTargets(d.host, back);
    await restoreTargets(d.host, back);
    assert.equal(d.snapshot(), now);
  });
}

async function prepareAgain(d: Device, plan: Plan): Promise<void> {
  rmSync(d.backups, { recursive: true });
  mkdirSync(d.backups);
  await prepare(d, plan);
}

/** Lets only so many changes of names happen; true where that was all of them. */
async function cutAfter(
  calls: number,
  d: Device,
  action: (host: Device['host']) => Promise<void>,
): Promise<boolean> {
  let left = calls;
  const counted =
    <A extends unknown[]>(call: (...args: A) => Promise<void>) =>
    async (...args: A) => {
      if (left-- <= 0) throw Object.assign(new Error('EIO: cut'), { code: 'EIO' });
      await call(...args);
    };
  const { files } = d.host;
  const { rename, remove, removeDirectory } = files;
  const cut = { rename: counted(rename), remove: counted(remove), removeDirectory: counted(removeDirectory) };
  try {
    await action({ ...d.host, files: { ...files, ...cut } });
    return true;
  } catch {
    return false;
  }
}

test('what somebody put into a directory that becomes a file is not lost: refused, also when it comes late', async ({
  d,
}) => {
  const recorded = deploy(d, { 'x/a': 'a' });
  d.put('targets/app/x/mine', 'precious');
  assert.match(
    await refusal(() => planFor(d, [release(d, { x: 'file' })], recorded)),
    /app\/x is a directory, a file is due there; what is not the package's would be lost: .*x\/mine/,
  );
  rmSync(join(d.targets, 'app/x/mine'));
  const old = d.snapshot();
  const plan = await planFor(d, [release(d, { x: 'file' })], recorded);
  await prepare(d, plan);
  d.put('targets/app/x/late', 'precious');
  assert.match(await refusal(() => switchTargets(d.host, plan)), /somebody has made .*x\/late meanwhile/);
  await restoreTargets(d.host, plan);
  rmSync(join(d.targets, 'app/x/late'));
  assert.equal(d.snapshot(), old);
});

test('an edited file in the place of a directory is told, and one that people edit stays: refused', async ({
  d,
}) => {
  const deployed = deploy(d, { x: 'old', y: 'y' });
  const sha256 = createHash('sha256').update('old').digest('hex');
  const path = join(d.targets, 'app/x');
  const record = (isConfig: boolean, at = path, isBeside = false): Recorded => ({
    ...deployed,
    files: new Map([
      [at, { sizeBytes: 3, sha256, ...(isConfig && { isConfig }), ...(isBeside && { isBeside }) }],
    ]),
  });
  const next = release(d, { 'x/a': 'a' });
  await planFor(d, [next], record(true));
  assert.not.match(d.logged.join('\n'), /app\/x/, 'nobody has edited it');
  d.put('targets/app/x', 'new');
  await planFor(d, [next], record(false));
  assert.match(d.logged.join('\n'), /warn .*app\/x was edited since it was deployed: it becomes a directory/);
  const refused = /app\/x is what people edit and was edited .*, so it stays, but a directory is due there/;
  const learned = { ...next, config: ['x'] };
  assert.match(await refusal(() => planFor(d, [next], record(true))), refused);
  assert.match(await refusal(() => planFor(d, [learned], record(false))), refused);
  // Edited before the last update, too: the record tells what was put beside it.
  assert.match(await refusal(() => planFor(d, [next], record(true, `${path}.new`, true))), refused);
  assert.match(
    await refusal(() => planFor(d, [learned], { ...deployed, files: new Map() })),
    /app\/x is what people edit and was not deployed by an update, so it stays/,
  );
});

test('what somebody put into a directory that came is put aside by the undo', async ({ d }) => {
  const recorded = deploy(d, { x: 'old' });
  const plan = await planFor(d, [release(d, { 'x/a': 'a' })], recorded);
  await prepare(d, plan);
  await switchTargets(d.host, plan);
  d.put('targets/app/x/mine', 'precious');
  await restoreTargets(d.host, plan);
  assert.equal(
    d.snapshot().map((line) => line.replace(plan.id, 'ID')),
    [
      'targets/ 755',
      'targets/app/ 755',
      'targets/app/x 644 old',
      'targets/app/x.ID/ 755',
      'targets/app/x.ID/mine 644 precious',
    ],
  );
});

test('a symlink that somebody made in the place of a directory is left, and said', async ({ d }) => {
  const recorded = deploy(d, { y: 'y' });
  d.put('targets/elsewhere/f', 'f');
  symlinkSync('../elsewhere', join(d.targets, 'app/x'));
  assert.match(
    await refusal(() => planFor(d, [release(d, { 'x/a': 'a' })], recorded)),
    /app\/x is a symlink that no update deployed/,
  );
  assert.not(existsSync(join(d.targets, 'elsewhere/a')));
});

test('a module that was a tree becomes a file, and one that was a file a tree', async ({ d }) => {
  const recorded = deploy(d, { a: 'a', 'sub/b': 'b' });
  const single = moduleOf(d, 'app', { app: 'single' }, false);
  const plan = await planFor(d, [single], recorded);
  await prepare(d, plan);
  await switchTargets(d.host, plan);
  await clearAway(d.host, plan, false);
  assert.equal(d.snapshot(), ['targets/ 755', 'targets/app 644 single']);
  await prepareAgain(d, await planFor(d, [release(d, { a: 'tree' })]));
});

test('a tree whose place is a symlink to a directory goes into that directory', async ({ d }) => {
  d.put('targets/app-1/a', 'old');
  symlinkSync('app-1', join(d.targets, 'app'));
  const plan = await planFor(d, [release(d, { a: 'new', 'sub/b': 'b' })]);
  await prepare(d, plan);
  await switchTargets(d.host, plan);
  await clearAway(d.host, plan, false);
  assert.ok(lstatSync(join(d.targets, 'app')).isSymbolicLink());
  assert.ok([...fileSteps(plan)].every(({ target }) => target.startsWith(join(d.targets, 'app-1/'))));
  assert.equal(d.snapshot('targets/app-1'), [
    'targets/app-1/ 755',
    'targets/app-1/a 644 new',
    'targets/app-1/sub/ 755',
    'targets/app-1/sub/b 644 b',
  ]);
});

test('one that leads out of the allowed roots is refused', async ({ d }) => {
  d.put('elsewhere/a', 'precious');
  symlinkSync(join(d.root, 'elsewhere'), join(d.targets, 'app'));
  assert.match(
    await refusal(() => planFor(d, [release(d, { a: 'new' })])),
    /INVALID_MANIFEST.*outside the allowed roots/,
  );
});

test('an exact tree removes a name that is no UTF-8, and its undo brings it back', async ({ d }) => {
  const name = Buffer.concat([Buffer.from(`${join(d.targets, 'app')}/`), Buffer.from([0xe4, 0x2e, 0x74])]);
  d.put('targets/app/a', 'a');
  writeFileSync(name, 'latin');
  const plan = await planFor(d, [{ ...release(d, { a: 'new' }), exact: true }]);
  await prepare(d, plan);
  await switchTargets(d.host, plan);
  assert.not(existsSync(name));
  await restoreTargets(d.host, plan);
  assert.ok(existsSync(name));
});

test.run();
