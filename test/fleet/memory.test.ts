/** fleet.json: kept durably, of one server, moved aside when damaged; a change that cannot be written has not happened. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openMemory } from '../../src/fleet/memory.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Files } from '../../src/host/host.ts';
import { collectingLog } from '../fixtures/scripted-updater.ts';

interface Context {
  directory: string;
  path: string;
}
const test = suite<Context>('fleet.json', {} as Context);
test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'fleet-'));
  context.path = join(context.directory, 'fleet.json');
});
test.after.each(({ directory }) => rmSync(directory, { recursive: true }));

const server = { url: 'https://h', tenant: 'DEFAULT', id: 'd' };
const open = (path: string, of = server, files: Files = realFiles()) =>
  openMemory({ files, log: collectingLog() }, path, of);

test('what was changed is there again, for nobody else to read, and of no other server', async ({ path }) => {
  const memory = await open(path);
  assert.not(existsSync(path));
  await Promise.all(
    [1, 2, 3].map((ms) => memory.change((now) => ({ ...now, sleep_ms: (now.sleep_ms ?? 0) + ms }))),
  );
  assert.is(statSync(path).mode & 0o777, 0o600);
  assert.is((await open(path)).current().sleep_ms, 6);
  for (const key of ['url', 'tenant', 'id'] as const)
    assert.is((await open(path, { ...server, [key]: 'other' })).current().sleep_ms, null, key);
});

test('a change that gives back what it was given writes nothing', async ({ path }) => {
  const memory = await open(path);
  await memory.change((now) => now);
  assert.not(existsSync(path));
});

test('a damaged file is moved aside and counts as none', async ({ path }) => {
  for (const text of ['{', '{}', JSON.stringify({ server, order: { id: '../x' } })]) {
    writeFileSync(path, text);
    assert.is((await open(path)).current().order, null);
    assert.is(readFileSync(`${path}.damaged`, 'utf8'), text);
    assert.not(existsSync(path));
  }
});

test('on a full disk a change has not happened, and a fact has', async ({ path }) => {
  const full = {
    ...realFiles(),
    open: async () => Promise.reject(Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' })),
  };
  const memory = await open(path, server, full);
  const refused: unknown = await memory.change((now) => ({ ...now, sleep_ms: 1 })).catch(String);
  assert.match(String(refused), /ENOSPC/);
  assert.is(memory.current().sleep_ms, null);
  await memory.note((now) => ({ ...now, sleep_ms: 2 }));
  assert.is(memory.current().sleep_ms, 2);
});

test.run();
