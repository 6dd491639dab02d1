/** Filesystems that do not tell upper from lower case, on a real one: exFAT by FUSE. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { saveBackups } from '../../src/deploy/backup.ts';
import type { DeployedFile } from '../../src/deploy/deployed-record.ts';
import { folded, refuseOneFile } from '../../src/deploy/folded.ts';
import { makePlan } from '../../src/deploy/make-plan.ts';
import { wantsOfRollback } from '../../src/deploy/past-updates.ts';
import { withPlanGroup } from '../../src/deploy/plan-group.ts';
import type { Recorded } from '../../src/deploy/recorded.ts';
import { makeDirectories, stageBackups } from '../../src/deploy/stage.ts';
import { openSteps } from '../../src/deploy/step-list.ts';
import { surveyWants } from '../../src/deploy/survey.ts';
import { clearAway, switchTargets } from '../../src/deploy/switch.ts';
import { restoreTargets } from '../../src/deploy/undo.ts';
import { limits } from '../../src/limits.ts';
import { moduleOf, planFor, prepare, refusal } from './parts.ts';
import { type Device, device } from './rig.ts';

const test = suite('names that differ in case only');

test('folding tells where two names may be one', () => {
  assert.is(folded('/a/README'), folded('/a/Readme'));
  assert.is(folded('/a/caf\u00e9'), folded('/a/cafe\u0301'));
  assert.is.not(folded('/a/b'), folded('/a/c'));
});

test('where case counts both names are deployed', async () => {
  const d = device();
  try {
    const plan = await planFor(d, [moduleOf(d, 'app', { README: 'upper', readme: 'lower' })]);
    await prepare(d, plan);
    await refuseOneFile(d.host.files, plan);
    await switchTargets(d.host, plan);
    assert.is(readFileSync(join(d.targets, 'app/README'), 'utf8'), 'upper');
    assert.is(readFileSync(join(d.targets, 'app/readme'), 'utf8'), 'lower');
  } finally {
    d.remove();
  }
});

const missing = ['mkfs.exfat', 'mount.exfat-fuse', 'umount', 'losetup'].find(
  (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0,
);
const whyNot = missing ?? (process.getuid?.() === 0 ? mountFault() : 'root');
if (whyNot !== undefined) console.log(`skipped: names on exFAT: it needs ${whyNot}`);
const onExfat = whyNot === undefined ? test : test.skip;

/** With the targets on an exFAT of 8 MiB. */
async function withExfat(use: (d: Device) => Promise<void>): Promise<void> {
  const d = device();
  try {
    const image = join(d.root, 'image');
    const file = openSync(image, 'w');
    ftruncateSync(file, 8 << 20);
    closeSync(file);
    execFileSync('mkfs.exfat', [image], { stdio: 'ignore' });
    const loop = execFileSync('losetup', ['-f', '--show', image], { encoding: 'utf8' }).trim();
    try {
      execFileSync('mount.exfat-fuse', [loop, d.targets], { stdio: 'ignore' });
      try {
        await use(d);
      } finally {
        await new Promise((resolve) => setTimeout(resolve, limits.anchorMs + 50)); // directories are held open for a moment
        execFileSync('umount', [d.targets]);
      }
    } finally {
      execFileSync('losetup', ['-d', loop]);
    }
  } finally {
    d.remove();
  }
}

function mountFault(): string | undefined {
  return ['/dev/fuse', '/dev/loop-control'].find((place) => !existsSync(place));
}

function deployed(d: Device, files: Record<string, string>, directories: readonly string[] = []): Recorded {
  const facts = (path: string, text: string): DeployedFile => ({
    ...{ kind: 'file', module: 'app', path, entry: text, mode: 0o755, uid: 0, gid: 0, crc32: 0 },
    ...{ sizeBytes: text.length, sha256: '0'.repeat(64) },
  });
  const paths = Object.entries(files).map(([name, text]): [string, DeployedFile] => {
    const path = d.put(`targets/app/${name}`, text);
    return [path, facts(path, text)];
  });
  return {
    files: new Map(paths),
    links: new Map(),
    directories: new Set(directories.map((name) => join(d.targets, 'app', name))),
    modules: new Map(),
  };
}

