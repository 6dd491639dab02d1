/** Reading honest archives from many writers, whole and in order, through faults and within bounds. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as zlib from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { newDigests } from '../../src/download/digest.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Files, OpenFile } from '../../src/host/host.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { openArchive } from '../../src/package/archive.ts';
import type { Extraction } from '../../src/package/extraction.ts';
import { fastestCrc32, gzipCrc32 } from '../../src/zip/crc32.ts';
import { buildPackage, contentBytes, digestsOf } from '../fixtures/package-builder.ts';
import { descriptor, extraField, rawZip, u64, zip64Extra } from '../fixtures/raw-zip.ts';
import { sealOf } from '../fixtures/seal-of.ts';

const directory = mkdtempSync(join(tmpdir(), 'archive-'));

function hostWith(files: Files) {
  return { files, memory: freeMemory };
}

function inFile(bytes: Uint8Array): string {
  const path = join(directory, 'package.zip');
  writeFileSync(path, bytes);
  return path;
}

/** Everything the archive holds, by name, read through sinks that take their time. */
async function unpack(path: string, files = realFiles(), changes: Partial<Extraction> = {}) {
  const archive = await openArchive(hostWith(files), path);
  const contents = new Map<string, Buffer>();
  const modes = new Map([...archive.entries].map(({ name, mode }) => [name, mode]));
  const opened: string[] = [];
  try {
    const digest = await newDigests(freeMemory, true, archive.sizeBytes);
    await archive.extract({
      wanted: new Set([...archive.entries].filter(({ isDirectory }) => !isDirectory).map(({ name }) => name)),
      digest,
      onBytes: () => undefined,
      signal: new AbortController().signal,
      async open({ name }) {
        opened.push(name);
        const chunks: Buffer[] = [];
        return {
          async write(chunk) {
            await new Promise((resolve) => setImmediate(resolve));
            chunks.push(Buffer.from(chunk));
          },
          async end() {
            contents.set(name, Buffer.concat(chunks));
          },
        };
      },
      ...changes,
    });
    return { contents, modes, opened, digests: await digest.finish(), archive };
  } finally {
    await archive.close();
  }
}

const reading = suite('reading archives');

for (const zip64 of [false, true]) {
  reading(`a package of yazl${zip64 ? ' in zip64' : ''} comes out as it went in, in one pass`, async () => {
    const files = {
      empty: '',
      'bin/program': { content: { random: 300_001 }, mode: 0o755 },
      'bin/stored': { content: { random: 70_000, seed: 2 }, compress: false, mode: 0o4777 },
      'text/über.txt': 'compressible '.repeat(50_000),
      'folder/': '',
    };
    const built = await buildPackage(
      { version: '1.0.0', modules: [], files, zip64 },
      join(directory, 'built.zip'),
    );
    const progress: number[] = [];
    const { contents, modes, digests } = await unpack(built.path, realFiles(), {
      onBytes: (bytes) => progress.push(bytes),
    });
    const seal = sealOf(readFileSync(built.path), digests.seal.key);
    assert.equal(digests, { md5: built.md5, sha256: built.sha256, seal });
    assert.ok(contents.get('empty')?.equals(Buffer.alloc(0)));
    assert.ok(contents.get('bin/program')?.equals(contentBytes({ random: 300_001 })));
    assert.ok(contents.get('bin/stored')?.equals(contentBytes({ random: 70_000, seed: 2 })));
    assert.is(contents.get('text/über.txt')?.toString(), files['text/über.txt']);
    assert.equal(
      [modes.get('bin/program'), modes.get('bin/stored'), modes.get('folder')],
      [0o755, 0o755, 0o755],
    );
    assert.equal(
      progress,
      [...progress].sort((a, b) => a - b),
    );
    assert.is(progress.at(-1), built.sizeBytes);
  });
}

reading('only wanted entries are opened, in the order of the file, and an empty one too', async () => {
  const entries = [{ name: 'c' }, { name: 'b', content: 'b' }, { name: 'a', content: 'a', method: 8 }];
  const path = inFile(rawZip({ entries }));
  const { opened, contents } = await unpack(path, realFiles(), {
    wanted: new Set(['a', 'c']),
  });
  assert.equal(opened, ['c', 'a']);
  assert.is(contents.get('c')?.length, 0);
  assert.is(contents.get('a')?.toString(), 'a');
});

