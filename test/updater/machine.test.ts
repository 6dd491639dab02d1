import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { PackageRequest } from '../../src/download/request.ts';
import { type ErrorCode, UpdateError } from '../../src/errors.ts';
import type { Event, Operation, State } from '../../src/updater/event.ts';
import { initialState, step } from '../../src/updater/machine.ts';
import type { Stage } from '../../src/updater/state.ts';

const request: PackageRequest = {
  version: '2.0.0',
  package_url: 'https://store/p.zip?sig=1',
  package_name: 'p.zip',
  package_size: 10,
  package_md5: '0'.repeat(32),
};
const other = { ...request, package_name: 'q.zip' };
const seal = { key: '0'.repeat(64), tag: '0'.repeat(32) };
const update: Operation = { kind: 'update', request, verifiedMs: 1000, seal, action: null };
const error = new UpdateError('MD5_MISMATCH', 'a, b');

function at(stage: Stage, more: Partial<State> = {}): State {
  return {
    ...initialState,
    stage,
    operation: stage === 'idle' || stage === 'success' ? null : update,
    ...more,
  };
}

const events: Record<string, Event> = {
  download: { kind: 'download', request },
  'download of another': { kind: 'download', request: other },
  'download with a fresh URL': {
    kind: 'download',
    request: { ...request, package_url: 'https://store/p.zip?sig=2' },
  },
  update: { kind: 'update', version: '2.0.0' },
  'update to another': { kind: 'update', version: '3.0.0' },
  cancel: { kind: 'cancel' },
  rollback: { kind: 'rollback', version: null },
  repair: { kind: 'repair' },
  downloaded: { kind: 'downloaded' },
  downloadingAgain: { kind: 'downloadingAgain' },
  verified: { kind: 'verified', nowMs: 5, seal },
  expired: { kind: 'expired' },
  switching: { kind: 'switching' },
  rebooting: { kind: 'rebooting' },
  committed: { kind: 'committed' },
  failed: { kind: 'failed', error },
  successShown: { kind: 'successShown' },
};

/** Stage and effects after the event, an error code where it is refused, or "bug". */
type Cell = [Stage, ...string[]] | ErrorCode | 'bug';

const begin: Cell = ['downloading', 'save', 'enter', 'startDownload'];
const beginAnew: Cell = ['downloading', 'forgetPartial', 'save', 'enter', 'discardPackage', 'startDownload'];
const busy: Cell = 'OPERATION_IN_PROGRESS';

