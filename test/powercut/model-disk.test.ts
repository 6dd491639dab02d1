import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../../src/errors.ts';
import { readWhole, writeDurably } from '../../src/host/durable-file.ts';
import type { Files } from '../../src/host/host.ts';
import { type CrashState, type CutOptions, crashStates } from './crash-states.ts';
import { type ModelDisk, modelDisk } from './model-disk.ts';
import { emptyModel, type ModelState } from './model-state.ts';

const test = suite('model disk');
const weak: CutOptions = { metadata: 'weak', exhaustiveUpTo: 7, samples: 8, seed: 1 };
const ordered: CutOptions = { ...weak, metadata: 'ordered' };
const oldText = 'old '.repeat(100);
const newText = 'new '.repeat(3000);

/** A disk whose `/d/a` holds the old text, durably, and what `act` then does to it. */
async function after(act: (files: Files, disk: ModelDisk) => Promise<void>): Promise<ModelDisk> {
  const before = modelDisk(emptyModel());
  await before.files.makeDirectory('/d', 0o755);
  await before.files.makeDirectory('/e', 0o755);
  await write(before.files, '/d/a', oldText);
  const disk = modelDisk(before.state());
  await act(disk.files, disk);
  return disk;
}

async function write(files: Files, path: string, text: string, sync = false): Promise<void> {
  const file = await files.open(path, (await files.stat(path)) === undefined ? 'create' : 'update');
  await file.write(Buffer.from(text), 0);
  await file.truncate(text.length);
  if (sync) await file.sync();
  await file.close();
}

/** What a reader finds under `path` in each crash state: a word, or "torn". */
async function outcomes(disk: ModelDisk, path: string, options: CutOptions): Promise<string[]> {
  const seen = new Set<string>();
  for (const cut of crashStates(disk.recording(), options)) seen.add(await content(cut.state, path));
  return [...seen].sort();
}

async function content(state: ModelState, path: string): Promise<string> {
  const bytes = await readWhole(modelDisk(state).files, path, 1 << 20);
  const text = bytes === undefined ? undefined : Buffer.from(bytes).toString();
  return text === undefined ? 'missing' : text === oldText ? 'old' : text === newText ? 'new' : 'torn';
}

async function fails(action: Promise<unknown>): Promise<string | undefined> {
  return action.then(
    () => undefined,
    (thrown: unknown) => errno(thrown),
  );
}

test('a file written in place without fsync may be torn', async () => {
  const disk = await after((files) => write(files, '/d/a', newText));
  assert.equal(await outcomes(disk, '/d/a', weak), ['new', 'old', 'torn']);
});

test('a write is torn at 4 KiB: any block of it may be missing', async () => {
  const disk = await after((files) => write(files, '/d/b', 'x'.repeat(3 * 4096)));
  const shapes = new Set<string>();
  for (const cut of crashStates(disk.recording(), { ...weak, exhaustiveUpTo: 10 })) {
    const bytes = await readWhole(modelDisk(cut.state).files, '/d/b', 1 << 20);
    if (bytes?.length !== 3 * 4096) continue;
    shapes.add([0, 4096, 8192].map((at) => (bytes[at] === 0 ? '-' : 'x')).join(''));
  }
  assert.equal([...shapes].sort(), ['---', '--x', '-x-', '-xx', 'x--', 'x-x', 'xx-', 'xxx']);
});

test('a rename without fsync of its directory may be lost, and may come before the data', async () => {
  const disk = await after(async (files) => {
    await write(files, '/d/b', newText);
    await files.rename('/d/b', '/d/a');
  });
  assert.equal(await outcomes(disk, '/d/a', weak), ['new', 'old', 'torn']);
});

test('a rename of a synced file may be lost but is never torn', async () => {
  const disk = await after(async (files, model) => {
    await write(files, '/d/b', newText, true);
    await files.rename('/d/b', '/d/a');
    model.mark('done');
  });
  assert.equal(await outcomes(disk, '/d/a', weak), ['new', 'old']);
  assert.equal(await outcomes(disk, '/d/a', ordered), ['new', 'old']);
});

