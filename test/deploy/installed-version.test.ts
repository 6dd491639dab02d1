/** What is installed, told by the history and, where that is lost, by the record of what is deployed; and ids that no clock disturbs. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deployedPath } from '../../src/deploy/current-record.ts';
import { addToHistory } from '../../src/deploy/history-file.ts';
import { installedVersion, readInstalled } from '../../src/deploy/installed-version.ts';
import { latestId } from '../../src/deploy/past-updates.ts';
import { nextId } from '../../src/deploy/update-id.ts';
import type { HistoryEntry } from '../../src/history.ts';
import { putRecord } from '../fixtures/put-record.ts';
import { type Device, device } from './rig.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('the installed version', {} as Context);
test.before.each((context) => {
  context.d = device();
});
test.after.each(({ d }) => d.remove());

const first = '20261101T000000000Z';
const second = '20261102T000000000Z';

function entry(id: string, version: string | null, kind: HistoryEntry['kind'] = 'update'): HistoryEntry {
  const at = '2026-11-23T20:00:00.000Z';
  const times = { started_at: at, ended_at: at };
  return {
    id,
    kind,
    version,
    previous_version: null,
    ...times,
    outcome: 'success',
    error: null,
    bytes: 1,
    modules: [],
  };
}

async function record(d: Device, id: string, version: string): Promise<void> {
  const from = { sizeBytes: 1, md5: '0'.repeat(32), sha256: null };
  await putRecord(d.host.files, d.backups, { kind: 'header', format: 2, id, version, package: from }, []);
}

test('is that of the last success', async ({ d }) => {
  assert.is(await installedVersion(d.host.files, d.backups), undefined);
  await addToHistory(d.host.files, d.backups, entry(first, '1.0.0'));
  await addToHistory(d.host.files, d.backups, entry(second, '2.0.0-rc.1'));
  assert.is(await installedVersion(d.host.files, d.backups), '2.0.0-rc.1');
});

test('is nothing where the first update was taken back', async ({ d }) => {
  await addToHistory(d.host.files, d.backups, entry(first, '1.0.0'));
  await addToHistory(d.host.files, d.backups, entry(second, null, 'rollback'));
  assert.is(await installedVersion(d.host.files, d.backups), undefined);
});

test('is known without a history, by the record of what is deployed', async ({ d }) => {
  await record(d, first, '1.0.0');
  await record(d, second, '2.0.0');
  await addToHistory(d.host.files, d.backups, entry(second, '2.0.0'));
  rmSync(join(d.backups, 'history.jsonl'));
  assert.is(await installedVersion(d.host.files, d.backups), '2.0.0');
  writeFileSync(deployedPath(d.backups, second), 'rotten\n');
  assert.is(await installedVersion(d.host.files, d.backups), undefined);
});

test('is told with the modules of the record, unless that is of another version', async ({ d }) => {
  const { files } = d.host;
  assert.equal(await readInstalled(files, d.backups), { version: null, modules: [], notes: null });
  const from = { sizeBytes: 1, md5: '0'.repeat(32), sha256: null };
  const notes = { en: 'new' };
  const header = { kind: 'header', format: 3, id: first, version: '1.0.0', notes, package: from } as const;
  const service = {
    module: 'web',
    processName: undefined,
    restartOrder: undefined,
    unit: undefined,
    start: undefined,
    health: undefined,
  };
  await putRecord(files, d.backups, header, [
    { kind: 'module', name: 'web', id: first, tree: null, service },
  ]);
  await addToHistory(files, d.backups, entry(first, '1.0.0'));
  const web = [{ name: 'web', version: '1.0.0' }];
  assert.equal(await readInstalled(files, d.backups), { version: '1.0.0', modules: web, notes });
  await record(d, second, '1.1.0');
  assert.equal(
    await readInstalled(files, d.backups),
    { version: '1.0.0', modules: web, notes },
    'an update is under way',
  );
  rmSync(deployedPath(d.backups, second));
  await addToHistory(files, d.backups, entry(second, '0.9.0'));
  assert.equal(await readInstalled(files, d.backups), { version: '0.9.0', modules: [], notes: null });
});

test('a clock that stands in 1970 makes no id that an older record or entry would outrank', async ({ d }) => {
  const clockOf1970 = 1000;
  const next = async () => nextId(clockOf1970, await latestId(d.host.files, d.backups));
  assert.is(await next(), '19700101T000001000Z');
  await record(d, first, '1.0.0'); // its journal and backups were pruned
  assert.is(await next(), '20261101T000000001Z');
  await addToHistory(d.host.files, d.backups, entry(second, '2.0.0'));
  assert.is(await next(), '20261102T000000001Z');
});

test.run();