const table: Record<Stage, Record<string, Cell>> = {
  idle: {
    download: begin,
    'download of another': begin,
    'download with a fresh URL': begin,
    update: 'DOWNLOAD_INCOMPLETE',
    'update to another': 'DOWNLOAD_INCOMPLETE',
    cancel: ['idle'],
    rollback: ['installing', 'firstStart', 'save', 'enter', 'startRollback'],
    repair: ['installing', 'firstStart', 'save', 'enter', 'startRepair'],
    downloaded: 'bug',
    downloadingAgain: 'bug',
    verified: 'bug',
    expired: 'bug',
    switching: 'bug',
    rebooting: 'bug',
    committed: 'bug',
    failed: 'bug',
    successShown: ['idle'],
  },
  downloading: {
    download: ['downloading'],
    'download of another': busy,
    'download with a fresh URL': ['downloading', 'stopJob', 'save', 'enter', 'startDownload'],
    update: 'DOWNLOAD_INCOMPLETE',
    'update to another': 'DOWNLOAD_INCOMPLETE',
    cancel: ['idle', 'stopJob', 'save', 'enter'],
    rollback: busy,
    repair: busy,
    downloaded: ['verifying', 'save', 'enter'],
    downloadingAgain: 'bug',
    verified: ['toInstall', 'save', 'enter', 'armExpiry'],
    expired: 'bug',
    switching: 'bug',
    rebooting: 'bug',
    committed: 'bug',
    failed: ['failed', 'save', 'enter'],
    successShown: ['downloading'],
  },
  verifying: {
    download: ['verifying'],
    'download of another': busy,
    'download with a fresh URL': ['verifying'],
    update: 'MD5_NOT_VERIFIED',
    'update to another': 'MD5_NOT_VERIFIED',
    cancel: ['idle', 'stopJob', 'save', 'enter'],
    rollback: busy,
    repair: busy,
    downloaded: ['verifying', 'save', 'enter'],
    downloadingAgain: ['downloading', 'save', 'enter'],
    verified: ['toInstall', 'save', 'enter', 'armExpiry'],
    expired: 'bug',
    switching: 'bug',
    rebooting: 'bug',
    committed: 'bug',
    failed: ['failed', 'save', 'enter'],
    successShown: ['verifying'],
  },
  toInstall: {
    download: ['toInstall'],
    'download of another': beginAnew,
    'download with a fresh URL': ['toInstall'],
    update: ['installing', 'firstStart', 'save', 'enter', 'startInstall'],
    'update to another': 'VERSION_MISMATCH',
    cancel: ['idle', 'enter', 'discardPackage', 'forget'],
    rollback: busy,
    repair: busy,
    downloaded: 'bug',
    downloadingAgain: 'bug',
    verified: 'bug',
    expired: ['failed', 'enter', 'discardPackage', 'forget'],
    switching: 'bug',
    rebooting: 'bug',
    committed: 'bug',
    failed: ['failed', 'save', 'enter'],
    successShown: ['toInstall'],
  },
  installing: {
    download: busy,
    'download of another': busy,
    'download with a fresh URL': busy,
    update: busy,
    'update to another': busy,
    cancel: ['installing', 'abortJob'],
    rollback: busy,
    repair: busy,
    downloaded: 'bug',
    downloadingAgain: 'bug',
    verified: 'bug',
    expired: 'bug',
    switching: ['installing', 'enter'],
    rebooting: ['rebooting', 'save', 'enter'],
    committed: ['success', 'enter', 'forget', 'discardPackage', 'armIdle'],
    failed: ['failed', 'save', 'enter'],
    successShown: ['installing'],
  },
  rebooting: {
    download: busy,
    'download of another': busy,
    'download with a fresh URL': busy,
    update: busy,
    'update to another': busy,
    cancel: busy,
    rollback: busy,
    repair: busy,
    downloaded: 'bug',
    downloadingAgain: 'bug',
    verified: 'bug',
    expired: 'bug',
    switching: ['rebooting', 'enter'],
    rebooting: ['rebooting', 'save', 'enter'],
    committed: ['success', 'enter', 'forget', 'discardPackage', 'armIdle'],
    failed: ['failed', 'save', 'enter'],
    successShown: ['rebooting'],
  },
  success: {
    download: begin,
    'download of another': begin,
    'download with a fresh URL': begin,
    update: 'DOWNLOAD_INCOMPLETE',
    'update to another': 'DOWNLOAD_INCOMPLETE',
    cancel: ['success'],
    rollback: ['installing', 'firstStart', 'save', 'enter', 'startRollback'],
    repair: ['installing', 'firstStart', 'save', 'enter', 'startRepair'],
    downloaded: 'bug',
    downloadingAgain: 'bug',
    verified: 'bug',
    expired: 'bug',
    switching: 'bug',
    rebooting: 'bug',
    committed: 'bug',
    failed: 'bug',
    successShown: ['idle', 'enter'],
  },
  failed: {
    download: begin,
    'download of another': beginAnew,
    'download with a fresh URL': begin,
    update: 'DOWNLOAD_INCOMPLETE',
    'update to another': 'DOWNLOAD_INCOMPLETE',
    cancel: ['failed'],
    rollback: ['installing', 'firstStart', 'save', 'enter', 'discardPackage', 'startRollback'],
    repair: ['installing', 'firstStart', 'save', 'enter', 'discardPackage', 'startRepair'],
    downloaded: 'bug',
    downloadingAgain: 'bug',
    verified: 'bug',
    expired: 'bug',
    switching: 'bug',
    rebooting: 'bug',
    committed: 'bug',
    failed: 'bug',
    successShown: ['failed'],
  },
};

function outcome(state: State, event: Event): Cell {
  try {
    const { state: next, effects } = step(state, event);
    return [next.stage, ...effects];
  } catch (thrown) {
    return thrown instanceof UpdateError ? thrown.code : 'bug';
  }
}

for (const [stage, row] of Object.entries(table) as [Stage, Record<string, Cell>][]) {
  test(`every event in stage ${stage} has the outcome of the table`, () => {
    assert.equal(Object.keys(row).sort(), Object.keys(events).sort(), 'the table is complete');
    for (const [name, event] of Object.entries(events)) {
      assert.equal(outcome(at(stage), event), row[name], `${name} in ${stage}`);
    }
  });
}

test('another package_sha256 is another package, which is refused also where everything else is equal', () => {
  const [a, b] = ['a'.repeat(64), 'b'.repeat(64)];
  const known: Operation = { ...update, request: { ...request, package_sha256: a } };
  const asked = (package_sha256: string): Event => ({
    kind: 'download',
    request: { ...request, package_sha256 },
  });
  for (const stage of ['downloading', 'verifying', 'toInstall'] as const) {
    assert.equal(outcome(at(stage, { operation: known }), asked(a)), [stage], `the same, ${stage}`);
    assert.is(outcome(at(stage, { operation: known }), asked(b)), busy, `another, ${stage}`);
    assert.is(outcome(at(stage), asked(b)), busy, `one that was not known, ${stage}`);
    assert.equal(
      outcome(at(stage, { operation: known }), events.download as Event),
      [stage],
      `none, ${stage}`,
    );
  }
  assert.throws(() => step(at('toInstall', { operation: known }), asked(b)), /a{64}.*b{64}.*cancel it first/);
  assert.equal(outcome(at('failed', { operation: known }), asked(b)), beginAnew);
});