reading('entries of every size around a read buffer arrive whole', async () => {
  const sizes = [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000];
  const entries = sizes.flatMap((size) =>
    [0, 8].map((method) => ({ name: `${method}-${size}`, content: randomBytes(size), method })),
  );
  const { contents } = await unpack(inFile(rawZip({ entries })));
  for (const { name, content } of entries) assert.ok(contents.get(name)?.equals(content), name);
});

reading('all four forms of data descriptor are understood', async () => {
  const content = 'content '.repeat(20);
  const sizes = {
    crc32: zlib.crc32(content),
    compressedBytes: zlib.deflateRawSync(content).length,
    sizeBytes: content.length,
  };
  const short = descriptor(sizes);
  const wide = Buffer.concat([short.subarray(0, 8), u64(sizes.compressedBytes), u64(sizes.sizeBytes)]);
  const unknown = { crc32: 0, compressedBytes: 0, sizeBytes: 0 };
  const entries = [short, wide, short.subarray(4), wide.subarray(4)].map((bytes, index) => ({
    name: `f${index}`,
    content,
    method: 8,
    descriptor: bytes,
    local: unknown,
  }));
  const { contents } = await unpack(inFile(rawZip({ entries })));
  assert.equal([...contents.values()].map(String), Array(4).fill(content));
});

reading('zip64 sizes in the local header alone, comments and extra fields are fine', async () => {
  const time = extraField(0x5455, Buffer.alloc(5));
  const zip64 = { sizeBytes: 0xffffffff, compressedBytes: 0xffffffff, extra: zip64Extra(5, 5) };
  const entries = [{ name: 'a', content: 'hello', extra: time, local: zip64 }];
  const { contents } = await unpack(inFile(rawZip({ entries, comment: Buffer.from('made today') })));
  assert.is(contents.get('a')?.toString(), 'hello');
});

reading('modes are kept only from Unix and macOS, and never let others write', async () => {
  const entries = [
    { name: 'unix', attributes: 0o106777 * 0x10000 },
    { name: 'macos', madeBy: 19 << 8, attributes: 0o100700 * 0x10000 },
    { name: 'dos', madeBy: 0, attributes: 0o100777 * 0x10000 },
    { name: 'silent', attributes: 0 },
  ];
  const { modes } = await unpack(inFile(rawZip({ entries })));
  assert.equal([...modes.values()], [0o755, 0o700, undefined, undefined]);
});

reading('a directory in any order beside the file is accepted', async () => {
  // The central directory need not list entries in the order of their data.
  const [first, second] = [rawZip({ entries: [{ name: 'a' }] }), rawZip({ entries: [{ name: 'b' }] })];
  const local = (zip: Buffer) => zip.subarray(0, 31);
  const entries = [
    { name: 'b', isPhantom: true, headerStart: 31 },
    { name: 'a', isPhantom: true, headerStart: 0 },
  ];
  const bytes = rawZip({ entries, prefix: Buffer.concat([local(first), local(second)]) });
  const { opened } = await unpack(inFile(bytes));
  assert.equal(opened, ['a', 'b']);
});

const writers: [string, string, (source: string, target: string) => void][] = [
  ['zip', 'zip', (source, target) => execFileSync('zip', ['-qr', target, '.'], { cwd: source })],
  [
    'zip writing to a pipe',
    'zip',
    (source, target) =>
      writeFileSync(target, execFileSync('zip', ['-qr', '-', '.'], { cwd: source, maxBuffer: 2 ** 26 })),
  ],
  [
    'Python zipfile',
    'python3',
    (source, target) =>
      execFileSync('python3', [
        '-c',
        'import shutil,sys; shutil.make_archive(sys.argv[2][:-4],"zip",sys.argv[1])',
        source,
        target,
      ]),
  ],
];
for (const [writer, program, write] of writers) {
  const isThere = spawnSync(program, ['--help']).error === undefined;
  if (!isThere) console.log(`skipped: an archive made by ${writer}: the program ${program} is not installed`);
  (isThere ? reading : reading.skip)(`an archive made by ${writer} is read`, async () => {
    const source = mkdtempSync(join(directory, 'source-'));
    const files = {
      'a.txt': 'a'.repeat(1000),
      'sub/größe': 'x',
      'sub/deep/random': randomBytes(200_000),
      empty: '',
    };
    mkdirSync(join(source, 'sub/deep'), { recursive: true });
    for (const [name, content] of Object.entries(files)) writeFileSync(join(source, name), content);
    chmodSync(join(source, 'a.txt'), 0o755);
    const target = join(directory, 'written.zip');
    rmSync(target, { force: true });
    write(source, target);
    const { contents, modes, digests } = await unpack(target);
    assert.equal([...contents.keys()].sort(), Object.keys(files).sort());
    for (const [name, content] of Object.entries(files))
      assert.ok(contents.get(name)?.equals(Buffer.from(content)), name);
    assert.is(modes.get('a.txt'), 0o755);
    assert.is(digests.sha256, (await digestsOf(target)).sha256);
  });
}

