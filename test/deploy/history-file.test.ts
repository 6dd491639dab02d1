import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { addToHistory, lastSuccess, readHistory } from '../../src/deploy/history-file.ts';
import type { HistoryEntry } from '../../src/history.ts';
import { limits } from '../../src/limits.ts';
import { type Device, device } from './rig.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('history', {} as Context);
test.before.each((context) => {
  context.d = device();
});
test.after.each(({ d }) => d.remove());

function entry(id: string, more: Partial<HistoryEntry> = {}): HistoryEntry {
  const at = '2026-11-23T20:00:00.000Z';
  return {
    id,
    kind: 'update',
    version: '1.0.0',
    previous_version: null,
    started_at: at,
    ended_at: at,
    outcome: 'success',
    error: null,
    bytes: 1,
    modules: ['app'],
    ...more,
  };
}

test('entries come back in order, and one that is added again is there once', async ({ d }) => {
  for (const id of ['a', 'b', 'a']) await addToHistory(d.host.files, d.backups, entry(id));
  assert.equal(
    (await readHistory(d.host.files, d.backups)).map(({ id }) => id),
    ['b', 'a'],
  );
});

test('a torn last line, at every byte, costs that line only', async ({ d }) => {
  for (const id of ['a', 'b']) await addToHistory(d.host.files, d.backups, entry(id));
  const path = join(d.backups, 'history.jsonl');
  const whole = readFileSync(path);
  const lineEnd = whole.indexOf('\n') + 1;
  for (let length = lineEnd; length < whole.length - 1; length++) {
    writeFileSync(path, whole.subarray(0, length));
    assert.equal(
      (await readHistory(d.host.files, d.backups)).map(({ id }) => id),
      ['a'],
      `cut at ${length}`,
    );
  }
  await addToHistory(d.host.files, d.backups, entry('c'));
  assert.equal(
    (await readHistory(d.host.files, d.backups)).map(({ id }) => id),
    ['a', 'c'],
  );
});

test('the oldest go beyond the limit', async ({ d }) => {
  const many = Array.from({ length: limits.historyEntries }, (_, index) =>
    JSON.stringify(entry(`old ${index}`)),
  );
  writeFileSync(join(d.backups, 'history.jsonl'), `${many.join('\n')}\n`);
  await addToHistory(d.host.files, d.backups, entry('new'));
  const ids = (await readHistory(d.host.files, d.backups)).map(({ id }) => id);
  assert.equal([ids.length, ids[0], ids.at(-1)], [limits.historyEntries, 'old 1', 'new']);
});

test('the installed version is that of the last success, a rollback included', () => {
  const entries = [
    entry('1', { version: '1.0.0' }),
    entry('2', { version: '2.0.0' }),
    entry('3', { version: '3.0.0', outcome: 'failed', error: 'DISK_FULL: x' }),
  ];
  assert.is(lastSuccess(entries)?.version, '2.0.0');
  assert.is(lastSuccess([...entries, entry('4', { kind: 'rollback', version: '1.0.0' })])?.version, '1.0.0');
  assert.is(lastSuccess([]), undefined);
});

test('the last success is never among those that go', async ({ d }) => {
  await addToHistory(d.host.files, d.backups, entry('old', { version: '0.9.0' }));
  await addToHistory(d.host.files, d.backups, entry('good', { version: '1.0.0' }));
  const failed = { outcome: 'failed', error: 'DISK_FULL: x' } as const;
  const many = Array.from({ length: limits.historyEntries + 5 }, (_, index) => entry(`bad ${index}`, failed));
  for (const one of many) await addToHistory(d.host.files, d.backups, one);
  const history = await readHistory(d.host.files, d.backups);
  assert.is(history.length, limits.historyEntries + 1);
  assert.equal([history[0]?.id, history.at(-1)?.id], ['good', many.at(-1)?.id]);
});

test('a rollback of 0.1.0 to nothing says nothing, as those of today do', async ({ d }) => {
  await addToHistory(d.host.files, d.backups, entry('a', { kind: 'rollback', version: '0.0.0' }));
  await addToHistory(d.host.files, d.backups, entry('b', { kind: 'update', version: '0.0.0' }));
  assert.equal(
    (await readHistory(d.host.files, d.backups)).map(({ version }) => version),
    [null, '0.0.0'],
  );
});

test('a symlink planted at its place is not followed, and is replaced by the next entry', async ({ d }) => {
  const precious = d.put('elsewhere/file', JSON.stringify(entry('planted')));
  symlinkSync(precious, join(d.backups, 'history.jsonl'));
  assert.equal(await readHistory(d.host.files, d.backups), []);
  await addToHistory(d.host.files, d.backups, entry('a'));
  assert.equal(
    (await readHistory(d.host.files, d.backups)).map(({ id }) => id),
    ['a'],
  );
  assert.match(readFileSync(precious, 'utf8'), /planted/);
});

test.run();
