/**
 * A service's user owns the directory that its program is deployed to, and exchanges it for a symlink while root works there.
 * Everything he does here is done by a process of his (uid 65534), without any right of root's.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import fs, {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fileSteps, keptPath, type Plan, putSteps, restorePath, stagedPath } from '../../src/deploy/plan.ts';
import { stageBackups } from '../../src/deploy/stage.ts';
import { clearAway, switchTargets } from '../../src/deploy/switch.ts';
import { discardStaged, restoreTargets } from '../../src/deploy/undo.ts';
import { openWriteGroup } from '../../src/host/write-group.ts';
import { limits } from '../../src/limits.ts';
import { moduleOf, planFor, prepare, refusal } from './parts.ts';
import { type Device, device } from './rig.ts';

const nobody = 65534;

interface Context {
  d: Device;
  /** What only root may see and write: it has files of the very names that the update touches. */
  precious: string;
}
const test = suite<Context>('a neighbour that exchanges his directory for a symlink', {} as Context);
test.before.each((context) => {
  const d = device();
  for (const path of [d.root, d.targets]) chmodSync(path, 0o755);
  const precious = join(d.root, 'precious');
  mkdirSync(precious);
  for (const name of ['app', 'gone']) d.put(`precious/${name}`, `root's ${name}`, 0o600);
  chmodSync(precious, 0o700);
  d.put('targets/svc/bin/app', 'old');
  d.put('targets/svc/bin/gone', 'old too');
  for (const name of ['svc', 'svc/bin', 'svc/bin/app', 'svc/bin/gone'])
    chownSync(join(d.targets, name), nobody, nobody);
  Object.assign(context, { d, precious });
});
test.after.each(({ d }) => d.remove());

function asNeighbour(script: string): void {
  execFileSync('/bin/sh', ['-ec', script], { uid: nobody, gid: nobody });
}

function exchange({ d, precious }: Context): void {
  asNeighbour(`cd ${d.targets}/svc && mv bin bin.mine && ln -s ${precious} bin`);
}

function putBack({ d }: Context): void {
  asNeighbour(`cd ${d.targets}/svc && rm bin && mv bin.mine bin`);
}

/** What lies in the directory that only root may reach. */
function treasure({ precious }: Context): string[] {
  return readdirSync(precious)
    .sort()
    .map((name) => {
      const path = join(precious, name);
      const { mode, uid } = statSync(path);
      return `${name} ${(mode & 0o7777).toString(8)} ${uid} ${readFileSync(path, 'utf8')}`;
    });
}

/** The new version has app and more, no gone. */
async function update(d: Device): Promise<Plan> {
  return planFor(
    d,
    [moduleOf(d, 'svc/bin', { app: 'new', more: 'more' })].map((one) => ({ ...one, name: 'svc' })),
  );
}