test('a fresh URL without the SHA-256 leaves the one that is known in force', () => {
  const known: Operation = { ...update, request: { ...request, package_sha256: 'a'.repeat(64) } };
  const fresh = { ...request, package_url: 'https://store/p.zip?sig=2' };
  const { state } = step(at('downloading', { operation: known }), { kind: 'download', request: fresh });
  assert.equal(state.operation, {
    ...known,
    request: { ...fresh, package_sha256: 'a'.repeat(64) },
    verifiedMs: null,
    seal: null,
  });
});

test('an install can be cancelled until files are switched', () => {
  assert.equal(outcome(at('installing'), { kind: 'cancel' }), ['installing', 'abortJob']);
  assert.is(outcome(at('installing', { switching: true }), { kind: 'cancel' }), 'OPERATION_IN_PROGRESS');
});

test('a cancelled install rests as idle and its package is gone', () => {
  const cancelled: Event = { kind: 'failed', error: new UpdateError('CANCELLED', 'by the user') };
  assert.equal(outcome(at('installing'), cancelled), ['idle', 'enter', 'discardPackage', 'forget']);
});

test('a damaged journal refuses downloads, updates and rollbacks with its reason', () => {
  const blocked = at('failed', { blocked: 'the journal is damaged' });
  for (const name of ['download', 'update', 'rollback']) {
    assert.throws(
      () => step(blocked, events[name] as Event),
      /OPERATION_IN_PROGRESS: the journal is damaged/,
    );
  }
});

test('refusals name what is in the way', () => {
  assert.throws(
    () => step(at('toInstall'), { kind: 'update', version: '3.0.0' }),
    /3\.0\.0 asked for, the package that waits is 2\.0\.0/,
  );
  assert.throws(
    () => step(at('downloading'), { kind: 'download', request: other }),
    /package p\.zip \(2\.0\.0\) is in stage downloading/,
  );
});

const from = { action: '7@0123abcd', nowMs: 5000 };
const ofFleet = (action: string | null): Operation => ({ ...update, action }) as Operation;

test('an order of the fleet touches nothing that a caller on the device has begun', () => {
  for (const stage of ['downloading', 'verifying', 'toInstall', 'installing', 'rebooting'] as const) {
    for (const asked of [request, other])
      assert.is(
        outcome(at(stage), { kind: 'download', request: asked, from }),
        'OPERATION_IN_PROGRESS',
        stage,
      );
  }
  for (const stage of ['idle', 'success', 'failed'] as const) {
    const { state } = step(at(stage), { kind: 'download', request, from });
    assert.equal(state.operation, { ...update, verifiedMs: null, seal: null, action: from.action }, stage);
  }
});

test('a newer order takes over the package of an older one: one that waits is as good as verified now', () => {
  const own = { operation: ofFleet('6@0123abcd') };
  for (const stage of ['downloading', 'verifying'] as const) {
    const { state, effects } = step(at(stage, own), { kind: 'download', request, from });
    assert.equal(state, { ...at(stage, own), operation: ofFleet(from.action) });
    assert.equal(effects, ['save', 'enter']);
  }
  const { state, effects } = step(at('toInstall', own), { kind: 'download', request, from });
  assert.equal(state.operation, { ...update, verifiedMs: 5000, action: from.action });
  assert.equal(effects, ['save', 'enter', 'armExpiry']);
  assert.equal(outcome(at('toInstall', own), { kind: 'download', request: other, from }), beginAnew);
});

test('whoever on the device goes on with a package of the fleet, it stays that of its order', () => {
  const own = { operation: ofFleet(from.action) };
  const operationAfter = (stage: Stage, asked: PackageRequest) =>
    step(at(stage, own), { kind: 'download', request: asked }).state.operation;
  const signed = { ...request, package_url: 'https://store/p.zip?sig=2' };
  for (const [stage, asked] of [
    ['downloading', signed],
    ['failed', request],
    ['toInstall', request],
  ] as const) {
    const operation = operationAfter(stage, asked);
    assert.is(operation?.kind === 'update' && operation.action, from.action, stage);
  }
  const replaced = operationAfter('toInstall', other);
  assert.is(replaced?.kind === 'update' && replaced.action, null);
});

test('a rollback that nobody asked for is told as the end of what it takes back', () => {
  const because = new UpdateError('HEALTH_CHECK_FAILED', 'the new updater');
  const begun = step(at('success'), { kind: 'rollback', version: '2.0.0', because });
  assert.equal(begun.state.operation, { kind: 'rollback', version: '2.0.0', because });
  const ended = step(begun.state, { kind: 'committed' });
  assert.equal([ended.state.stage, ended.state.error], ['failed', because]);
  assert.equal(ended.effects, ['enter', 'forget', 'discardPackage']);
});

test('what an installer brought and failed is told at rest only', () => {
  const { state } = step(at('idle'), { kind: 'fellBack', error });
  assert.equal([state.stage, state.error, state.operation], ['failed', error, null]);
  assert.throws(() => step(at('installing'), { kind: 'fellBack', error }));
});

test.run();
