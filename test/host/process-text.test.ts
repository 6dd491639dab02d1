/** The command line and environment of processes, also of those that never let a reader go. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { processTexts } from '../../src/host/process-text.ts';

const test = suite('host/process-text');
const isRoot = process.getuid?.() === 0;

/** A procfs of our own (with none of our own process), in which a pipe that nobody writes to is what cannot be read. */
async function withProc(body: (root: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'tope-proc-'));
  try {
    await body(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

function addProcess(root: string, pid: number, cmdline: Buffer | 'hangs', uid = 1000, start = pid): void {
  const at = join(root, String(pid));
  mkdirSync(at);
  writeFileSync(join(at, 'status'), `Name:\tx\nUid:\t${uid}\t${uid}\t${uid}\t${uid}\n`);
  writeFileSync(join(at, 'stat'), `${pid} (a) b) S 1 ${'0 '.repeat(17)}${start} 0\n`);
  if (cmdline === 'hangs') execFileSync('mkfifo', [join(at, 'cmdline')]);
  else writeFileSync(join(at, 'cmdline'), cmdline);
}

test('any bytes of any process are told, up to the bound', () =>
  withProc(async (root) => {
    const texts: readonly (readonly [number, Buffer])[] = [
      [1001, Buffer.from('a\0b\n\0')],
      [1002, Buffer.from('')],
      [1003, Buffer.from([0x61, 0xe9, 0])],
    ];
    for (const [pid, bytes] of texts) addProcess(root, pid, bytes);
    addProcess(root, 1004, Buffer.alloc(200_000, 'x'));
    addProcess(root, 1005, Buffer.from('root\0'), 0);
    const read = processTexts(root);
    assert.equal(await Promise.all([1001, 1002, 1003, 1005, 1006].map((pid) => read(pid, 'cmdline'))), [
      'a\0b\n\0',
      '',
      'a\udce9\0',
      'root\0',
      undefined,
    ]);
    assert.is((await read(1004, 'cmdline'))?.length, 128 * 1024);
    assert.is(await read(1001, 'environ'), undefined);
  }));

test('one that does not let its reader go costs no thread, and is not asked again', () =>
  withProc(async (root) => {
    for (const pid of [1001, 1002, 1003, 1004, 1005, 1006]) addProcess(root, pid, 'hangs');
    addProcess(root, 1007, Buffer.from('well\0'));
    const read = processTexts(root, 500);
    const all = [1001, 1002, 1003, 1004, 1005, 1006, 1007].map((pid) => read(pid, 'cmdline'));
    // More of them than there are threads: each file call would wait for ever.
    await stat(root);
    assert.equal(await Promise.all(all), [...Array(6).fill(undefined), 'well\0']);
    rmSync(join(root, '1001'), { recursive: true });
    addProcess(root, 1001, Buffer.from('would answer\0'));
    assert.is(await read(1001, 'cmdline'), undefined);
    // The same number, another process.
    rmSync(join(root, '1001'), { recursive: true });
    addProcess(root, 1001, Buffer.from('another\0'), 1000, 99);
    assert.is(await read(1001, 'cmdline'), 'another\0');
  }));

if (!isRoot) console.log('skipped: the text of a real process of another user: not root');
(isRoot ? test : test.skip)('a real process of another user is read', async () => {
  // By env(1): a child of Node has what the coverage of this test needs besides.
  const words = ['-i', 'MARK=é', 'sleep', '600'];
  const child = spawn('/usr/bin/env', words, { uid: 65_534, gid: 65_534, stdio: 'ignore' });
  try {
    const read = processTexts();
    const pid = child.pid ?? 0;
    while (readFileSync(`/proc/${pid}/comm`, 'utf8') !== 'sleep\n') await stat('/');
    assert.equal(
      [await read(pid, 'cmdline'), await read(pid, 'environ')],
      [['sleep', '600', ''].join('\0'), 'MARK=é\0'],
    );
  } finally {
    child.kill('SIGKILL');
  }
});

test.run();
