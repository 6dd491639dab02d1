/** The ZIP that pack writes, as our own reader and Info-ZIP's see it. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFiles } from '../../src/host/files.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { limits } from '../../src/limits.ts';
import { centralRecord, endRecords, localHeader } from '../../src/pack/zip-format.ts';
import { writeZip, type ZipInput } from '../../src/pack/zip-writer.ts';
import { openArchive } from '../../src/package/archive.ts';
import { checkEnd } from '../../src/package/zip-records.ts';

interface Context {
  folder: string;
}
const test = suite<Context>('zip-writer', {} as Context);
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'tope-zip-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true }));

const files = realFiles();
const isUnzip = spawnSync('unzip', ['-v']).status === 0;

/** What Info-ZIP finds wrong; undefined: nothing, or it is not here. */
function fault(path: string): string | undefined {
  if (!isUnzip) return undefined;
  const { status, stdout, stderr } = spawnSync('unzip', ['-tqq', path], { encoding: 'utf8' });
  return status === 0 ? undefined : `${stdout}${stderr}`;
}

/** Some of each kind; `name` with letters beyond ASCII. */
function someInputs(folder: string): ZipInput[] {
  const contents = { empty: '', 'wörter/klein': 'small '.repeat(500), large: 'large '.repeat(50_000) };
  const file = ([name, content]: [string, string]): ZipInput => {
    const path = join(folder, name.replace('/', '-'));
    writeFileSync(path, content);
    return { kind: 'file', name, path, sizeBytes: Buffer.byteLength(content), mode: 0o777 };
  };
  return [
    { kind: 'text', name: 'manifest.json', text: '{}' },
    { kind: 'directory', name: 'leer' },
    { kind: 'link', name: 'wörter/link', to: 'klein' },
    ...Object.entries(contents).map(file),
  ];
}

for (const compress of [true, false])
  test(`each kind of entry is read back, ${compress ? 'deflated' : 'stored'}, and the same bytes come again`, async ({
    folder,
  }) => {
    const inputs = someInputs(folder);
    const [path, again] = [join(folder, 'a.zip'), join(folder, 'b.zip')];
    await writeZip(files, path, inputs, compress);
    await writeZip(files, again, inputs, compress);
    assert.ok(readFileSync(path).equals(readFileSync(again)));
    assert.is(fault(path), undefined);
    const archive = await openArchive({ files, memory: freeMemory }, path);
    try {
      const found = [...archive.entries].map(({ name, isDirectory, link, sizeBytes, mode }) =>
        [name, isDirectory, link, sizeBytes, mode?.toString(8)].join(' '),
      );
      assert.equal(found, [
        'manifest.json false  2 644',
        'leer true  0 755',
        'wörter/link false klein 5 755',
        'empty false  0 755',
        'wörter/klein false  3000 755',
        'large false  300000 755',
      ]);
      const large = await archive.readSmall('large', 300_000);
      assert.is(Buffer.from(large ?? []).toString(), 'large '.repeat(50_000));
    } finally {
      await archive.close();
    }
  });

test('a file deflates to the same bytes at once, on a worker thread and as a stream', async ({ folder }) => {
  for (const sizeBytes of [
    1,
    limits.deflateAtOnceBytes,
    limits.deflateAtOnceBytes + 1,
    limits.wholeFileBytes + 1,
  ]) {
    // Digits deflate to about half, the bytes behind them not at all.
    const digits = Array.from({ length: sizeBytes }, (_, index) => ((index * index) % 977).toString(16)).join(
      '',
    );
    const content = Buffer.concat([
      Buffer.from(digits.slice(0, sizeBytes / 2)),
      randomBytes(sizeBytes),
    ]).subarray(0, sizeBytes);
    const [source, path] = [join(folder, `${sizeBytes}`), join(folder, `${sizeBytes}.zip`)];
    writeFileSync(source, content);
    await writeZip(files, path, [{ kind: 'file', name: 'a', path: source, sizeBytes, mode: 0o644 }], true);
    assert.ok(readFileSync(path).includes(deflateRawSync(content)), `${sizeBytes} bytes`);
  }
});

test('a file that changes while it is packed is refused, whatever its size', async ({ folder }) => {
  for (const sizeBytes of [5, 100_000]) {
    const path = join(folder, `f-${sizeBytes}`);
    writeFileSync(path, Buffer.alloc(sizeBytes + 1));
    const input: ZipInput = { kind: 'file', name: 'f', path, sizeBytes, mode: 0o644 };
    const said = await writeZip(files, join(folder, `${sizeBytes}.zip`), [input], true).then(
      () => 'written',
      (thrown: unknown) => String(thrown),
    );
    assert.match(said, /INVALID_PACKAGE: .*changes while it is packed/);
  }
});

test('more entries than 16 bits can count, and a directory beyond 4 GiB, have the end that our reader asks for', () => {
  for (const [entryCount, directoryStart] of [
    [66_000, 5_000],
    [3, 9e9],
    [0xfffe, 100],
  ] as const) {
    const tail = endRecords(entryCount, directoryStart, 700);
    const fileBytes = directoryStart + 700 + tail.length;
    const facts = { fileBytes, entryCount, directoryStart, commentBytes: 0 };
    assert.is(checkEnd(tail, facts), directoryStart + 700);
  }
});

test('what 32 bits cannot hold stands in zip64 fields, and the header is as long before its numbers are known', () => {
  const entry = {
    nameBytes: Buffer.from('a'),
    ...{ mode: 0o100644, isDeflated: true, crc32: 7, packedBytes: 5e9, sizeBytes: 6e9, start: 7e9 },
  };
  const local = localHeader(entry);
  assert.is(local.length, localHeader({ ...entry, crc32: 0, packedBytes: 0 }).length);
  assert.equal([local.readUInt32LE(18), local.readUInt32LE(22)], [0xffffffff, 0xffffffff]);
  assert.equal([local.readBigUInt64LE(35), local.readBigUInt64LE(43)], [6_000_000_000n, 5_000_000_000n]);
  const central = centralRecord(entry);
  assert.is(central.readUInt32LE(42), 0xffffffff);
  assert.is(central.readBigUInt64LE(central.length - 8), 7_000_000_000n);
  const end = endRecords(3, 9e9, 100);
  assert.is(end.readBigUInt64LE(48), 9_000_000_000n);
  assert.is(endRecords(3, 9000, 100).length, 22);
});

test.run();