reading('20,000 entries are read; memory of the list is small', async () => {
  const entries = Array.from({ length: 20_000 }, (_, index) => ({
    name: `folder${index % 100}/file-${index}`,
  }));
  const path = inFile(rawZip({ entries }));
  const archive = await openArchive(hostWith(realFiles()), path);
  assert.is(archive.entries.length, 20_000);
  await archive.close();
});

reading('a small file is read whole; a missing one is undefined; a large one is refused', async () => {
  const path = inFile(
    rawZip({ entries: [{ name: 'a', content: 'x'.repeat(1000), method: 8 }, { name: 'd/' }] }),
  );
  const archive = await openArchive(hostWith(realFiles()), path);
  assert.is(String(await archive.readSmall('a', 1000)), 'x'.repeat(1000));
  assert.is(await archive.readSmall('b', 1000), undefined);
  for (const [name, limit] of [
    ['a', 999],
    ['d', 999],
  ] as const) {
    const thrown = await archive.readSmall(name, limit).catch((reason: Error) => reason.message);
    assert.match(String(thrown), /^INVALID_PACKAGE: /);
  }
  await archive.close();
});

reading.run();

const failing = suite('archives through faults');
const honest = rawZip({
  entries: [
    { name: 'a', content: 'compressible '.repeat(20_000), method: 8 },
    { name: 'b', content: randomBytes(600_000), descriptor: true },
  ],
  zip64: {},
});

/** The real files with one method of the open file replaced. */
function filesReading(read: (file: OpenFile) => OpenFile['read']): { files: Files; openCount: () => number } {
  const real = realFiles();
  let open = 0;
  const files: Files = {
    ...real,
    async open(path, how) {
      const file = await real.open(path, how);
      open++;
      return new Proxy(file, {
        get(target, key) {
          if (key === 'read') return read(target);
          if (key === 'close')
            return () => {
              open--;
              return target.close();
            };
          const member: unknown = Reflect.get(target, key);
          return typeof member === 'function' ? member.bind(target) : member;
        },
      });
    },
  };
  return { files, openCount: () => open };
}