const names = (d: Device, below = '') => readdirSync(join(d.targets, 'app', below)).sort();
const text = (d: Device, name: string) => readFileSync(join(d.targets, 'app', name), 'utf8');
const tree = (d: Device, files: Record<string, string>) => ({ ...moduleOf(d, 'app', files), exact: false });

onExfat('two names of one file are refused, naming both, before anything is done', () =>
  withExfat(async (d) => {
    d.put('targets/app/other', 'x');
    const twins = tree(d, { README: 'upper', readme: 'lower' });
    assert.match(
      await refusal(() => planFor(d, [twins])),
      /INVALID_MANIFEST.*app\/README and .*app\/readme are one file/,
    );
    assert.equal(names(d), ['other']);
  }),
);

onExfat('they are refused as well where the directory is new, before anything is switched', () =>
  withExfat(async (d) => {
    const plan = await planFor(d, [tree(d, { 'new/A': 'upper', 'new/a': 'lower' })]);
    await makeDirectories(d.host, plan);
    const stage = join(d.targets, 'app/new');
    for (const step of plan.steps)
      if (step.kind === 'put') d.put(`targets/app/new/${step.temp.slice(stage.length + 1)}.new`, 'x');
    assert.match(await refusal(() => refuseOneFile(d.host.files, plan)), /new\/A and .*new\/a are one file/);
  }),
);

for (const content of ['other bytes', 'the same']) {
  onExfat(`a file of which only the case changes, with ${content}, and back by an undo and a rollback`, () =>
    withExfat(async (d) => {
      const recorded = deployed(d, { 'Config.json': 'the same', keep: 'k' });
      const plan = await planFor(d, [tree(d, { 'config.json': content, keep: 'k' })], recorded);
      await prepare(d, plan);
      await switchTargets(d.host, plan);
      assert.equal(
        names(d).filter((name) => !name.startsWith('.')),
        ['config.json', 'keep'],
      );
      await restoreTargets(d.host, plan);
      assert.equal([names(d), text(d, 'Config.json')], [['Config.json', 'keep'], 'the same']);

      rmSync(d.backups, { recursive: true });
      mkdirSync(d.backups);
      await prepare(d, plan);
      await switchTargets(d.host, plan);
      await clearAway(d.host, plan, false);
      assert.equal([names(d), text(d, 'config.json')], [['config.json', 'keep'], content]);

      const wants = await wantsOfRollback(d.host.files, [plan]);
      const facts = await surveyWants(d.host.files, wants, { uid: 0, gid: 0 });
      const header = { ...plan, id: '20261124T200000000Z', kind: 'rollback', consumes: [plan.id] } as const;
      const roots = { backupDirectory: d.backups, moduleRoots: new Map() };
      const back = await makePlan({ ...header, ...roots }, wants, facts, await openSteps());
      await withPlanGroup(d.host.files, back, [d.backups], 'DEPLOYMENT_FAILED', async (group) => {
        await stageBackups(d.host, back, group);
        return saveBackups(d.host, d.backups, back, group);
      });
      await switchTargets(d.host, back);
      await clearAway(d.host, back, false);
      assert.equal([names(d), text(d, 'Config.json')], [['Config.json', 'keep'], 'the same']);
    }),
  );
}

onExfat('a directory of which only the case changes keeps its name, and nothing in it is lost', () =>
  withExfat(async (d) => {
    const recorded = deployed(d, { 'Lib/x': 'x', 'Lib/y': 'y' }, ['', 'Lib']);
    const plan = await planFor(d, [tree(d, { 'lib/x': 'x', 'lib/z': 'z' })], recorded);
    await prepare(d, plan);
    await switchTargets(d.host, plan);
    await clearAway(d.host, plan, false);
    assert.equal(names(d), ['Lib']);
    assert.equal(names(d, 'lib'), ['x', 'z']);
    assert.is(text(d, 'lib/x'), 'x');
  }),
);

test.run();
