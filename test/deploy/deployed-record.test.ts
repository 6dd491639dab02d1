/** The record of what is deployed: what it remembers of update after update, which one counts, and how damage is told. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { currentRecord, pruneDeployed } from '../../src/deploy/current-record.ts';
import { openRecord, type RecordHeader, type RecordLine } from '../../src/deploy/deployed-record.ts';
import { forgetUpdates } from '../../src/deploy/past-updates.ts';
import { readRecorded } from '../../src/deploy/recorded.ts';
import { UpdateError } from '../../src/errors.ts';
import type { ServiceSpec } from '../../src/release.ts';
import { putRecord } from '../fixtures/put-record.ts';
import { type Device, device } from './rig.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('deployed record', {} as Context);
test.before.each((context) => {
  context.d = device();
});
test.after.each(({ d }) => d.remove());

const ids = ['20260101T000000000Z', '20260102T000000000Z', '20260103T000000000Z'] as const;
const digest = 'a'.repeat(64);

function service(module: string): ServiceSpec {
  const none = { processName: undefined, restartOrder: undefined, unit: undefined };
  return { module, ...none, start: undefined, health: undefined };
}

/** A module of single files. */
function moduleOf(id: string, name: string, ...paths: string[]): RecordLine[] {
  const line: RecordLine = { kind: 'module', name, id, tree: null, service: service(name) };
  const files = paths.map((path): RecordLine => {
    const facts = { entry: `m${path}`, sizeBytes: 3, mode: 0o644, uid: 0, gid: 0, sha256: digest };
    return { kind: 'file', module: name, path, ...facts };
  });
  return [line, ...files];
}

async function write(d: Device, id: string, lines: readonly RecordLine[]): Promise<void> {
  const facts = { sizeBytes: 1, md5: 'b'.repeat(32), sha256: null };
  const header = { kind: 'header', format: 1, id, version: '1.0.0', package: facts } as const;
  await putRecord(d.host.files, d.backups, header, lines);
}

async function pathsIn(d: Device, id: string): Promise<string[]> {
  const record = await openRecord(d.host.files, d.backups, id);
  const paths: string[] = [];
  for await (const line of record.lines()) if (line.kind === 'file') paths.push(line.path);
  return paths;
}

async function refusal(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
  } catch (thrown) {
    assert.instance(thrown, UpdateError);
    return (thrown as UpdateError).message;
  }
  return 'nothing was refused';
}

test('an update remembers its own modules, and those that it leaves alone', async ({ d }) => {
  await write(d, ids[0], [...moduleOf(ids[0], 'api', '/a', '/gone'), ...moduleOf(ids[0], 'web', '/w')]);
  await write(d, ids[1], moduleOf(ids[1], 'api', '/a', '/new'));
  assert.equal(await pathsIn(d, ids[0]), ['/a', '/gone', '/w']);
  assert.equal(await pathsIn(d, ids[1]), ['/a', '/new', '/w']);
  const modules: string[] = [];
  const { header, lines } = await openRecord(d.host.files, d.backups, ids[1]);
  for await (const line of lines()) if (line.kind === 'module') modules.push(`${line.name} ${line.id}`);
  assert.equal([header.id, modules], [ids[1], [`api ${ids[1]}`, `web ${ids[0]}`]]);
});

test('the header names every module with the version that brought it, where that is known', async ({ d }) => {
  const put = (id: string, version: string, lines: readonly RecordLine[]) => {
    const facts = { sizeBytes: 1, md5: 'b'.repeat(32), sha256: null };
    const header = { kind: 'header', format: 3, id, version, package: facts } as const;
    return putRecord(d.host.files, d.backups, header, lines);
  };
  const versions = async (id: string) => (await openRecord(d.host.files, d.backups, id)).header.modules;
  await put(ids[0], '1.0.0', [...moduleOf(ids[0], 'api', '/a'), ...moduleOf(ids[0], 'web', '/w')]);
  await put(ids[1], '1.1.0', moduleOf(ids[1], 'api', '/a'));
  assert.equal(await versions(ids[1]), { web: '1.0.0', api: '1.1.0' });

  // A record of 0.1.0 has no such list: it knows what its own update brought.
  const path = join(d.backups, `${ids[1]}.deployed`);
  const [first = '', ...rest] = readFileSync(path, 'utf8').split('\n');
  const { modules: _, ...header } = JSON.parse(first.slice(65));
  const text = JSON.stringify(header);
  writeFileSync(path, [`${createHash('sha256').update(text).digest('hex')} ${text}`, ...rest].join('\n'));
  await put(ids[2], '1.2.0', moduleOf(ids[2], 'new', '/n'));
  assert.equal(await versions(ids[2]), { web: null, api: '1.1.0', new: '1.2.0' });
});

test('a path that another module takes over is that module’s', async ({ d }) => {
  await write(d, ids[0], moduleOf(ids[0], 'old', '/a', '/b'));
  await write(d, ids[1], moduleOf(ids[1], 'new', '/a'));
  assert.equal(await pathsIn(d, ids[1]), ['/a', '/b']);
});

