import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decideRecovery, type Found } from '../../src/updater/recover.ts';
import { type Stage, stages } from '../../src/updater/state.ts';
import type { Saved } from '../../src/updater/store.ts';

const now = Date.UTC(2026, 10, 23);
const hour = 3_600_000;
const journals: Found['journal'][] = [
  'none',
  'damaged',
  'staging',
  'staged',
  'stopping',
  'switching',
  'switched',
  'rebooting',
  'handover',
  'committed',
  'undoing',
  'undone',
];

function saved(stage: Stage, starts = 1, verifiedHoursAgo = 1): Saved {
  return {
    operation: 'update',
    version: '2.0.0',
    package_url: 'https://store/p.zip',
    package_name: 'p.zip',
    package_size: 10,
    package_md5: '0'.repeat(32),
    bytes_downloaded: 5,
    etag: null,
    last_modified: null,
    total: null,
    stage,
    last_update: new Date(now).toISOString(),
    error: null,
    install_starts: starts,
    verified_at: new Date(now - verifiedHoursAgo * hour).toISOString(),
  };
}

function decide(
  state: Saved | undefined,
  journal: Found['journal'],
  packageThere = true,
  isEnding = true,
  trial: Found['trial'] = 'none',
): string {
  const damage = 'bad byte';
  const decision = decideRecovery({
    saved: state,
    journal,
    isEnding,
    trial,
    damage,
    packageThere,
    now: { nowMs: now },
  });
  return decision.do === 'undo' && decision.thenInstall ? 'undo, install' : decision.do;
}

/** What the journal alone decides, whatever state.json says (or lost). */
const byJournal: Partial<Record<Found['journal'], string>> = {
  damaged: 'block',
  committed: 'forward',
  undoing: 'undo',
  undone: 'undo',
};

/** Where an install of state.json may go on (first and second start), and where it may not. */
const mayGoOn: Partial<Record<Found['journal'], [string, string]>> = {
  staging: ['undo, install', 'undo'],
  staged: ['undo, install', 'undo'],
  stopping: ['undo, install', 'undo'],
  switching: ['forward', 'undo'],
  switched: ['forward', 'undo'],
  rebooting: ['forward', 'undo'],
  handover: ['forward', 'undo'],
};

const withoutJournal: Record<Stage, [packageThere: string, packageGone: string]> = {
  idle: ['restWithPartial', 'restWithPartial'],
  downloading: ['download', 'download'],
  verifying: ['download', 'download'],
  toInstall: ['wait', 'fail'],
  installing: ['install', 'install'],
  rebooting: ['rest', 'rest'],
  success: ['rest', 'rest'],
  failed: ['restWithPartial', 'restWithPartial'],
};

for (const journal of journals) {
  test(`journal ${journal}: every saved stage, number of starts and package on disk has its outcome`, () => {
    for (const packageThere of [true, false]) {
      for (const stage of [undefined, ...stages]) {
        for (const starts of [1, 2, 3, 4]) {
          const state = stage && saved(stage, starts);
          const label = `stage ${stage}, start ${starts}, package ${packageThere}`;
          const goesOn = (stage === 'installing' || stage === 'rebooting') && starts < 3;
          const plain = stage === undefined ? 'rest' : withoutJournal[stage][packageThere ? 0 : 1];
          const expected =
            byJournal[journal] ??
            mayGoOn[journal]?.[goesOn ? 0 : 1] ??
            (stage === 'installing' && !goesOn ? 'fail' : plain);
          assert.is(decide(state, journal, packageThere), expected, label);
        }
      }
    }
  });
}

test('an undo that was no end is followed by another try, up to the third start', () => {
  for (const journal of ['undoing', 'undone'] as const) {
    assert.is(decide(saved('installing', 2), journal, true, false), 'undo, install');
    assert.is(decide(saved('installing', 3), journal, true, false), 'undo');
    assert.is(decide(saved('toInstall', 1), journal, true, false), 'undo');
    assert.is(decide(undefined, journal, true, false), 'undo');
  }
});

test('a new updater on trial goes on however often power cuts have ended it, as its launcher counts', () => {
  for (const journal of ['switching', 'switched', 'rebooting', 'handover'] as const) {
    assert.is(decide(saved('installing', 9), journal, true, true, 'running'), 'forward', journal);
    assert.is(
      decide(undefined, journal, true, true, 'running'),
      'undo',
      'state.json went to announce an undo',
    );
  }
  assert.is(decide(saved('installing', 3), 'stopping', true, true, 'running'), 'undo');
});

test('the updater before one that has failed takes its update back, whatever else is found', () => {
  for (const journal of ['switching', 'switched', 'rebooting', 'handover', 'undoing', 'undone'] as const)
    assert.is(decide(saved('installing', 1), journal, true, false, 'failed'), 'undo', journal);
  assert.is(decide(saved('installing', 1), 'committed', true, true, 'failed'), 'forward', 'then a rollback');
  for (const stage of stages) {
    const decision = decide(saved(stage), 'none', true, true, 'failed');
    assert.is(decision, 'restWithPartial', `${stage}: a rollback comes`);
  }
});

test('a waiting package expires after 24 hours, there or not', () => {
  assert.is(decide(saved('toInstall', 1, 25), 'none'), 'expire');
  assert.is(decide(saved('toInstall', 1, 25), 'none', false), 'expire');
  assert.is(decide(saved('toInstall', 1, 23), 'none'), 'wait');
  assert.is(decide(saved('toInstall', 1, -5), 'none'), 'wait', 'a clock that went back');
});

test('a rollback that was cut short is taken up again or undone like an update', () => {
  const rollback: Saved = {
    operation: 'rollback',
    version: null,
    stage: 'installing',
    last_update: '',
    error: null,
    install_starts: 1,
  };
  assert.is(decide(rollback, 'none'), 'install');
  assert.is(decide(rollback, 'switching'), 'forward');
  assert.is(decide({ ...rollback, install_starts: 3 }, 'switching'), 'undo');
});

test('a damaged journal says what is wrong and what to do', () => {
  const decision = decideRecovery({
    saved: undefined,
    journal: 'damaged',
    isEnding: false,
    trial: 'none',
    damage: 'bad record at byte 7',
    packageThere: false,
    now: { nowMs: now },
  });
  assert.match(
    decision.do === 'block' ? decision.error.message : '',
    /bad record at byte 7.*looked at and removed/,
  );
});

test.run();
