/** Writes that are made durable together: what is durable when sync() has returned, on the model disk, and how errors are heard. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../../src/errors.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Files } from '../../src/host/host.ts';
import { tellsFailedWrites } from '../../src/host/syncfs.ts';
import { openWriteGroup } from '../../src/host/write-group.ts';
import { limits } from '../../src/limits.ts';
import { type CutOptions, crashStates } from '../powercut/crash-states.ts';
import { faultyFiles } from '../powercut/faulty-files.ts';
import { type ModelDisk, modelDisk } from '../powercut/model-disk.ts';
import { emptyModel, type ModelState } from '../powercut/model-state.ts';
import { textAt } from '../powercut/model-tree.ts';

const test = suite('write group');
const weak: CutOptions = { metadata: 'weak', exhaustiveUpTo: 7, samples: 8, seed: 1 };
const many = limits.groupFromFiles;

async function put(files: Files, path: string): Promise<Awaited<ReturnType<Files['open']>>> {
  const file = await files.open(path, 'create');
  await file.write(Buffer.from('whole'), 0);
  return file;
}

/** Two directories on two filesystems, durable. */
async function twoFilesystems(syncsWhole: boolean): Promise<ModelDisk> {
  const disk = modelDisk(emptyModel(['/b'], {}, syncsWhole));
  await disk.files.makeDirectory('/a', 0o755);
  return modelDisk(disk.state());
}

/** The states that a cut may leave after everything. */
function afterAll(disk: ModelDisk): ModelState[] {
  const recording = disk.recording();
  const last = { from: recording.steps.length, to: recording.steps.length };
  return [...crashStates(recording, { ...weak, window: last })].map(({ state }) => state);
}

for (const syncsWhole of [true, false]) {
  const how = syncsWhole ? 'whole filesystems' : 'file by file';

  test(`${how}: files and names on two filesystems are durable after sync()`, async () => {
    const disk = await twoFilesystems(syncsWhole);
    const { files } = disk;
    const group = await openWriteGroup(files, ['/a', '/b'], many);
    for (const path of ['/a/one', '/b/two']) await group.finish(await put(files, path), 5);
    disk.mark('before');
    await group.sync(['/a', '/b']);
    disk.mark('after');
    await group.close();
    assert.is(disk.openCount(), 0);
    const states = afterAll(disk);
    assert.is(states.length, 1);
    for (const state of states)
      assert.equal([textAt(state, '/a/one'), textAt(state, '/b/two')], ['whole', 'whole']);
    const cuts = [...crashStates(disk.recording(), weak)];
    const isLost = ({ state }: { state: ModelState }) => textAt(state, '/b/two') === undefined;
    assert.ok(
      cuts.some((cut) => cut.marks.length === 1 && isLost(cut)),
      'lost before',
    );
    assert.not.ok(
      cuts.some((cut) => cut.marks.length === 2 && isLost(cut)),
      'not after',
    );
  });

  test(`${how}: what is written after sync() is not promised`, async () => {
    const disk = await twoFilesystems(syncsWhole);
    const group = await openWriteGroup(disk.files, ['/a'], many);
    await group.sync(['/a']);
    const file = await put(disk.files, '/a/late');
    await file.close();
    await group.close();
    assert.ok(afterAll(disk).some((state) => textAt(state, '/a/late') !== 'whole'));
  });

  test(`${how}: an error of a sync rejects`, async () => {
    const name = syncsWhole ? 'filesystem.sync' : 'file.sync';
    const { files } = await twoFilesystems(syncsWhole);
    const dry = faultyFiles(files);
    await writeOne(dry.files, '/a/dry');
    const at = dry.calls.find((call) => call.name === name)?.number ?? 0;
    const faulty = faultyFiles(files, { kind: 'fail', at, code: 'EIO' });
    assert.is(await failure(writeOne(faulty.files, '/a/wet')), 'EIO');
  });
}

test('file by file: what is finished after a failure is closed as well', async () => {
  const disk = await twoFilesystems(false);
  const files: Files = {
    ...disk.files,
    open: async (path, how) => {
      const file = await disk.files.open(path, how);
      return { ...file, sync: () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) };
    },
  };
  const group = await openWriteGroup(files, ['/a'], many);
  await group.finish(await put(files, '/a/one'), 5);
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(await failure(group.finish(await put(files, '/a/two'), 5)), 'EIO');
  assert.is(disk.openCount(), 0);
});

async function writeOne(files: Files, path: string): Promise<void> {
  const group = await openWriteGroup(files, ['/a', '/b'], many);
  try {
    await group.finish(await put(files, path), 5);
    await group.sync(['/a']);
  } finally {
    await group.close();
  }
}

async function failure(action: Promise<unknown>): Promise<string | undefined> {
  return action.then(
    () => undefined,
    (thrown: unknown) => errno(thrown),
  );
}

test('a few files are synced by themselves: no other program is waited for', async () => {
  const disk = await twoFilesystems(true);
  const { files, calls } = faultyFiles(disk.files);
  const group = await openWriteGroup(files, ['/a'], many - 1);
  await group.finish(await put(files, '/a/one'), 5);
  await group.sync(['/a']);
  await group.close();
  assert.equal(
    calls.filter(({ name }) => /sync/i.test(name)).map(({ name }) => name),
    ['file.sync', 'syncDirectory'],
  );
});

test('where one filesystem cannot be synced as a whole, none is, and what was opened is closed', async () => {
  const disk = await twoFilesystems(true);
  const files: Files = {
    ...disk.files,
    openFilesystem: async (path) => (path === '/b' ? undefined : disk.files.openFilesystem(path)),
  };
  const group = await openWriteGroup(files, ['/a', '/b'], many);
  assert.is(disk.openCount(), 0);
  await group.finish(await put(files, '/a/one'), 5);
  await group.sync(['/a']);
  assert.ok(afterAll(disk).every((state) => textAt(state, '/a/one') === 'whole'));
});

test('a directory that is gone has no names to sync', async () => {
  const { files } = await twoFilesystems(false);
  const group = await openWriteGroup(files, ['/a'], many);
  await group.sync(['/a', '/gone']);
  await group.close();
});

test('a kernel that hides failed writes from syncfs is not trusted', () => {
  assert.equal(['4.19.0-rpi', '5.7.19', '5.8.0', '5.10.0-28-amd64', '6.18.44'].map(tellsFailedWrites), [
    false,
    false,
    true,
    true,
    true,
  ]);
});

test('the real disk: a filesystem is opened where Node can call syncfs, and syncs', async () => {
  const filesystem = await realFiles().openFilesystem('/tmp');
  if (filesystem === undefined) return;
  await filesystem.sync();
  await filesystem.close();
});

test('what was begun and does not end keeps written() waiting, and close() until it is abandoned', async () => {
  for (const syncsWhole of [true, false]) {
    const { files } = await twoFilesystems(syncsWhole);
    const group = await openWriteGroup(files, ['/a', '/b'], many);
    await group.begin(() => new Promise<never>(() => undefined));
    const soon = new Promise<string>((resolve) => setTimeout(resolve, 20, 'waits'));
    assert.is(await Promise.race([group.written(), soon]), 'waits');
    assert.is(await Promise.race([group.close(), soon]), 'waits');
    group.abandon();
    await group.close();
  }
});

test.run();
