/** The real files port: symlinks, names that are no text, errors that name the path. */
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { plainFiles, realFiles } from '../../src/host/files.ts';
import { limits } from '../../src/limits.ts';

const test = suite<{ root: string }>('host/files', { root: '' });
test.before.each((context) => {
  context.root = realpathSync(mkdtempSync(join(tmpdir(), 'tope-files-')));
});
test.after.each(({ root }) => rmSync(root, { recursive: true, force: true }));

const rejection = (action: Promise<unknown>) =>
  action.then(
    () => 'nothing',
    (thrown) => String(thrown),
  );

test('no call follows a symlink on the way; the port of commands does', async ({ root }) => {
  mkdirSync(join(root, 'real/below'), { recursive: true });
  writeFileSync(join(root, 'real/below/file'), 'x');
  symlinkSync('real', join(root, 'link'));
  const files = realFiles();
  const through = join(root, 'link/below/file');
  const elsewhere = join(root, 'link/below/new');
  for (const call of [
    () => files.open(through, 'read'),
    () => files.open(elsewhere, 'create'),
    () => files.stat(through),
    () => files.list(join(root, 'link')),
    () => files.list(join(root, 'link/below')),
    () => files.readLink(through),
    () => files.makeDirectory(elsewhere, 0o755),
    () => files.removeDirectory(join(root, 'link/below')),
    () => files.rename(through, join(root, 'moved')),
    () => files.rename(join(root, 'real/below/file'), elsewhere),
    () => files.hardLink(through, join(root, 'moved')),
    () => files.hardLink(join(root, 'real/below/file'), elsewhere),
    () => files.symbolicLink('x', elsewhere),
    () => files.remove(through),
    () => files.syncDirectory(join(root, 'link')),
    () => files.space(join(root, 'link')),
  ])
    assert.match(await rejection(call()), /ELOOP: .*exchanged for a symlink.* it leads to .*real/);
  assert.equal(readdirSync(join(root, 'real/below')), ['file']);
  assert.is(await files.realPath(through), join(root, 'real/below/file'));
  assert.is((await plainFiles().stat(through))?.kind, 'file');
});

test('a directory that is moved, removed or made anew between two calls is seen', async ({ root }) => {
  const files = realFiles();
  const directory = join(root, 'one');
  mkdirSync(directory);
  writeFileSync(join(directory, 'file'), 'x');
  assert.is((await files.stat(join(directory, 'file')))?.kind, 'file');
  renameSync(directory, join(root, 'two'));
  assert.is(await files.stat(join(directory, 'file')), undefined);
  mkdirSync(directory);
  assert.is(await files.stat(join(directory, 'file')), undefined);
  rmSync(directory, { recursive: true });
  symlinkSync('two', directory);
  assert.match(await rejection(files.stat(join(directory, 'file'))), /ELOOP/);
});

test('errors name the path and not how it was reached', async ({ root }) => {
  const files = realFiles();
  mkdirSync(join(root, 'sub'));
  assert.is(
    await rejection(files.open(join(root, 'sub/none'), 'read')),
    `Error: ENOENT: no such file or directory, open '${root}/sub/none'`,
  );
  assert.is(
    await rejection(files.rename(join(root, 'none'), join(root, 'sub/to'))),
    `Error: ENOENT: no such file or directory, rename '${root}/none' -> '${root}/sub/to'`,
  );
  assert.match(await rejection(files.list('/proc/self/task/none')), /ENOENT/);
});

test('a name that is no UTF-8 is listed, read, renamed and removed', async ({ root }) => {
  const files = realFiles();
  const latin1 = Buffer.concat([Buffer.from(`${root}/gr\u00fc\u00dfe `), Buffer.from([0xe9, 0x80, 0xff])]);
  writeFileSync(latin1, 'bytes');
  const [name = ''] = await files.list(root);
  const path = join(root, name);
  assert.is(JSON.parse(JSON.stringify(path)), path);
  assert.is((await files.stat(path))?.sizeBytes, 5);
  await files.makeDirectory(`${path}.d`, 0o755);
  await files.rename(path, `${path}.d/x`);
  await files.hardLink(`${path}.d/x`, `${path}.d/${name}`);
  assert.equal((await files.list(`${path}.d`)).sort(), [name, 'x'].sort());
  assert.is(await files.realPath(`${path}.d/x`), `${path}.d/x`);
  await files.remove(`${path}.d/${name}`);
  await files.remove(`${path}.d/x`);
  await files.removeDirectory(`${path}.d`);
  assert.equal(readdirSync(root), []);
});

test('no directory stays open', async ({ root }) => {
  const files = realFiles();
  for (let index = 0; index < 2 * limits.anchors; index++) {
    mkdirSync(join(root, `${index}`));
    await files.stat(join(root, `${index}/none`));
  }
  await sleep(5 * limits.anchorMs);
  const mine = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [realpathSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  assert.equal(
    mine.filter((path) => path.startsWith(root)),
    [],
  );
});

test('a pipe in the place of a file keeps no thread waiting', async ({ root }) => {
  const pipe = join(root, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const files = realFiles();
  // More than libuv has threads: they would all wait, and nothing else could be read.
  const opened = Array.from({ length: 8 }, () =>
    files.open(pipe, 'read').then(
      (file) => file.close(),
      () => undefined,
    ),
  );
  const appended = rejection(files.open(pipe, 'append'));
  const timer = new AbortController();
  const late = sleep(5_000, 'late', { signal: timer.signal }).catch(() => 'in time');
  const all = Promise.all([...opened, appended]).then(() => 'in time');
  assert.is(await Promise.race([all, late]), 'in time');
  timer.abort();
  assert.match(await appended, /ENXIO|nothing/);
});

test.run();