test('the newest counts, unless a later update has left none', async ({ d }) => {
  const { files } = d.host;
  assert.is(await currentRecord(files, d.backups), undefined);
  await write(d, ids[0], moduleOf(ids[0], 'api', '/a'));
  assert.is(await currentRecord(files, d.backups), ids[0]);
  writeFileSync(join(d.backups, `${ids[1]}.journal`), '');
  assert.is(await currentRecord(files, d.backups), undefined, 'by an updater that kept no records');
  await write(d, ids[2], moduleOf(ids[2], 'web', '/w'));
  assert.is(await currentRecord(files, d.backups), ids[2]);
  assert.equal(await pathsIn(d, ids[2]), ['/w'], 'what the one in between changed is not known');
  await forgetUpdates(files, d.backups, [ids[2]]);
  assert.is(await currentRecord(files, d.backups), undefined);
});

test('kept are those of the updates that can be taken back, the one before them, and the newest package', async ({
  d,
}) => {
  const { files } = d.host;
  for (const id of ids) {
    await write(d, id, moduleOf(id, 'api', '/a'));
    writeFileSync(join(d.backups, `${id}.zip`), id);
  }
  await pruneDeployed(files, d.backups, [ids[1], ids[2]]);
  const names = () => readdirSync(d.backups).sort();
  assert.equal(names(), [...ids.map((id) => `${id}.deployed`), `${ids[2]}.zip`]);
  await pruneDeployed(files, d.backups, [ids[2]]);
  assert.equal(names(), [`${ids[1]}.deployed`, `${ids[2]}.deployed`, `${ids[2]}.zip`]);
  await pruneDeployed(files, d.backups, []);
  assert.equal(names(), [`${ids[2]}.deployed`, `${ids[2]}.zip`]);
});

test('records of every format are read, and lines of an older one are taken over; one of a later format is refused', async ({
  d,
}) => {
  const from = { sizeBytes: 1, md5: 'b'.repeat(32), sha256: null };
  const header = (id: string, format: number): RecordHeader => ({
    kind: 'header',
    format: format as RecordHeader['format'],
    id,
    version: '1.0.0',
    package: from,
  });
  const withCrc = moduleOf(ids[1], 'web', '/w').map((line) =>
    line.kind === 'file' ? { ...line, crc32: 0xcbf43926 } : line,
  );
  await putRecord(d.host.files, d.backups, header(ids[0], 2), moduleOf(ids[0], 'api', '/a'));
  await putRecord(d.host.files, d.backups, header(ids[1], 3), withCrc);
  const found: (readonly [string, number | undefined])[] = [];
  for await (const line of (await openRecord(d.host.files, d.backups, ids[1])).lines())
    if (line.kind === 'file') found.push([line.path, line.crc32]);
  assert.equal(found, [
    ['/w', 0xcbf43926],
    ['/a', undefined],
  ]);
  await putRecord(d.host.files, d.backups, header(ids[2], 4), []);
  assert.match(await refusal(() => pathsIn(d, ids[2])), /its first line is no header/);
});

test('it tells where each module is: the root of a tree, or its one file, also where only what was put beside it is known', async ({
  d,
}) => {
  const [tree, ...below] = moduleOf(ids[0], 'tree', '/t/a/b');
  const [edited, beside] = moduleOf(ids[0], 'edited', '/e.cfg.new');
  assert.ok(tree?.kind === 'module' && edited && beside?.kind === 'file');
  await write(d, ids[0], [
    { ...tree, tree: '/t' },
    ...below,
    ...moduleOf(ids[0], 'one', '/o'),
    edited,
    { ...beside, isConfig: true, isBeside: true },
  ]);
  const { modules } = await readRecorded(d.host.files, d.backups);
  const places = [...modules].map(([name, { place }]) => [name, place]);
  assert.equal(places, [
    ['tree', '/t'],
    ['one', '/o'],
    ['edited', '/e.cfg'],
  ]);
});

test('many files, and lines longer than a read', async ({ d }) => {
  const many = Array.from({ length: 3000 }, (_, index) => `/opt/${'x'.repeat(200)}/${index}`);
  const long = { ...service('long'), start: ['/bin/true', 'y'.repeat(200_000)] };
  const first: RecordLine = { kind: 'module', name: 'long', id: ids[0], tree: '/opt', service: long };
  await write(d, ids[0], [first, ...moduleOf(ids[0], 'api', ...many)]);
  assert.equal(await pathsIn(d, ids[0]), many);
});

const damages: readonly (readonly [string, (text: string) => string, RegExp])[] = [
  ['a changed digit', (text) => text.replace('"mode":420', '"mode":421'), /a bad line before byte/],
  ['a lost end', (text) => text.slice(0, text.lastIndexOf('\n', text.length - 2) + 1), /has no end/],
  ['a torn end', (text) => text.slice(0, -10), /torn/],
  ['nothing', () => '', /no header/],
  ['other bytes', () => 'hello\n', /a bad line/],
  ['a lost line', (text) => text.split('\n').toSpliced(1, 1).join('\n'), /2 lines instead of 3/],
];
for (const [what, damage, expected] of damages)
  test(`damage is told, with what to do: ${what}`, async ({ d }) => {
    await write(d, ids[0], moduleOf(ids[0], 'api', '/a'));
    const path = join(d.backups, `${ids[0]}.deployed`);
    writeFileSync(path, damage(readFileSync(path, 'utf8')));
    const message = await refusal(() => pathsIn(d, ids[0]));
    assert.match(message, expected);
    assert.match(message, /^NO_BACKUP: .*: install the version again$/);
    await write(d, ids[1], moduleOf(ids[1], 'web', '/w'));
    assert.equal(await pathsIn(d, ids[1]), ['/w'], 'the next update begins anew');
  });

test.run();
