/** The port of commands that wait where they are: it tells what the other one tells. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../../src/errors.ts';
import { blockingFiles } from '../../src/host/blocking-files.ts';
import { plainFiles } from '../../src/host/files.ts';
import type { Files } from '../../src/host/host.ts';
import { limits } from '../../src/limits.ts';

const test = suite<{ folder: string }>('blocking-files', { folder: '' });
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'tope-blocking-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true }));

const [blocking, plain] = [blockingFiles(), plainFiles()];

/** What a call gives, or the code of its error. */
async function outcome<T>(call: Promise<T>): Promise<T | string | undefined> {
  return call.catch((thrown: unknown) => errno(thrown));
}

async function assertSame<T>(call: (files: Files) => Promise<T>): Promise<void> {
  assert.equal(await outcome(call(blocking)), await outcome(call(plain)));
}

test('names and their facts are those of the other port, also where nothing is there', async ({ folder }) => {
  mkdirSync(join(folder, 'directory'));
  writeFileSync(join(folder, 'file'), 'text');
  chmodSync(join(folder, 'file'), 0o4755);
  symlinkSync('file', join(folder, 'link'));
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/no-utf8-`), Buffer.of(0xff)]), 'text');
  for (const name of ['directory', 'file', 'link', 'no-utf8-\udcff', 'missing', 'file/below'])
    await assertSame((files) => files.stat(join(folder, name)));
  assert.is((await blocking.stat(join(folder, 'file')))?.mode, 0o4755);
  assert.is(await blocking.stat(join(folder, 'file/below')), undefined);
  for (const path of [folder, join(folder, 'directory'), join(folder, 'file'), join(folder, 'missing')])
    await assertSame(async (files) => (await files.list(path)).sort());
});

test('a file is read in small and in large parts, to its end', async ({ folder }) => {
  const path = join(folder, 'large');
  const content = Buffer.from('0123456789abcdef'.repeat(limits.readAtOnceBytes / 8));
  writeFileSync(path, content);
  const file = await blocking.open(path, 'read');
  try {
    for (const length of [1, limits.readAtOnceBytes, limits.readAtOnceBytes + 1, content.length + 1]) {
      const into = new Uint8Array(length + 1);
      const expected = content.subarray(7, 7 + length);
      assert.is(await file.read(into, 1, length, 7), expected.length);
      assert.ok(expected.equals(into.subarray(1, 1 + expected.length)), `${length} bytes`);
    }
    assert.is(await file.read(new Uint8Array(8), 0, 8, content.length), 0);
    assert.is((await file.stat()).sizeBytes, content.length);
  } finally {
    await file.close();
  }
});

test('no symlink is followed in the last place of a path', async ({ folder }) => {
  writeFileSync(join(folder, 'file'), 'text');
  symlinkSync('file', join(folder, 'link'));
  assert.is(await outcome(blocking.open(join(folder, 'link'), 'read')), 'ELOOP');
  assert.is(await outcome(blocking.open(join(folder, 'missing'), 'read')), 'ENOENT');
});

test('what it writes is there', async ({ folder }) => {
  const path = join(folder, 'new');
  const file = await blocking.open(path, 'create');
  await file.write(Buffer.from('new'), 0);
  await file.sync();
  await file.close();
  assert.is((await blocking.stat(path))?.sizeBytes, 3);
  await blocking.remove(path);
  assert.is(await blocking.stat(path), undefined);
});

test.run();