if (process.getuid?.() !== 0) console.log('skipped: a neighbour without rights: needs root');
else {
  for (const [what, before, act] of [
    ['staging', async () => undefined, (d, plan) => prepare(d, plan)],
    ['the switch', prepare, (d, plan) => switchTargets(d.host, plan)],
    ['an undo', switched, async (d, plan) => void (await restoreTargets(d.host, plan))],
    ['clearing away after the commit', switched, (d, plan) => clearAway(d.host, plan, true)],
  ] satisfies [
    string,
    (d: Device, plan: Plan) => Promise<void>,
    (d: Device, plan: Plan) => Promise<void>,
  ][]) {
    test(`before ${what}: nothing of root's is touched, and it goes on when the directory is back`, async (context) => {
      const { d } = context;
      const treasured = treasure(context);
      const plan = await update(d);
      await before(d, plan);
      exchange(context);
      await act(d, plan).catch(() => undefined);
      assert.equal(treasure(context), treasured);
      putBack(context);
      await act(d, plan);
      assert.equal(treasure(context), treasured);
    });
  }

  for (const [how, script] of [
    ['exchanged for a symlink', 'mv bin bin.mine; ln -s / bin'],
    ['exchanged for a file', 'mv bin bin.mine; echo mine >bin'],
    ['moved away', 'mv bin bin.mine'],
    ['exchanged for a symlink, with the one above', 'cd ..; mv svc/bin svc/bin.mine; ln -s . svc/bin'],
  ] as const)
    for (const [size, count] of [
      ['few files', 1],
      ['many files', limits.groupFromFiles],
    ] as const)
      test(`his directory is ${how}, an update of ${size}: he alone is not restored, by name, and the undo ends`, async (context) => {
        const { d } = context;
        const names = Array.from({ length: count }, (_, index) => `file${index}`);
        for (const name of names) d.put(`targets/honest/${name}`, `old ${name}`);
        const honest = d.snapshot('targets/honest');
        const plan = await planFor(d, [
          moduleOf(d, 'honest', Object.fromEntries(names.map((name) => [name, `new ${name}`]))),
          { ...moduleOf(d, 'svc/bin', { app: 'new', more: 'more' }), name: 'svc' },
        ]);
        await switched(d, plan);
        asNeighbour(`cd ${d.targets}/svc; ${script}`);
        const his = d.snapshot('targets/svc');
        for (const run of ['first', 'that of a restart']) {
          const unrestored = await restoreTargets(d.host, plan);
          assert.match(
            String(unrestored?.message),
            /^ROLLBACK_FAILED: restoring [23] of \d+; still new: \S+svc\/bin\/app, \S+svc\/bin\/gone.*; \d+ old again; /,
            run,
          );
          await discardStaged(d.host, plan);
          assert.equal(d.snapshot('targets/honest'), honest);
          assert.equal(d.snapshot('targets/svc'), his);
        }
      });

  test('his directory is exchanged after the commit: what lies there stays, and the update ends', async (context) => {
    const { d } = context;
    const plan = await update(d);
    await switched(d, plan);
    exchange(context);
    for (const isRepeated of [false, true]) await clearAway(d.host, plan, isRepeated);
    assert.match(d.logged.join('\n'), /warn \S+svc\/bin\/\w+: somebody has changed its directory/);
  });

  test('names of ours in his directory are exchanged for full directories: he alone has the harm', async ({
    d,
  }) => {
    const plan = await update(d);
    await switched(d, plan);
    const exchangeNames = (names: string[]) => {
      for (const name of names) asNeighbour(`rm -f '${name}'; mkdir -p '${name}'; echo >'${name}/full'`);
    };
    const steps = [...fileSteps(plan)];
    exchangeNames(steps.flatMap((step) => [keptPath(step), restorePath(step)]));
    assert.match(
      String((await restoreTargets(d.host, plan))?.message),
      /^ROLLBACK_FAILED: restoring 2 of 3; still new: \S+svc\/bin\/app, \S+svc\/bin\/gone;/,
    );
    asNeighbour(`cd ${d.targets}/svc/bin; rm -r .tope-*.old`);
    assert.is(await restoreTargets(d.host, plan), undefined);
    assert.is(
      readFileSync(join(d.targets, 'svc/bin/app'), 'utf8'),
      'old',
      'the backup, not what he put there',
    );
    exchangeNames([...putSteps(plan)].map(stagedPath));
    await discardStaged(d.host, plan);
    await clearAway(d.host, plan, true);
  });

  test('where root alone may write, what is gone is waited for: it may be a filesystem that is not mounted yet', async ({
    d,
  }) => {
    for (const name of ['svc', 'svc/bin']) chownSync(join(d.targets, name), 0, 0);
    const plan = await update(d);
    await switched(d, plan);
    const [there, gone] = [join(d.targets, 'svc/bin'), join(d.targets, 'svc/bin.gone')];
    fs.renameSync(there, gone);
    assert.match(await refusal(() => restoreTargets(d.host, plan)), /^ROLLBACK_FAILED: restoring 2 of 3/);
    fs.renameSync(gone, there);
    assert.is(await restoreTargets(d.host, plan), undefined);
    assert.is(readFileSync(join(there, 'app'), 'utf8'), 'old');
  });

  test('between survey and plan of a later rollback: refused by name', async (context) => {
    const { d } = context;
    const plan = await update(d);
    await switched(d, plan);
    exchange(context);
    const back: Plan = {
      ...plan,
      id: '20261123T200000001Z',
      kind: 'rollback',
      steps: [...plan.steps].flatMap((step) =>
        step.kind === 'put' && step.backup !== null
          ? [{ ...step, temp: `${step.temp}.2`, source: step.backup, backup: null }]
          : [],
      ),
    };
    const group = await openWriteGroup(d.host.files, [d.backups], 1);
    assert.match(
      await refusal(() => stageBackups(d.host, back, group)),
      /ELOOP: .*svc\/bin was exchanged for a symlink/,
    );
  });

  for (const [what, put, dst] of [
    ['of the module itself', 'mv bin bin.mine && ln -s PRECIOUS bin', 'svc/bin'],
    ['on the way to it', 'ln -s PRECIOUS way', 'svc/way/deep'],
    ['by way of a link of root', 'ln -s TARGETS/shortcut bin2', 'svc/bin2'],
    ['in a directory where everybody may write', 'cd TARGETS/drop && ln -s PRECIOUS bin', 'drop/bin'],
  ] as const)
    test(`a link of his that stands before the update, in the place ${what}: refused, and nothing of root's is touched`, async ({
      d,
      precious,
    }) => {
      // Inside the allowed roots, and of root: only who may write there may lead an update there.
      const inside = join(d.targets, 'precious');
      fs.renameSync(precious, inside);
      chmodSync(inside, 0o755);
      fs.symlinkSync(inside, join(d.targets, 'shortcut'));
      mkdirSync(join(d.targets, 'drop'));
      chmodSync(join(d.targets, 'drop'), 0o1777);
      asNeighbour(
        `cd ${d.targets}/svc && ${put.replace('PRECIOUS', inside).replaceAll('TARGETS', d.targets)}`,
      );
      const said = await refusal(() => planFor(d, [{ ...moduleOf(d, dst, { app: 'new' }), owner: '65534' }]));
      assert.match(
        said,
        /is a symlink that another user may have put there, .* belongs to user 0, not 65534/,
      );
    });

  test('a link of his in a directory of root, where an access list lets him write, is not believed either', async ({
    d,
    precious,
  }) => {
    const inside = join(d.targets, 'precious');
    fs.renameSync(precious, inside);
    const holder = join(d.targets, 'shared');
    mkdirSync(holder);
    const listed = spawnSync('setfacl', ['-m', `u:${nobody}:rwx`, holder]);
    if (listed.status !== 0) return console.log('skipped: no setfacl here');
    asNeighbour(`ln -s ${inside} ${holder}/his`);
    fs.symlinkSync(inside, join(holder, 'roots'));
    fs.symlinkSync(join(d.targets, 'svc'), join(holder, 'elsewhere'));
    const refused = async (name: string) =>
      assert.match(
        await refusal(() => planFor(d, [moduleOf(d, `shared/${name}`, { app: 'new' })])),
        /is a symlink that another user may have put there/,
      );
    await refused('his');
    await refused('elsewhere');
  });

  test('a link of his to what is his, and a link of root to what is his, lead an update there', async ({
    d,
  }) => {
    mkdirSync(join(d.targets, 'disk'));
    chownSync(join(d.targets, 'disk'), nobody, nobody);
    asNeighbour(`cd ${d.targets}/svc && ln -s ../disk data`);
    fs.symlinkSync('disk', join(d.targets, 'of-root'));
    for (const dst of ['svc/data', 'of-root', 'of-root/deep']) {
      const { steps } = await planFor(d, [moduleOf(d, dst, { app: 'new' })]);
      const targets = [...steps].flatMap((step) => (step.kind === 'put' ? [step.target] : []));
      assert.equal(targets, [join(d.targets, dst.replace(/^(svc\/data|of-root)/, 'disk'), 'app')]);
    }
  });

  test('an allowed root is not led elsewhere by him', async ({ d, precious }) => {
    const root = join(d.targets, 'svc/root');
    asNeighbour(`ln -s ${precious} ${root}`);
    const said = await refusal(() =>
      planFor(d, [moduleOf(d, 'svc/root/app', { app: 'new' })], undefined, { allowedRoots: [root] }),
    );
    assert.match(said, /svc\/root is a symlink that another user may have put there/);
    // He has the harm alone.
    for (const wrong of [
      '',
      `rm ${root} && ln -s root ${root}`,
      `rm ${root} && ln -s nowhere ${root}`,
      `rm ${root} && mkfifo ${root}`,
    ]) {
      asNeighbour(wrong || 'true');
      const plan = await planFor(d, [moduleOf(d, 'other/app', { app: 'new' })], undefined, {
        allowedRoots: [root, d.targets],
      });
      assert.is([...plan.steps].filter(({ kind }) => kind === 'put').length, 1, wrong);
    }
  });

  for (const [what, exchanged] of [
    ['a link to a directory of root', 'ln -s PRECIOUS new'],
    ['another directory of root', 'mv secret new'],
  ] as const)
    test(`a directory that was just made is exchanged for ${what}: that gets no mode and no owner`, async ({
      d,
      precious,
    }) => {
      const svc = join(d.targets, 'svc');
      mkdirSync(join(svc, 'secret'), { mode: 0o700 });
      writeFileSync(join(svc, 'secret/file'), 'x');
      const script = `cd ${svc} && rmdir new && ${exchanged.replace('PRECIOUS', precious)}`;
      await withMkdirFollowedBy(script, () =>
        d.host.files.makeDirectory(join(svc, 'new'), 0o777, { uid: nobody, gid: nobody }).then(
          () => assert.unreachable(),
          (thrown) => assert.match(String(thrown), /ELOOP|ENOTDIR|EEXIST/),
        ),
      );
      for (const path of [precious, join(svc, 'new')]) {
        assert.is(statSync(path).mode & 0o7777, 0o700);
        assert.is(statSync(path).uid, 0);
      }
    });

  test('a symlink gets its owner, what it leads to does not', async (context) => {
    const { d, precious } = context;
    const link = join(d.targets, 'svc/link');
    await d.host.files.symbolicLink(precious, link, { uid: nobody, gid: nobody });
    assert.is(readlinkSync(link), precious);
    assert.is(fs.lstatSync(link).uid, nobody);
    assert.is(statSync(precious).uid, 0);
  });
}

async function switched(d: Device, plan: Plan): Promise<void> {
  await prepare(d, plan);
  await switchTargets(d.host, plan);
}

/** The neighbour is quick: `script` runs between mkdir(2) and whatever comes after it. */
async function withMkdirFollowedBy(script: string, action: () => Promise<void>): Promise<void> {
  const { mkdir } = fs;
  const quick = (path: string, mode: number, done: (error: Error | null) => void) =>
    mkdir(path, mode, (error) => {
      if (error === null) asNeighbour(script);
      done(error);
    });
  Object.assign(fs, { mkdir: quick });
  try {
    await action();
  } finally {
    Object.assign(fs, { mkdir });
  }
}

test.run();