failing(
  'a disk that fails at the n-th read gives one error for every n, and the file is closed',
  async () => {
    const path = inFile(honest);
    for (let n = 0; ; n++) {
      let reads = 0;
      const { files, openCount } = filesReading((file) => (...args) => {
        if (reads++ === n)
          return Promise.reject(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' }));
        return file.read(...args);
      });
      const outcome = await unpack(path, files).catch((reason: Error) => reason.message);
      assert.is(openCount(), 0);
      if (typeof outcome !== 'string') {
        assert.ok(n >= 5, `only ${n} reads`);
        return;
      }
      assert.is(outcome, 'INVALID_PACKAGE: reading the package: EIO: i/o error, read');
    }
  },
);

failing('reads that come back short are gone on with', async () => {
  const { files } = filesReading((file) => (into, offset, length, position) => {
    return file.read(into, offset, Math.min(length, 1000), position);
  });
  const { contents } = await unpack(inFile(honest), files);
  assert.is(contents.get('b')?.length, 600_000);
});

failing('a file that shrinks while it is read is noticed', async () => {
  let isCut = false;
  const { files } = filesReading((file) => (into, offset, length, position) => {
    return isCut && position > 50_000 ? Promise.resolve(0) : file.read(into, offset, length, position);
  });
  const archive = await openArchive(hostWith(files), inFile(honest));
  isCut = true;
  const thrown = await archive
    .extract({
      wanted: new Set(),
      digest: undefined,
      onBytes: () => undefined,
      signal: new AbortController().signal,
      open: () => Promise.reject(new Error('nothing was wanted')),
    })
    .catch((reason: Error) => reason.message);
  await archive.close();
  assert.match(String(thrown), /^INVALID_PACKAGE: the file ends at/);
});

failing('the event loop turns while entries that nobody wants are gone through', async () => {
  const entries = Array.from({ length: 80 }, (_, index) => ({ name: `file-${index}`, content: 'hello' }));
  let turns = 0;
  const asked: number[] = [];
  const count = () => {
    turns += 1;
    if (asked.length < entries.length) setImmediate(count);
  };
  setImmediate(count);
  await unpack(inFile(rawZip({ entries })), realFiles(), {
    wanted: {
      size: 0,
      has: () => {
        asked.push(turns);
        const until = performance.now() + 1;
        while (performance.now() < until);
        return false;
      },
    },
  });
  assert.is(asked.length, entries.length);
  assert.ok((asked.at(-1) ?? 0) > (asked[0] ?? 0) + 1, `${asked[0]} to ${asked.at(-1)}`);
});

failing('a package cut at any byte is refused', async () => {
  const small = rawZip({ entries: [{ name: 'a', content: 'hello', method: 8 }], zip64: {} });
  for (let length = 0; length < small.length; length++) {
    const outcome = await unpack(inFile(small.subarray(0, length))).catch((reason: Error) => reason.message);
    assert.type(outcome, 'string', `cut at ${length}`);
    assert.match(String(outcome), /^INVALID_PACKAGE: /);
  }
});

failing('a missing file is refused with its path', async () => {
  const thrown = await openArchive(hostWith(realFiles()), '/no/such/file').catch(
    (reason: Error) => reason.message,
  );
  assert.match(String(thrown), /^INVALID_PACKAGE: opening \/no\/such\/file: ENOENT/);
});

for (const where of ['open', 'write', 'later write', 'end'] as const) {
  for (const name of ['a', 'b']) {
    failing(`what a sink throws in ${where} of entry ${name} comes out as it is`, async () => {
      const disk = Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' });
      let writes = 0;
      const thrown = await unpack(inFile(honest), realFiles(), {
        wanted: new Set([name]),
        async open() {
          if (where === 'open') throw disk;
          return {
            async write() {
              writes++;
              await new Promise((resolve) => setImmediate(resolve));
              if (where === 'write' || (where === 'later write' && writes > 1)) throw disk;
            },
            async end() {
              if (where === 'end') throw disk;
            },
          };
        },
      }).catch((reason: unknown) => reason);
      assert.is(thrown, disk);
    });
  }
}

failing('a sink that throws at once is heard too', async () => {
  const bug = new Error('a bug');
  const sink = {
    write(): void {
      throw bug;
    },
    end: () => Promise.resolve(),
  };
  const thrown = await unpack(inFile(honest), realFiles(), { open: async () => sink }).catch(
    (reason) => reason,
  );
  assert.is(thrown, bug);
});

failing('an abort stops it with the reason of the signal', async () => {
  const controller = new AbortController();
  const reason = new Error('cancelled');
  const thrown = await unpack(inFile(honest), realFiles(), {
    signal: controller.signal,
    onBytes: () => controller.abort(reason),
  }).catch((thrown: unknown) => thrown);
  assert.is(thrown, reason);
});

failing('a name that is not in the archive is a bug of the caller', async () => {
  const thrown = await unpack(inFile(honest), realFiles(), { wanted: new Set(['none']) }).catch(
    (reason: Error) => reason.name,
  );
  assert.is(thrown, 'Error');
});

failing.run();

const checksums = suite('CRC-32');

checksums('from gzip trailers is what zlib gives, in one piece and in many of any size', () => {
  const gzip = gzipCrc32(zlib);
  assert.is(gzip(Buffer.from('123456789'), 0), 0xcbf43926);
  assert.is(gzip(Buffer.alloc(0), 0), 0);
  assert.is(gzip(Buffer.alloc(0), 0x12345678), 0x12345678);
  const bytes = randomBytes(200_000);
  for (const size of [1, 3, 1000, 65_535, 65_536, 70_000, 200_000]) {
    let value = 0;
    // Pieces of one byte only at the start: there are enough of them.
    for (let at = 0; at < bytes.length; ) {
      const piece = bytes.subarray(at, at + (at < 3000 ? size : Math.max(size, 10_000)));
      value = gzip(piece, value);
      at += piece.length;
    }
    assert.is(value, zlib.crc32(bytes), `pieces of ${size}`);
  }
});

checksums('a runtime without the built-in one gets the other', () => {
  const older: typeof zlib = { ...zlib };
  Reflect.deleteProperty(older, 'crc32');
  assert.is(fastestCrc32(zlib), zlib.crc32);
  assert.is.not(fastestCrc32(older), zlib.crc32);
  assert.is(fastestCrc32(older)(Buffer.from('abc'), 0), zlib.crc32('abc'));
});

checksums.after(() => rmSync(directory, { recursive: true, force: true }));
checksums.run();
