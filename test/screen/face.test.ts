/** What the screen shows for what the updater tells: sentences, buttons and questions. No browser needed. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type * as v from 'valibot';
import { trafficText } from '../../src/download/traffic.ts';
import type { ErrorCode } from '../../src/errors.ts';
import type { HistoryEntry } from '../../src/history.ts';
import type { EventSchema } from '../../src/http/contract.ts';
import type { VersionsSchema } from '../../src/installed.ts';
import { faceOf, questionOf } from '../../src/screen/browser/face.ts';
import { newUpdater } from '../../src/screen/browser/past.ts';
import { voice } from '../../src/screen/browser/say.ts';
import type { Action, Past, State, Versions } from '../../src/screen/browser/wire.ts';
import type { Pair } from '../../src/screen/browser/words.ts';
import * as words from '../../src/screen/browser/words.ts';
import type { Stage } from '../../src/updater/state.ts';

const test = suite('face');
const all: readonly Action[] = ['rollback', 'install', 'cancel', 'consent'];
const past: readonly Past[] = [
  entry('2.0.0', '1.6.0', 'success'),
  entry('1.6.0', '1.5.0', 'success'),
  entry('1.5.0', null, 'success'),
];

const versions: Versions = {
  installed: {
    version: '2.0.0',
    modules: [
      { name: 'api', version: '2.0.0' },
      { name: 'web', version: null },
    ],
    notes: { en: 'Faster.', zh: '更快。' },
  },
  waiting: { version: '2.1.0', notes: 'Prints pause\nwhile the door is open.' },
};

test('details: the notes of what waits, those of what is installed with its modules, and a failure in full', () => {
  const details = (told: State, lang = 'en') => shown(told, lang).details;
  const installed = { title: 'Version 2.0.0', lead: 'Faster.', more: 'api 2.0.0\nweb ' };
  assert.equal(details(state('idle')), installed);
  assert.equal(details(state('success'), 'zh-CN'), { ...installed, title: '版本 2.0.0', lead: '更快。' });
  assert.is(details(state('idle'), 'fr')?.lead, 'Faster.', 'English where there is no other');
  const waiting = { title: 'Version 2.1.0', lead: 'Prints pause\nwhile the door is open.', more: '' };
  assert.equal(details(state('toInstall')), waiting);
  assert.is(details(state('downloading')), null);
  const error = 'DISK_FULL: 1 free, 2 needed';
  assert.equal(details(state('failed', { error })), {
    title: 'What went wrong',
    lead: 'There is not enough free space.',
    more: error,
  });
  const none = { past, versions: { installed: { version: null, modules: [], notes: null }, waiting: null } };
  for (const heard of [none, { past, versions: null }])
    for (const stage of ['idle', 'toInstall'] as const)
      assert.is(faceOf(state(stage), heard, all, voice('en')).details, null);
});

test('what the page takes for an event is one, and all of it has words', () => {
  // Compiled, not run: the page cannot import these types.
  const event: (told: v.InferOutput<typeof EventSchema>) => State = (told) => told;
  const known: (told: v.InferOutput<typeof VersionsSchema>) => Versions = (told) => told;
  const remembered: (told: HistoryEntry) => Past = (told) => told;
  const stages: Readonly<Record<Stage, Pair>> = words.stages;
  type NeverShown = 'VALIDATION_ERROR' | 'DOWNLOAD_INCOMPLETE' | 'MD5_NOT_VERIFIED' | 'VERSION_MISMATCH';
  const errors: Readonly<Record<Exclude<ErrorCode, NeverShown>, Pair>> = words.errors;
  for (const [english, chinese] of [...Object.values(stages), ...Object.values(errors)])
    assert.ok(english !== '' && chinese !== '');
  for (const compiled of [event, known, remembered]) assert.type(compiled, 'function');
});

test('what need not be fetched is said on the way and in the end, and nothing where all is fetched', () => {
  const counted = { bytes: 13_800_000, total_bytes: 33_600_000 };
  const download = { bytes_fetched: 4_900_000, bytes_reused: 8_900_000, requests: 3 };
  const onTheWay = state('downloading', { ...counted, download });
  assert.equal(
    [shown(onTheWay).amount, shown(onTheWay).note],
    ['13.8 MB of 33.6 MB', '8.9 MB of it is already here'],
  );
  assert.is(shown(onTheWay, 'zh').note, '其中 8.9 MB 已在设备上');
  assert.is(shown({ ...onTheWay, download: { ...download, bytes_reused: 0 } }).note, '');
  const message = trafficText(download, 33_600_000) ?? '';
  const waiting = state('toInstall', { message });
  assert.is(shown(waiting).note, '4.9 of 33.6 MB downloaded, the rest is already here');
  assert.is(shown(waiting, 'zh').note, '已下载 4.9 / 33.6 MB，其余已在设备上');
  assert.is(shown(state('toInstall')).note, '');
});

test('after a failure the working version is named, and that the way back leads further', () => {
  const failed = state('failed', { error: 'HEALTH_CHECK_FAILED: beta: no answer', version: '2.1.0' });
  const { reason, raw, actions, version } = shown(failed);
  assert.is(reason, 'The new version did not work. The old one is back.');
  assert.is(raw, 'HEALTH_CHECK_FAILED: beta: no answer');
  assert.is(version, 'Version 2.1.0');
  assert.equal(actions, ['rollback']);
  const ask = (lang: string, entries = past) => questionOf('rollback', failed, entries, voice(lang));
  assert.is(ask('en'), 'Version 2.0.0 works. Go back further, to 1.6.0?');
  assert.is(ask('zh'), '版本 2.0.0 运行正常。仍要回退到更早的 1.6.0 吗？');
  assert.is(ask('en', past.slice(2)), 'Version 1.5.0 works. Go back to what was there before it?');
});

test('after a rollback that failed nothing is said to work', () => {
  const failed = state('failed', { error: 'ROLLBACK_FAILED: /opt/a: EIO', kind: 'rollback' });
  assert.is(questionOf('rollback', failed, past, voice('en')), 'Go back to version 1.6.0?');
});

test('while it installs, one may switch the device off', () => {
  const sentence = 'You may switch the device off at any time.';
  assert.is(shown(state('installing', { message: 'replacing files' })).note, sentence);
  assert.is(shown(state('rebooting')).note, sentence);
  assert.is(shown(state('installing', { message: 'putting everything back' })).note, sentence);
  assert.is(shown(state('installing'), 'zh-TW').note, '您可以随时关闭设备电源。');
  assert.is(shown(state('idle')).note, '');
});

test('a hold is a wait, with whom and why', () => {
  const until = '(until 2026-11-23T23:00:00.000Z at the latest)';
  const held = shown(state('installing', { message: `waiting for printer: a print: 3 h left ${until}` }));
  assert.is(held.title, 'Waiting for printer');
  assert.is(held.detail, 'a print: 3 h left');
  assert.is(held.tone, 'held');
  assert.is(held.note, 'The update begins by itself afterwards.');
  assert.equal(held.actions, ['cancel']);
  const long = shown(state('installing', { message: `waiting for the-owner-of-the-machine: why ${until}` }));
  assert.is(long.title, 'Waiting');
  assert.is(long.detail, 'the-owner-of-the-machine: why');
  const rollback = state('installing', {
    kind: 'rollback',
    message: `waiting for printer: a print ${until}`,
  });
  assert.equal(shown(rollback).actions, []);
});

test('an undo says that it puts the old version back, not how much is installed', () => {
  const undo = shown(state('installing', { progress: 97, message: 'putting everything back' }));
  assert.is(undo.title, 'Putting the old version back');
  assert.equal([undo.tone, undo.version, undo.steps], ['back', '', []]);
  const ofRollback = state('installing', { kind: 'rollback', message: 'putting everything back' });
  assert.is(shown(ofRollback).title, 'Putting everything back');
});

test('a network that is not there, a time window and a consent are said to be waited for', () => {
  const network = state('downloading', { message: 'waiting for the network: ENETUNREACH' });
  assert.is(shown(network).title, 'Waiting for the network');
  const window = state('toInstall', { message: 'scheduled: waits for its time window' });
  assert.is(shown(window, 'zh').detail, '将在预定时段安装。');
  const consent = state('idle', { message: 'waits for your consent to version 3.0.0', version: '2.0.0' });
  assert.is(shown(consent).title, 'Update available');
  assert.is(shown(consent).version, 'Version 3.0.0');
  assert.equal(shown(consent).actions, ['consent']);
  assert.is(questionOf('consent', consent, past, voice('en')), 'Install version 3.0.0?');
  const unknown = state('idle', { message: 'waits for your consent', version: null });
  assert.is(questionOf('consent', unknown, past, voice('en')), 'Install this version?');
});

test('each state offers what the API takes in it, as far as the page may offer it', () => {
  const offers = (told: State, allowed = all) =>
    faceOf(told, { past, versions }, allowed, voice('en')).actions;
  assert.equal(offers(state('toInstall')), ['cancel', 'install']);
  assert.equal(offers(state('downloading')), ['cancel']);
  assert.equal(offers(state('verifying')), ['cancel']);
  assert.equal(offers(state('installing', { message: 'unpacking' })), []);
  assert.equal(offers(state('rebooting')), []);
  assert.equal(offers(state('success')), ['rollback']);
  assert.equal(offers(state('toInstall'), ['rollback']), []);
  assert.equal(offers(state('success'), []), []);
});

test('a page that has only GET /progress shows the state', () => {
  const { title, version, amount } = shown({
    stage: 'downloading',
    progress: 3,
    message: 'downloading the package',
    error: null,
  });
  assert.equal([title, version, amount], ['Downloading', '', '']);
});

test('the history names the updater where it is another one than before, and not where nobody knows', () => {
  const versions = ['0.2.0', '0.2.0', undefined, '0.1.0', '0.1.0', undefined];
  const entries = versions.map((updater) => ({ ...entry('1.0.0', null, 'success'), updater }));
  const named = entries.map((_, index) => newUpdater(entries, index));
  assert.equal(named, [undefined, '0.2.0', undefined, undefined, undefined, undefined]);
});

function shown(told: State, language = 'en') {
  return faceOf(told, { past, versions }, all, voice(language));
}

function state(stage: Stage, facts: Partial<State> = {}): State {
  return { stage, progress: 0, message: stage, error: null, kind: 'update', version: '2.1.0', ...facts };
}

function entry(version: string, previous: string | null, outcome: Past['outcome']): Past {
  return {
    kind: 'update',
    version,
    previous_version: previous,
    ended_at: '2026-11-23T20:44:00.000Z',
    outcome,
    error: null,
    modules: ['device-api'],
  };
}

test.run();
