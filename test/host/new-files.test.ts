/** Many small files at once on the real disk: what they are, which of them fail, and that no link leads elsewhere. */
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFiles } from '../../src/host/files.ts';
import type { NewFile } from '../../src/host/new-files.ts';

interface Context {
  root: string;
}
const test = suite<Context>('many new files', {} as Context);
test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), 'tope-new-'));
});
test.after.each(({ root }) => rmSync(root, { recursive: true, force: true }));

const files = realFiles();
const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
const isRoot = uid === 0;

function wanted(path: string, content: string, more: Partial<NewFile> = {}): NewFile {
  return { path, content: Buffer.from(content), mode: 0o644, uid, gid, ...more };
}

/** Three in each of two directories, some of them with a mode of their own. */
function six(root: string): NewFile[] {
  for (const name of ['a', 'b']) mkdirSync(join(root, name));
  return ['a/1', 'a/2', 'a/3', 'b/1', 'b/2', 'b/3'].map((name, index) =>
    wanted(join(root, name), `file ${name}`, { mode: index % 3 === 2 ? 0o750 : 0o644 }),
  );
}

function modeOf(path: string): string {
  return (lstatSync(path).mode & 0o7777).toString(8);
}

test('each has its content and its mode, whatever the umask', async ({ root }) => {
  for (const [name, umask] of [
    ['open', 0],
    ['usual', 0o022],
    ['closed', 0o077],
  ] as const) {
    const own = join(root, name);
    mkdirSync(own);
    const all = six(own);
    const before = process.umask(umask);
    const failures = await files.createMany(all).finally(() => process.umask(before));
    assert.equal(failures, [undefined, undefined, undefined, undefined, undefined, undefined]);
    for (const { path, mode, content } of all) {
      assert.is(readFileSync(path, 'utf8'), Buffer.from(content).toString());
      assert.is(modeOf(path), mode.toString(8), `${path}, umask ${umask.toString(8)}`);
    }
  }
});

test('none, an empty one and one of a name that is no UTF-8', async ({ root }) => {
  assert.equal(await files.createMany([]), []);
  const odd = join(root, 'odd\udce4');
  assert.equal(await files.createMany([wanted(join(root, 'empty'), ''), wanted(odd, 'ä')]), [
    undefined,
    undefined,
  ]);
  assert.is(readFileSync(join(root, 'empty'), 'utf8'), '');
  assert.ok(
    readdirSync(root, { encoding: 'buffer' }).some((name) => name.equals(Buffer.from('odd\xe4', 'latin1'))),
  );
});

test('one that is there already fails by its name, and stays; the others are made', async ({ root }) => {
  const all = six(root);
  writeFileSync(join(root, 'a/2'), 'here before');
  symlinkSync('/nowhere', join(root, 'b/1'));
  const failures = await files.createMany(all);
  assert.equal(
    failures.map((failure) => (failure as NodeJS.ErrnoException | undefined)?.code),
    [undefined, 'EEXIST', undefined, 'EEXIST', undefined, undefined],
  );
  assert.match(failures[1]?.message ?? '', join(root, 'a/2'));
  assert.is(readFileSync(join(root, 'a/2'), 'utf8'), 'here before');
  assert.is(readFileSync(join(root, 'b/3'), 'utf8'), 'file b/3');
});

test('a directory that is a symlink now takes none', async ({ root }) => {
  const all = six(root);
  renameSync(join(root, 'b'), join(root, 'c'));
  symlinkSync('c', join(root, 'b'));
  const failures = await files.createMany(all);
  assert.equal(
    failures.map((failure) => (failure as NodeJS.ErrnoException | undefined)?.code),
    [undefined, undefined, undefined, 'ELOOP', 'ELOOP', 'ELOOP'],
  );
  assert.equal(readdirSync(join(root, 'c')), []);
});

if (isRoot) {
  test('owner and group are the wanted ones, also where the directory gives its own group', async ({
    root,
  }) => {
    mkdirSync(join(root, 'theirs'));
    chownSync(join(root, 'theirs'), 1234, 2345);
    mkdirSync(join(root, 'ours'));
    chownSync(join(root, 'ours'), 0, 2345);
    for (const name of ['theirs', 'ours']) chmodSync(join(root, name), 0o2775);
    const all = ['theirs/1', 'theirs/2', 'ours/1', 'ours/2', 'ours/3', 'ours/4'].map((name, index) =>
      wanted(join(root, name), name, index === 4 ? { uid: 77, gid: 88, mode: 0o4755 } : {}),
    );
    assert.equal((await files.createMany(all)).filter(Boolean), []);
    for (const file of all) {
      const stat = lstatSync(file.path);
      assert.equal([stat.uid, stat.gid, stat.mode & 0o7777], [file.uid, file.gid, file.mode], file.path);
    }
  });
}

test('many renames: each replaces its target, and what is not there fails alone', async ({ root }) => {
  await files.createMany(six(root));
  const pairs = [
    ['a/1', 'a/2'],
    ['a/4', 'a/5'],
    ['a/3', 'b/4'],
    ['b/1', 'b/5'],
  ].map(([from = '', to = '']) => [join(root, from), join(root, to)] as const);
  const failures = await files.renameMany(pairs);
  assert.equal(
    failures.map((failure) => (failure as NodeJS.ErrnoException | undefined)?.code),
    [undefined, 'ENOENT', undefined, undefined],
  );
  assert.match(failures[1]?.message ?? '', join(root, 'a/4'));
  assert.equal(readdirSync(join(root, 'a')), ['2']);
  assert.is(readFileSync(join(root, 'a/2'), 'utf8'), 'file a/1');
  assert.equal(readdirSync(join(root, 'b')).sort(), ['2', '3', '4', '5']);
});

test.run();