test('write, fsync, rename, fsync of the directory: old or new, and never lost afterwards', async () => {
  for (const options of [weak, ordered]) {
    const disk = await after(async (files, model) => {
      await writeDurably(files, '/d/a', Buffer.from(newText));
      model.mark('done');
    });
    assert.equal(await outcomes(disk, '/d/a', options), ['new', 'old']);
    const last = [...crashStates(disk.recording(), options)].filter((cut) => cut.marks.includes('done'));
    assert.ok(last.length > 0);
    for (const cut of last) assert.is(await content(cut.state, '/d/a'), 'new', cut.lost().join('\n'));
  }
});

test('fsync of a new file does not keep its name unless the directory is synced too', async () => {
  const disk = await after((files) => write(files, '/d/b', newText, true));
  assert.equal(await outcomes(disk, '/d/b', weak), ['missing', 'new', 'torn']);
  const last = async (options: CutOptions) => {
    const marked = modelDisk(disk.recording().base);
    await write(marked.files, '/d/b', newText, true);
    marked.mark('done');
    const cuts = [...crashStates(marked.recording(), options)].filter((cut) => cut.marks.length > 0);
    return Promise.all(cuts.map((cut) => content(cut.state, '/d/b')));
  };
  assert.equal((await last(weak)).sort(), ['missing', 'new']);
  assert.equal(await last(ordered), ['new']); // as ext4 and xfs behave
});

test('directory entries persist in order where the filesystem keeps a journal, in any order elsewhere', async () => {
  const disk = await after(async (files) => {
    await files.makeDirectory('/d/1', 0o755);
    await files.makeDirectory('/d/2', 0o755);
  });
  const seen = async (options: CutOptions) => {
    const lists = [...crashStates(disk.recording(), options)].map(async (cut: CrashState) =>
      (await modelDisk(cut.state).files.list('/d')).sort().join(),
    );
    return (await Promise.all(lists)).sort();
  };
  assert.equal(await seen(weak), ['1,2,a', '1,a', '2,a', 'a']);
  assert.equal(await seen(ordered), ['1,2,a', '1,a', 'a']);
});

test('syncData keeps content and size, not mode and owner', async () => {
  const disk = await after(async (files, model) => {
    const file = await files.open('/d/a', 'update');
    await file.setMode(0o755);
    await file.setOwner(7, 8);
    await file.write(Buffer.from(newText), 0);
    await file.syncData();
    await file.close();
    model.mark('done');
  });
  const last = [...crashStates(disk.recording(), weak)].filter((cut) => cut.marks.length > 0);
  const attributes = new Set<string>();
  for (const cut of last) {
    assert.is(await content(cut.state, '/d/a'), 'new');
    const stat = await modelDisk(cut.state).files.stat('/d/a');
    attributes.add(`${stat?.mode.toString(8)} ${stat?.uid}`);
  }
  assert.equal([...attributes].sort(), ['600 0', '600 7', '755 0', '755 7']);
});

test('a rename into a directory whose own name is lost loses the file', async () => {
  const disk = await after(async (files) => {
    await files.makeDirectory('/e/new', 0o755);
    await files.rename('/d/a', '/e/new/a');
  });
  const nowhere = [...crashStates(disk.recording(), weak)].filter(
    (cut) => cut.lost().join() === 'mkdir /e/new',
  );
  assert.is(nowhere.length, 1);
  for (const cut of nowhere) assert.is(await content(cut.state, '/d/a'), 'missing');
});

test('beyond the exhaustive bound a seeded choice is made, the same for the same seed, none twice', async () => {
  const disk = await after(async (files) => {
    for (let index = 0; index < 12; index++) await files.symbolicLink('a', `/d/${index}`);
  });
  const keys = (seed: number) => [...crashStates(disk.recording(), { ...weak, seed })].map((cut) => cut.key);
  assert.equal(keys(5), keys(5));
  assert.is(new Set(keys(5)).size, keys(5).length);
  assert.ok(keys(5).length > 4 * 12);
  assert.not.equal(keys(5), keys(6));
  const known = new Set(keys(5));
  const first = [...crashStates(disk.recording(), { ...weak, seed: 5, known })];
  assert.is(first.length, 0, 'states already known are left out');
});

