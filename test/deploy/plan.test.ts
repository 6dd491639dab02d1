import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makePlan, type PlanHeader } from '../../src/deploy/make-plan.ts';
import { touchedDirectories } from '../../src/deploy/plan.ts';
import { openSteps } from '../../src/deploy/step-list.ts';
import { nextId } from '../../src/deploy/update-id.ts';
import type { Facts, Want } from '../../src/deploy/want.ts';
import type { FileStat } from '../../src/host/host.ts';
import { refusal } from './parts.ts';

const header: PlanHeader = {
  id: '20261123T200000000Z',
  kind: 'update',
  version: '2.0.0',
  previousVersion: '1.0.0',
  startedMs: 0,
  modules: ['app'],
  services: [],
  consumes: [],
  reboot: false,
  backupDirectory: '/w/backups',
  moduleRoots: new Map([['app', '/opt/tope/app']]),
};

const file: FileStat = {
  kind: 'file',
  sizeBytes: 5,
  allocatedBytes: 0,
  mode: 0o755,
  uid: 7,
  gid: 8,
  device: 1n,
  inode: 2n,
  modifiedMs: 0,
  changedNs: 0n,
};
const directory: FileStat = { ...file, kind: 'directory' };

function want(target: string, more: Partial<Extract<Want, { kind: 'file' }>> = {}): Want {
  return {
    kind: 'file',
    module: 'app',
    target,
    source: 'app/x',
    sizeBytes: 9,
    mode: 0o600,
    modeIsForced: false,
    owner: undefined,
    md5: undefined,
    sha256: undefined,
    ...more,
  };
}

function facts(found: Record<string, FileStat>, missingParents: string[] = []): Facts {
  return {
    found: new Map(Object.entries(found)),
    missingParents,
    self: { uid: 0, gid: 0 },
    otherCases: new Set(),
    turned: new Set(),
  };
}

const planOf = async (wants: readonly Want[], known: Facts) =>
  makePlan(header, wants, known, await openSteps());

test('a replaced file keeps its mode and owner, and is backed up under the module', async () => {
  const [step] = (await planOf([want('/opt/tope/app')], facts({ '/opt/tope/app': file }))).steps;
  assert.equal(step, {
    kind: 'put',
    module: 'app',
    target: '/opt/tope/app',
    temp: '/opt/tope/.tope-20261123T200000000Z.0',
    backup: '/w/backups/app.20261123T200000000Z.bak/app',
    source: 'app/x',
    sizeBytes: 9,
    mode: 0o755,
    uid: 7,
    gid: 8,
    md5: null,
    sha256: null,
  });
});

test('a new file takes the mode of the ZIP, and 0644 where the ZIP tells none', async () => {
  const modes = [0o600, undefined].map(async (mode) => {
    const [step] = (await planOf([want('/opt/tope/app', { mode })], facts({}))).steps;
    return step?.kind === 'put' ? [step.mode, step.uid, step.backup] : undefined;
  });
  assert.equal(await Promise.all(modes), [
    [0o600, 0, null],
    [0o644, 0, null],
  ]);
});

test("the manifest's mode and owner outrank those of the file that is replaced", async () => {
  const wanted = want('/opt/tope/app', { mode: 0o711, modeIsForced: true, owner: { uid: 33, gid: 34 } });
  const [step] = (await planOf([wanted], facts({ '/opt/tope/app': file }))).steps;
  assert.equal(step?.kind === 'put' && [step.mode, step.uid, step.gid], [0o711, 33, 34]);
});

test('missing directories come first, parents before children; removed ones last, deepest first', async () => {
  const wants: Want[] = [
    { kind: 'directory', module: 'app', target: '/opt/tope/app/new', mode: undefined, owner: undefined },
    want('/opt/tope/app/new/f'),
    { kind: 'absent', module: 'app', target: '/opt/tope/app/old' },
    { kind: 'absent', module: 'app', target: '/opt/tope/app/old/deep' },
    { kind: 'absent', module: 'app', target: '/opt/tope/app/old/deep/f' },
  ];
  const found = {
    '/opt/tope/app/old': directory,
    '/opt/tope/app/old/deep': directory,
    '/opt/tope/app/old/deep/f': file,
  };
  const plan = await planOf(wants, facts(found, ['/opt/tope/app']));
  assert.equal(
    [...plan.steps].map((step) => `${step.kind} ${step.target}`),
    [
      'makeDirectory /opt/tope/app',
      'makeDirectory /opt/tope/app/new',
      'put /opt/tope/app/new/f',
      'remove /opt/tope/app/old/deep/f',
      'removeDirectory /opt/tope/app/old/deep',
      'removeDirectory /opt/tope/app/old',
    ],
  );
  assert.equal(touchedDirectories(plan), [
    '/opt/tope',
    '/opt/tope/app',
    '/opt/tope/app/new',
    '/opt/tope/app/old',
    '/opt/tope/app/old/deep',
  ]);
});

test('directories that a rollback brings back are made parents first, though they were removed deepest first', async () => {
  const directory = (target: string): Want => ({
    kind: 'directory',
    module: '',
    target,
    mode: 0o755,
    owner: undefined,
  });
  const wants = ['/opt/tope/web/old/deep', '/opt/tope/web/old'].map(directory);
  const { steps } = await planOf(wants, facts({}));
  assert.equal(
    [...steps].map(({ target }) => target),
    ['/opt/tope/web/old', '/opt/tope/web/old/deep'],
  );
});

test('what is wanted absent and is not there needs no step', async () => {
  assert.equal([...(await planOf([{ kind: 'absent', module: 'app', target: '/x' }], facts({}))).steps], []);
});

for (const [where, wanted, found] of [
  ['a socket where a file is due', want('/opt/tope/app'), { ...file, kind: 'other' }],
  [
    'a socket where a directory is due',
    { kind: 'directory', module: 'app', target: '/opt/tope/app', mode: undefined, owner: undefined },
    { ...file, kind: 'other' },
  ],
] as [string, Want, FileStat][]) {
  test(`${where} is refused by name`, async () => {
    const said = await refusal(() => planOf([wanted], facts({ '/opt/tope/app': found })));
    assert.match(said, /^DEPLOYMENT_FAILED: .*\/opt\/tope\/app/);
  });
}

test('ids rise also where the clock goes back', () => {
  assert.is(nextId(Date.UTC(2026, 10, 23, 20, 2, 4, 123), undefined), '20261123T200204123Z');
  assert.is(nextId(0, '20261123T200204123Z'), '20261123T200204124Z');
  assert.is(nextId(Date.UTC(2027, 0, 1), '20261123T200204123Z'), '20270101T000000000Z');
});

test.run();
