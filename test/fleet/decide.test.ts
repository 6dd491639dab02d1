/** The table of decisions row by row, and what the updater's stages make of an order. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, UpdateError } from '../../src/errors.ts';
import { type Deployment, readDeployment } from '../../src/fleet/answers.ts';
import { onCancel } from '../../src/fleet/cancel.ts';
import {
  type Device,
  deviceOf,
  isKnown,
  nameOf,
  onDeployment,
  onLink,
  orderOf,
  type Surroundings,
} from '../../src/fleet/decide.ts';
import {
  afterClosed,
  afterHistory,
  afterStage,
  afterTold,
  downloadedEnd,
  type Heard,
  resumedWord,
  wordOf,
} from '../../src/fleet/ends.ts';
import { blankMemory, type Memory, type Order } from '../../src/fleet/memory.ts';
import type { HistoryEntry } from '../../src/history.ts';
import { limits } from '../../src/limits.ts';

const test = suite('decisions of the fleet client');
const tag = '0123abcd';
const md5 = 'a'.repeat(32);
const request = {
  version: '1.5.0',
  package_url: 'https://h/p.zip',
  package_name: 'p.zip',
  package_size: 5,
  package_md5: md5,
};
const order: Order = {
  id: '7',
  request,
  after: 'b',
  cancelling: false,
  told: [],
  tries: 0,
  tried_ms: 0,
  refusals: 0,
};
const blank = blankMemory({ url: 'https://h', tenant: 'DEFAULT', id: 'dev' });
const busy: Memory = { ...blank, order };
const around: Surroundings = {
  server: new URL('https://h'),
  tag,
  asksConsent: false,
  history: [],
  installed: '1.4.0',
  nowMs: 1e12,
};

function deployment(more: Record<string, unknown> = {}, id = '7', version = '1.5.0'): Deployment {
  const artifacts = [
    { filename: 'p.zip', size: 5, hashes: { md5 }, _links: { download: { href: 'https://h/p.zip' } } },
  ];
  return readDeployment({
    id,
    deployment: {
      download: 'forced',
      update: 'forced',
      chunks: [{ name: 'n', version, artifacts }],
      ...more,
    },
  });
}
const at = (stage: Device['stage'], orderAtHand: string | null = '7'): Device => ({
  stage,
  order: orderAtHand,
  isLocal: orderAtHand === null,
});
const resting: Device = { stage: 'idle', order: null, isLocal: false };
const entry = (id: string, outcome: 'success' | 'failed', action?: string): HistoryEntry => ({
  id,
  kind: 'update',
  version: '1.5.0',
  previous_version: null,
  started_at: '',
  ended_at: '',
  outcome,
  error: outcome === 'failed' ? 'HEALTH_CHECK_FAILED: no answer' : null,
  bytes: 0,
  modules: [],
  ...(action === undefined ? {} : { fleet_action: action }),
});
const moveOf = (memory: Memory, device: Device, offered: Deployment, more: Partial<Surroundings> = {}) =>
  onDeployment(memory, device, offered, { ...around, ...more });

test('an order has its server in its name, and is at hand while something is done for it', () => {
  assert.is(nameOf('7', tag), '7@0123abcd');
  assert.is(orderOf('7@0123abcd', tag), '7');
  for (const name of [null, '7', '7@ffffffff']) assert.is(orderOf(name, tag), null);
  const facts = {
    kind: 'update',
    version: null,
    action: '7@0123abcd',
    module: null,
    bytes: 0,
    totalBytes: 0,
    receivedBytes: 0,
    retries: 0,
    waits: 0,
    reusedBytes: 0,
    requests: 0,
    download: null,
  } as const;
  const progress = { progress: 0, message: '', error: null, facts };
  assert.equal(deviceOf({ ...progress, stage: 'toInstall' }, tag), at('toInstall'));
  assert.equal(deviceOf({ ...progress, stage: 'installing' }, 'ffffffff'), at('installing', null));
  assert.equal(deviceOf({ ...progress, stage: 'failed' }, tag), {
    stage: 'failed',
    order: null,
    isLocal: false,
  });
});

test('a link leads to its order; another one, or none, raises the question whether ours is open', () => {
  assert.is(onLink(blank, undefined), 'rest');
  assert.is(onLink(blank, { id: '8', query: '' }), 'look');
  assert.is(onLink(busy, { id: '7', query: '' }), 'look');
  assert.is(onLink(busy, { id: '8', query: '' }), 'ask');
  assert.is(onLink(busy, undefined), 'ask');
});

test('what was fetched stands until its link changes; a link that never changes is followed anew while a package waits', () => {
  const link = { id: '7', query: '?c=1' };
  assert.ok(isKnown(link, link, at('toInstall')));
  assert.not(isKnown({ ...link, query: '?c=2' }, link, at('downloading')));
  assert.not(isKnown(link, undefined, resting));
  assert.ok(isKnown({ id: '7', query: '' }, { id: '7', query: '' }, at('downloading')));
  assert.not(isKnown({ id: '7', query: '' }, { id: '7', query: '' }, at('toInstall')));
});

test('a new order is begun where the device rests, and remembers what the history ends with', () => {
  const move = moveOf(blank, resting, deployment(), { history: [entry('c', 'success')] });
  assert.ok(move.do === 'begin');
  assert.equal(move.order, { ...order, after: 'c', request });
  assert.is(
    moveOf(blank, { ...resting, stage: 'failed' }, deployment({ download: 'attempt', update: 'attempt' })).do,
    'begin',
  );
  assert.is(moveOf(blank, resting, deployment({ download: 'skip', update: 'skip' })).do, 'rest');
});

test('what was begun on the device comes first', () => {
  for (const stage of ['downloading', 'verifying', 'toInstall', 'installing', 'rebooting'] as const) {
    const move = moveOf(blank, at(stage, null), deployment());
    assert.ok(move.do === 'wait' && move.waitsFor === 'device', stage);
    const own = moveOf(busy, at(stage, null), deployment());
    assert.ok(own.do === 'wait' && own.waitsFor === 'device', stage);
  }
});

test('a package that an older order left is taken over or replaced', () => {
  assert.is(moveOf(blank, at('toInstall', '6'), deployment()).do, 'begin');
});

test('what cannot be taken as it is ends the order with the reason', () => {
  const move = moveOf(blank, resting, deployment({ chunks: [] }));
  assert.ok(move.do === 'owe');
  assert.is(move.owed.finished, 'failure');
  assert.equal(move.owed.details.slice(1), ['version 1.4.0 runs']);
});

test('an order whose memory was lost ends as the history says, and only as that of its own server', () => {
  const past = [entry('a', 'success', '7@0123abcd')];
  const move = moveOf(blank, resting, deployment(), { history: past });
  assert.ok(move.do === 'owe' && move.owed.finished === 'success' && move.owed.execution === 'closed');
  const failed = moveOf(blank, resting, deployment(), {
    history: [...past, entry('b', 'failed', '7@0123abcd')],
  });
  assert.ok(failed.do === 'owe' && failed.owed.code === 120);
  assert.is(
    moveOf(blank, resting, deployment(), { history: [entry('a', 'success', '7@ffffffff')] }).do,
    'begin',
  );
});

test('an id that has ended: the same package that runs has succeeded again, anything else is begun anew', () => {
  const last = { id: '7', outcome: 'success', version: '1.5.0', md5, again: 0 } as const;
  const history = [entry('a', 'success', '7@0123abcd')];
  const again = moveOf({ ...blank, last }, resting, deployment(), { history, installed: '1.5.0' });
  assert.ok(again.do === 'owe' && again.owed.finished === 'success');
  const anew = moveOf({ ...blank, last }, resting, deployment(), { history, installed: '1.4.0' });
  assert.ok(anew.do === 'begin' && anew.isAgain);
  assert.is(
    moveOf({ ...blank, last: { ...last, md5: 'b'.repeat(32) } }, resting, deployment(), {
      history,
      installed: '1.5.0',
    }).do,
    'begin',
  );
  assert.is(
    moveOf({ ...blank, last: { ...last, outcome: 'failure' } }, resting, deployment(), {
      history,
      installed: '1.5.0',
    }).do,
    'begin',
  );
});

test('a package that failed three times in a day is not installed once more that day', () => {
  const failures = [1, 2, 3].map((hours) => ({ md5, at: around.nowMs - hours * 3_600_000 }));
  const move = moveOf({ ...blank, failures }, resting, deployment());
  assert.ok(move.do === 'owe');
  assert.match(move.owed.details[0] ?? '', /DEPLOYMENT_FAILED: this package failed 3 times since 2001/);
  assert.is(moveOf({ ...blank, failures: failures.slice(1) }, resting, deployment()).do, 'begin');
  assert.is(
    moveOf({ ...blank, failures }, resting, deployment(), { nowMs: around.nowMs + 86_400_000 }).do,
    'begin',
  );
});

for (const [update, more, asksConsent, expected] of [
  ['forced', {}, false, 'install'],
  ['forced', { maintenanceWindow: 'available' }, true, 'install'],
  ['attempt', {}, false, 'install'],
  ['attempt', {}, true, 'wait for consent'],
  ['skip', { maintenanceWindow: 'unavailable' }, false, 'wait for window'],
  ['skip', {}, false, 'downloaded'],
] as const)
  test(`a package that waits, update ${update} ${JSON.stringify(more)}, consent ${asksConsent}: ${expected}`, () => {
    const move = moveOf(busy, at('toInstall'), deployment({ update, ...more }), { asksConsent });
    assert.is(move.do === 'wait' ? `wait for ${move.waitsFor}` : move.do, expected);
  });

test('what is being carried out is left alone; what is not at hand has its end in the history, or is begun again', () => {
  for (const stage of ['downloading', 'verifying', 'installing', 'rebooting'] as const)
    assert.is(moveOf(busy, at(stage), deployment()).do, 'rest');
  assert.is(moveOf(busy, resting, deployment()).do, 'searchHistory');
});

test('a cancellation: agreed to, carried out, refused, or outdone by an end', () => {
  assert.is(onCancel(blank, resting, '7'), 'agree');
  assert.is(onCancel(busy, at('installing', null), '7'), 'agree');
  for (const stage of ['downloading', 'verifying', 'toInstall', 'installing'] as const)
    assert.is(onCancel(busy, at(stage), '7'), 'stop');
  assert.is(onCancel(busy, at('rebooting'), '7'), 'refuse');
  const { owed } = downloadedEnd(busy, order);
  assert.is(onCancel({ ...blank, owed }, resting, '7'), 'tellEnd');
});

const heard: Heard = {
  stage: 'failed',
  order: '7',
  error: null,
  installed: '1.4.0',
  nowMs: 5,
  triedMs: 0,
  hasNewBytes: false,
};
const after = (more: Partial<Heard>, memory = busy) => afterStage(memory, { ...heard, ...more });

test('success and failure are owed, with what runs; of another order nothing is', () => {
  assert.equal(after({ stage: 'success' }).owed, {
    id: '7',
    execution: 'closed',
    finished: 'success',
    details: ['installed 1.5.0'],
    code: 0,
    version: '1.5.0',
    md5,
  });
  const {
    owed,
    order: left,
    failures,
  } = after({ error: new UpdateError('HEALTH_CHECK_FAILED', 'no answer') });
  assert.is(left, null);
  assert.equal(owed?.details, ['HEALTH_CHECK_FAILED: no answer', 'version 1.4.0 runs']);
  assert.equal(failures, [{ md5, at: 5 }]);
  assert.is(after({ stage: 'success', order: '8' }), busy);
  assert.is(after({ stage: 'success', order: null }), busy);
  assert.is(after({ stage: 'installing' }), busy);
});

test('a refused downgrade is no failure of the package, which may be allowed at once; one that is refused as such is', () => {
  const refused = (code: ErrorCode) => after({ error: new UpdateError(code, 'why') });
  assert.equal(refused('DOWNGRADE_REFUSED').failures, []);
  assert.is(refused('DOWNGRADE_REFUSED').owed?.finished, 'failure');
  for (const code of ['INVALID_PACKAGE', 'SIGNATURE_INVALID', 'INCOMPATIBLE'] as const)
    assert.equal(refused(code).failures, [{ md5, at: 5 }], code);
});

test('a cancellation on the device ends the order, one of the server does not', () => {
  assert.equal(after({ stage: 'idle' }).owed?.details[0], 'CANCELLED: cancelled on the device');
  const cancelled = { ...busy, order: { ...order, cancelling: true } };
  assert.is(after({ stage: 'idle' }, cancelled), cancelled);
});

test('a failing network never ends an order before its budget: 50 tries or three days without a byte', () => {
  const outage = new UpdateError('DOWNLOAD_FAILED', 'no answer', { mayPass: 'outage' });
  const once = after({ error: outage, triedMs: 1000 });
  assert.equal([once.order?.tries, once.order?.tried_ms, once.owed], [1, 1000, null]);
  const tired = { ...busy, order: { ...order, tries: limits.fleetTries - 1 } };
  assert.is(after({ error: outage }, tired).owed?.finished, 'failure');
  assert.is(after({ error: outage, hasNewBytes: true }, tired).order?.tries, 1);
  assert.is(after({ error: outage, triedMs: limits.fleetBudgetMs }).owed?.finished, 'failure');
  assert.equal(after({ error: outage }, tired).failures, []);
});

test('a package that waited too long, or is gone, is downloaded again', () => {
  for (const code of ['PACKAGE_EXPIRED', 'DOWNLOAD_INCOMPLETE', 'OPERATION_IN_PROGRESS'] as const)
    assert.is(after({ error: new UpdateError(code, '') }).owed, null, code);
});

test('a refusal may be the race with a cancellation; the third is the end', () => {
  const refusal = new UpdateError('DOWNLOAD_FAILED', 'HTTP 404', { mayPass: 'refusal' });
  const first = after({ error: refusal });
  const second = after({ error: refusal }, first);
  assert.equal([first.order?.refusals, second.order?.refusals], [1, 2]);
  assert.is(after({ error: refusal }, second).owed?.code, 107);
});

test('an end that nobody told stands in the history, later than the order began', () => {
  const name = '7@0123abcd';
  assert.is(afterHistory(busy, [entry('a', 'success', name), entry('b', 'failed', name)], name), busy);
  assert.is(afterHistory(busy, [entry('c', 'success', name)], name).owed?.finished, 'success');
  assert.is(afterHistory(busy, [entry('c', 'success', '8@0123abcd')], name), busy);
});

test('what was told, cancelled or closed is remembered as the last, to be known again', () => {
  const owing = after({ stage: 'success' });
  const told = owing.owed === null ? owing : afterTold(owing, owing.owed, true);
  assert.equal(
    [told.owed, told.last],
    [null, { id: '7', outcome: 'success', version: '1.5.0', md5, again: 0 }],
  );
  const uncounted = owing.owed === null ? owing : afterTold(owing, owing.owed, false);
  assert.is(uncounted.last?.counted, false, 'the server had closed it before its end came');
  assert.equal(afterClosed(busy, '7', 'gone').last, {
    id: '7',
    outcome: 'gone',
    version: '1.5.0',
    md5,
    again: 0,
  });
  const other = afterClosed(busy, '9', 'cancelled');
  assert.equal([other.order, other.last?.outcome, other.last?.md5], [order, 'cancelled', null]);
});

test('stages have words; those of a start that found the order unfinished say so', () => {
  assert.is(wordOf('downloading', request)?.detail, 'downloading p.zip, 0.0 MB');
  assert.is(wordOf('installing', request)?.execution, 'proceeding');
  assert.is(wordOf('success', request), undefined);
  assert.is(resumedWord('installing')?.execution, 'resumed');
  assert.is(resumedWord('toInstall'), undefined);
});

test.run();
