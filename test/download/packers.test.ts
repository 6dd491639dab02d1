/**
 * Packages of packers that are not ours, as the real programs: their ends are read, what can be foretold of their frames is true, and a device
 * that kept the version before, whoever packed that, downloads no more than is missing.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';
import * as assert from 'uvu/assert';
import { limits } from '../../src/limits.ts';
import { foretold } from '../../src/zip/frame.ts';
import { readTail } from '../fixtures/read-tail.ts';
import { programPath } from '../network/real-servers.ts';
import { skipped } from '../network/rig.ts';
import { deploy, type Files, packageOf, text } from './adaptive-store.ts';
import { adaptiveSuite, download, offerBytes } from './adaptive-suite.ts';

const test = adaptiveSuite('packages of other packers');

interface Packer {
  readonly name: string;
  readonly program: string;
  /** One is enough for the quick suite. */
  readonly isLong?: true;
  /** Packs what lies in `folder` into `path`, with directory entries or not. */
  pack(folder: string, path: string): void;
}

const zip = (...flags: string[]) => ({
  program: 'zip',
  pack: (folder: string, path: string) =>
    void execFileSync('zip', ['-q', '-r', ...flags, path, '.'], { cwd: folder }),
});

const python = (how: string) => ({
  program: 'python3',
  pack: (folder: string, path: string) => {
    const code = `import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as z:
  for top, _, names in sorted(os.walk('.')):
    for name in sorted(names):
      ${how}`;
    execFileSync('python3', ['-c', code, path], { cwd: folder });
  },
});

const goPacker = `package main
import ("archive/zip"; "os"; "path/filepath")
func main() {
	out, _ := os.Create(os.Args[1])
	z := zip.NewWriter(out)
	filepath.Walk(".", func(path string, info os.FileInfo, _ error) error {
		if info.IsDir() { return nil }
		w, _ := z.Create(filepath.ToSlash(path))
		bytes, _ := os.ReadFile(path)
		w.Write(bytes)
		return nil
	})
	z.Close()
	out.Close()
}
`;

const packers: readonly Packer[] = [
  { name: 'Info-ZIP', ...zip() },
  { name: 'Info-ZIP without extra fields', isLong: true, ...zip('-X') },
  {
    name: 'Info-ZIP into a pipe',
    isLong: true,
    program: 'zip',
    pack: (folder, path) => {
      const { stdout } = spawnSync('zip', ['-q', '-r', '-', '.'], { cwd: folder, maxBuffer: 1 << 26 });
      writeFileSync(path, stdout);
    },
  },
  { name: 'Python', isLong: true, ...python('z.write(os.path.join(top, name))') },
  {
    name: 'Python, zip64',
    isLong: true,
    ...python(
      "path = os.path.join(top, name)\n      with z.open(os.path.normpath(path), 'w', force_zip64=True) as to: to.write(open(path, 'rb').read())",
    ),
  },
  {
    name: '7z',
    isLong: true,
    program: '7z',
    pack: (folder, path) => void execFileSync('7z', ['a', '-tzip', '-bd', path, '.'], { cwd: folder }),
  },
  {
    name: 'Go',
    program: 'go',
    isLong: true,
    pack: (folder, path) => {
      const source = join(folder, '../pack.go');
      writeFileSync(source, goPacker);
      execFileSync('go', ['run', source, path], { cwd: folder });
    },
  },
];

/** Large enough that a header in between, which has to be fetched, is worth its request. */
function pages(seeds: readonly number[]): Files {
  return Object.fromEntries(seeds.map((seed, n) => [`web/${n}.js`, { content: text(seed, 60_000) }]));
}
const before = pages(Array.from({ length: 20 }, (_, n) => n));
const after: Files = {
  ...pages(Array.from({ length: 20 }, (_, n) => (n % 10 === 3 ? n + 900 : n))),
  'web/empty': { content: Buffer.alloc(0) },
};

function packed(packer: Packer, directory: string, files: Files): Buffer {
  const folder = join(directory, 'to-pack');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  deploy(folder, files);
  const path = join(directory, 'by-others.zip');
  rmSync(path, { force: true });
  packer.pack(folder, path);
  return readFileSync(path);
}

for (const packer of packers) {
  const program = programPath(packer.program);
  const names = [
    `${packer.name}: each entry is where it is said to be, in the frame that is foretold`,
    `${packer.name}: a device that kept its package before fetches what is missing`,
    `${packer.name}: a device that kept another packer's package, and files, has the right bytes at once`,
  ] as const;
  if (program === undefined) {
    for (const name of names) test.skip(name);
    skipped(`packages of ${packer.name}`, `no ${packer.program} program`);
    continue;
  }
  const add = packer.isLong === true ? test.long : test;

  add(names[0], async ({ directory }) => {
    const whole = packed(packer, directory, after);
    const told = readTail(whole, whole.length, 1_000);
    assert.is(told.kind, 'entries');
    if (told.kind !== 'entries') return;
    const files = told.entries.filter(({ name }) => !name.endsWith('/'));
    assert.equal(files.map(({ name }) => name).sort(), Object.keys(after).sort());
    for (const entry of files) {
      assert.is(whole.readUInt32LE(entry.start), 0x04034b50, entry.name);
      const names = whole.readUInt16LE(entry.start + 26) + whole.readUInt16LE(entry.start + 28);
      const from = entry.start + 30 + names;
      const data = whole.subarray(from, from + entry.packedBytes);
      const content = entry.method === 8 ? inflateRawSync(data) : data;
      assert.ok(content.equals(Buffer.from(after[entry.name]?.content as Uint8Array)), entry.name);
      const frame = foretold(entry);
      if (frame === undefined) continue;
      const foot = entry.end - frame.foot.length;
      assert.ok(
        whole.subarray(entry.start, entry.start + frame.head.length).equals(frame.head),
        'the header',
      );
      assert.ok(whole.subarray(foot, entry.end).equals(frame.foot), 'what follows the data');
    }
  });

  add(names[1], async (context) => {
    const keptPackage = join(context.directory, 'kept.zip');
    writeFileSync(keptPackage, packed(packer, context.directory, before));
    await offerBytes(context, packed(packer, context.directory, after));
    const { error, fetched, outcome } = await download(context, {
      ...deploy(context.directory, {}),
      keptPackage,
    });
    assert.is(error, undefined);
    assert.equal(outcome.events, ['verifying'], 'no second download');
    const told = readTail(context.bytes, context.bytes.length, 1_000);
    const isFramed = told.kind === 'entries' && told.entries.some((entry) => foretold(entry) !== undefined);
    const hasFoot = told.kind === 'entries' && told.entries.some(({ flags }) => (flags & 8) !== 0);
    // Headers are fetched where nobody can foretell them; with what follows the data unknown, too, there is nothing to gain.
    if (!isFramed && hasFoot) return;
    assert.ok(fetched < 0.5 * context.bytes.length, `${fetched} of ${context.bytes.length}`);
  });

  add(names[2], async (context) => {
    const keptPackage = join(context.directory, 'kept.zip');
    await packageOf(keptPackage, before, '1.0.0');
    const here = deploy(join(context.directory, 'device'), before);
    await offerBytes(context, packed(packer, context.directory, after));
    const { error, outcome, fetched } = await download(context, { ...here, keptPackage });
    assert.is(error, undefined);
    assert.equal(outcome.events, ['verifying'], 'no second download');
    assert.ok(fetched <= context.bytes.length + limits.tailBytes, `${fetched}`);
    assert.not(existsSync(join(context.directory, 'package.zip.part')));
  });
}

test.run();