test('names, links and kinds behave as on a real disk', async () => {
  const { files } = await after(async (files) => {
    await files.hardLink('/d/a', '/e/a');
    await files.symbolicLink('../d', '/e/s');
  });
  const [one, two] = [await files.stat('/d/a'), await files.stat('/e/a')];
  assert.is(one?.inode, two?.inode);
  await files.rename('/d/a', '/e/a');
  assert.ok((await files.stat('/d/a')) !== undefined, 'rename of two names of one file does nothing');
  assert.is(await files.realPath('/e/s/a'), '/d/a');
  assert.is(await files.readLink('/e/s'), '../d');
  assert.is(await fails(files.open('/e/s', 'read')), 'ELOOP');
  assert.is(await fails(files.open('/d/a', 'create')), 'EEXIST');
  assert.is(await fails(files.open('/d/x', 'read')), 'ENOENT');
  assert.is(await fails(files.rename('/d/a', '/e')), 'EISDIR');
  assert.is(await fails(files.rename('/d', '/e/a')), 'ENOTDIR');
  assert.is(await fails(files.rename('/d', '/e')), 'ENOTEMPTY');
  assert.is(await fails(files.rename('/d', '/d/x')), 'EINVAL');
  assert.is(await fails(files.removeDirectory('/d')), 'ENOTEMPTY');
  assert.is(await fails(files.remove('/d')), 'EISDIR');
  assert.is(await fails(files.list('/d/a')), 'ENOTDIR');
  assert.is(await files.stat('/d/a/x'), undefined);
  assert.is(await fails(files.realPath('/nowhere')), 'ENOENT');
});

test('a change of owner drops set-uid', async () => {
  const { files } = await after(async (files) => {
    const file = await files.open('/d/a', 'update');
    await file.setMode(0o4755);
    await file.setOwner(3, 3);
    await file.close();
  });
  assert.is((await files.stat('/d/a'))?.mode, 0o755);
});

test('two filesystems: no rename or link across, space counted apart, a full one refuses what no longer fits', async () => {
  const disk = modelDisk(emptyModel(['/small'], { 2: 4 * 4096 }));
  const { files } = disk;
  await write(files, '/a', oldText);
  assert.is(await fails(files.rename('/a', '/small/a')), 'EXDEV');
  assert.is(await fails(files.hardLink('/a', '/small/a')), 'EXDEV');
  assert.is(await fails(files.removeDirectory('/small')), 'EBUSY');
  assert.is((await files.space('/small')).freeBytes, 4 * 4096);
  assert.is.not((await files.space('/small')).device, (await files.space('/')).device);

  const file = await files.open('/small/b', 'create');
  assert.is(await fails(file.write(Buffer.alloc(6 * 4096, 1), 0)), 'ENOSPC');
  assert.is((await file.stat()).sizeBytes, 4 * 4096, 'what fits is written');
  await files.remove('/small/b');
  assert.is((await files.space('/small')).freeBytes, 0, 'an open file keeps its space');
  await file.close();
  assert.is((await files.space('/small')).freeBytes, 4 * 4096);
  assert.is(disk.openCount(), 0);
  assert.is(await fails(file.sync()), 'EBADF');
});

test('a disk that has filled up takes what overwrites and what is given back, nothing more', async () => {
  const disk = await after(async () => undefined);
  disk.fillUp();
  assert.is(await fails(write(disk.files, '/d/b', newText)), 'ENOSPC');
  assert.is(await fails(disk.files.hardLink('/d/a', '/d/b')), 'ENOSPC');
  const file = await disk.files.open('/d/a', 'update');
  await file.write(Buffer.from('over'), 0);
  await file.close();
  await disk.files.remove('/d/a');
  await write(disk.files, '/d/b', oldText);
  assert.is(
    await fails(disk.files.rename('/d/b', '/d/c')),
    'ENOSPC',
    'the new name comes before the old one goes',
  );
});

test('the journal order of one filesystem says nothing about another', async () => {
  const disk = modelDisk(emptyModel(['/other']));
  await disk.files.makeDirectory('/other/x', 0o755);
  await disk.files.makeDirectory('/y', 0o755);
  const lost = [...crashStates(disk.recording(), ordered)].map((cut) => cut.lost().join());
  assert.ok(lost.includes('mkdir /other/x'), 'the later one alone may be there');
});

test.run();
