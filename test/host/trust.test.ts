/** Who else could change what the updater trusts. */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { strangerAt } from '../../src/host/trust.ts';

const test = suite<{ root: string; file: string }>('trust');
const isRoot = process.getuid?.() === 0;
if (!isRoot) console.log('skipped: files of other users: not root');
const asRoot = isRoot ? test : test.skip;

test.before.each((context) => {
  context.root = realpathSync(mkdtempSync(join(tmpdir(), 'trust-')));
  mkdirSync(join(context.root, 'etc/updater'), { recursive: true });
  context.file = join(context.root, 'etc/updater/config.json');
  writeFileSync(context.file, '{}');
});
test.after.each(({ root }) => rmSync(root, { recursive: true, force: true }));

test('our own files below our own directories are nobody else’s, also below a sticky one', async ({
  root,
  file,
}) => {
  assert.is(await strangerAt(file), undefined);
  chmodSync(join(root, 'etc'), 0o1777);
  assert.is(await strangerAt(file), undefined);
  assert.is(await strangerAt(join(root, 'none')), undefined);
  assert.is(await strangerAt(join(root, 'none/at/all')), undefined);
});

test('what everybody may write is theirs: a file, a directory above it, a sticky one where names are trusted', async ({
  root,
  file,
}) => {
  chmodSync(file, 0o666);
  assert.is(await strangerAt(file), `${file} may be written by everybody`);
  chmodSync(file, 0o644);
  chmodSync(join(root, 'etc'), 0o777);
  assert.is(await strangerAt(file), `${root}/etc may be written by everybody`);
  chmodSync(join(root, 'etc'), 0o755);
  chmodSync(join(root, 'etc/updater'), 0o1777);
  assert.is(await strangerAt(file), undefined, 'the file is there and ours');
  assert.is(await strangerAt(join(root, 'etc/updater')), `${root}/etc/updater may be written by everybody`);
});

asRoot('another owner, another group, and both behind a symlink', async ({ root, file }) => {
  chownSync(join(root, 'etc/updater'), 65_534, 0);
  assert.is(await strangerAt(file), `${root}/etc/updater belongs to user 65534`);
  symlinkSync('etc/updater/config.json', join(root, 'link'));
  assert.is(await strangerAt(join(root, 'link')), `${root}/etc/updater belongs to user 65534`);
  chownSync(join(root, 'etc/updater'), 0, 65_534);
  assert.is(await strangerAt(file), undefined);
  chmodSync(join(root, 'etc/updater'), 0o775);
  assert.is(await strangerAt(file), `${root}/etc/updater may be written by group 65534`);
});

asRoot('a link that another could point elsewhere', async ({ root, file }) => {
  mkdirSync(join(root, 'theirs'));
  symlinkSync(file, join(root, 'theirs/link'));
  chownSync(join(root, 'theirs'), 65_534, 65_534);
  assert.is(await strangerAt(join(root, 'theirs/link')), `${root}/theirs belongs to user 65534`);
});

test.run();
