/** Whole or not at all: small files written durably, and read within a bound. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../../src/errors.ts';
import { readWhole, writeDurably, writeWhole } from '../../src/host/durable-file.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Files, OpenFile } from '../../src/host/host.ts';

const test = suite('durable file');
const bytes = (text: string) => new TextEncoder().encode(text);

function scratchPath(): string {
  return join(mkdtempSync(join(tmpdir(), 'tope-durable-')), 'state.json');
}

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => 'none',
    (thrown: unknown) => errno(thrown),
  );
}

test('creates, replaces, and leaves nothing beside; the mode is 0600 or the one asked for', async () => {
  const path = scratchPath();
  await writeDurably(realFiles(), path, bytes('one'));
  assert.is(statSync(path).mode & 0o777, 0o600);
  await writeDurably(realFiles(), path, bytes('two'), 0o644);
  assert.is(readFileSync(path, 'utf8'), 'two');
  assert.is(statSync(path).mode & 0o777, 0o644);
  assert.not(existsSync(`${path}.new`));
});

test('the order is create, write, fsync, close, rename, fsync of the directory', async () => {
  const path = scratchPath();
  const calls: string[] = [];
  await writeDurably(recording(calls), path, bytes('x'));
  assert.equal(calls, ['open create', 'write', 'sync', 'close', 'rename', 'syncDirectory']);
});

test('what need not be durable is replaced in the same order, without a sync', async () => {
  const calls: string[] = [];
  await writeWhole(recording(calls), scratchPath(), bytes('x'));
  assert.equal(calls, ['open create', 'write', 'close', 'rename']);
});

test('a leftover of a cut is removed first, also when it is a symlink', async () => {
  const path = scratchPath();
  const victim = `${path}.victim`;
  writeFileSync(victim, 'precious');
  symlinkSync(victim, `${path}.new`);
  await writeDurably(realFiles(), path, bytes('x'));
  assert.is(readFileSync(path, 'utf8'), 'x');
  assert.is(readFileSync(victim, 'utf8'), 'precious');
});

test('a symlink at the path is replaced, never followed', async () => {
  const path = scratchPath();
  const victim = `${path}.victim`;
  writeFileSync(victim, 'precious');
  symlinkSync(victim, path);
  await writeDurably(realFiles(), path, bytes('x'));
  assert.is(readFileSync(victim, 'utf8'), 'precious');
  assert.not(statSync(path).isSymbolicLink());
});

test('whichever call fails, the file is wholly old or wholly new', async () => {
  for (let nth = 1; ; nth += 1) {
    const path = scratchPath();
    writeFileSync(path, 'old');
    const failed = await codeOf(writeDurably(failingAt(nth), path, bytes('new')));
    assert.ok(['old', 'new'].includes(readFileSync(path, 'utf8')), `call ${nth}`);
    if (failed === 'none') {
      assert.ok(nth > 6, 'every call was made to fail once');
      return;
    }
    assert.is(failed, 'EIO');
    await writeDurably(realFiles(), path, bytes('again'));
    assert.is(readFileSync(path, 'utf8'), 'again');
  }
});

test('reads a whole file; nothing there is undefined', async () => {
  const path = scratchPath();
  assert.is(await readWhole(realFiles(), path, 10), undefined);
  for (const content of ['', 'abc', 'x'.repeat(10)]) {
    writeFileSync(path, content);
    assert.is(new TextDecoder().decode(await readWhole(realFiles(), path, 10)), content);
  }
});

test('refuses more than the bound, symlinks and directories by their system code', async () => {
  const path = scratchPath();
  writeFileSync(path, 'x'.repeat(11));
  assert.is(await codeOf(readWhole(realFiles(), path, 10)), 'EFBIG');
  symlinkSync(path, `${path}.link`);
  assert.is(await codeOf(readWhole(realFiles(), `${path}.link`, 100)), 'EINVAL');
  mkdirSync(`${path}.directory`);
  assert.is(await codeOf(readWhole(realFiles(), `${path}.directory`, 100)), 'EINVAL');
});

/** The real disk, noting the calls that change something. */
function recording(calls: string[]): Files {
  const files = realFiles();
  const noting = (file: OpenFile): OpenFile => ({
    ...file,
    write: (content, position) => {
      calls.push('write');
      return file.write(content, position);
    },
    sync: () => {
      calls.push('sync');
      return file.sync();
    },
    close: () => {
      calls.push('close');
      return file.close();
    },
  });
  return {
    ...files,
    open: async (path, how) => {
      calls.push(`open ${how}`);
      return noting(await files.open(path, how));
    },
    rename: (from, to) => {
      calls.push('rename');
      return files.rename(from, to);
    },
    syncDirectory: (path) => {
      calls.push('syncDirectory');
      return files.syncDirectory(path);
    },
  };
}

/** The real disk, whose n-th call fails with EIO before it does anything. */
function failingAt(nth: number): Files {
  const files = realFiles();
  let calls = 0;
  const mayFail = async (): Promise<void> => {
    calls += 1;
    if (calls === nth) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
  };
  return {
    ...files,
    stat: (path) => mayFail().then(() => files.stat(path)),
    rename: (from, to) => mayFail().then(() => files.rename(from, to)),
    syncDirectory: (path) => mayFail().then(() => files.syncDirectory(path)),
    open: async (path, how) => {
      await mayFail();
      const file = await files.open(path, how);
      return {
        ...file,
        write: (content, position) => mayFail().then(() => file.write(content, position)),
        sync: () => mayFail().then(() => file.sync()),
        close: () => file.close().then(mayFail),
      };
    },
  };
}

test.run();
