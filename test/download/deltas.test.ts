/** Downloads of packages that bring patches: what is fetched, and the right bytes whatever the patches or the files here are. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Candidates } from '../../src/download/candidates.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Files } from '../../src/host/host.ts';
import { limits } from '../../src/limits.ts';
import { readTail } from '../fixtures/read-tail.ts';
import { type FaultServer, type Step, startFaultServer } from '../network/fault-server.ts';
import { obtain, type RunOptions, requestFor, testHost } from '../network/rig.ts';
import { withSource } from '../pack/source-folder.ts';
import { deploy, text } from './adaptive-store.ts';

const test = suite('deltas of downloads');

/** A program of 120 kB, and a web page. */
const smallProgram = Buffer.concat([
  createHash('shake256', { outputLength: 60_000 }).update('program').digest(),
  text(3, 60_000),
]);
const program = smallProgram;
const page = text(5, 50_000);
/** Not here, and in nobody's way: so the package is large enough. */
const picture = createHash('shake256', { outputLength: 250_000 }).update('picture').digest();

function edited(bytes: Buffer): Buffer {
  const now = Buffer.concat([bytes.subarray(0, 30_000), Buffer.from('and more'), bytes.subarray(30_000)]);
  for (let at = 1_000; at < now.length; at += 9_999) now[at] = (now[at] ?? 0) + 3;
  return now;
}

const manifest = (version: string) =>
  JSON.stringify({
    version,
    modules: [
      { name: 'program', src: 'program', dst: '/opt/tope/program' },
      { name: 'web', src: 'web', dst: '/opt/tope/web' },
    ],
  });

/** Of each kind one, made once: packing takes its time. */
const packages = new Map<string, Promise<Buffer>>();
function packageOf(compress: boolean): Promise<Buffer> {
  const known = packages.get(String(compress));
  const made = known ?? madePackage(compress);
  packages.set(String(compress), made);
  return made;
}

async function madePackage(compress: boolean, program = smallProgram): Promise<Buffer> {
  let made = Buffer.alloc(0);
  await withSource(manifest('1.0.0'), async (source) => {
    const old = join(source.folder, 'old.zip');
    source.write('program', program);
    source.write('web/page.html', page);
    await source.pack({ outputPath: old });
    source.write('manifest.json', manifest('2.0.0'));
    source.write('program', edited(program));
    source.write('web/page.html', edited(page));
    source.write('web/picture', picture);
    const outputPath = join(source.folder, 'new.zip');
    await source.pack({ outputPath, compress, deltaFrom: [old] });
    made = readFileSync(outputPath);
  });
  return made;
}

interface Setting {
  readonly directory: string;
  readonly server: FaultServer;
  readonly bytes: Buffer;
  readonly here: Candidates;
  download(options?: RunOptions): Promise<Run>;
}

interface Run {
  readonly fetched: number;
  readonly asked: readonly string[];
  readonly lines: readonly string[];
  readonly code: string | undefined;
  readonly saved: Awaited<ReturnType<typeof obtain>>['saved'];
}

async function withStore(
  bytes: Buffer,
  act: (setting: Setting) => Promise<void>,
  steps: readonly Step[] = [],
): Promise<void> {
  await withSource('{}', async ({ folder: directory }) => {
    const server = await startFaultServer({ versions: [bytes], steps });
    const here = deploy(directory, { program: { content: program }, 'web/page.html': { content: page } });
    const download: Setting['download'] = async (options = {}) => {
      const host = testHost();
      let fetched = 0;
      const before = server.seen.length;
      const outcome = await obtain(host, directory, requestFor(server.url, bytes), {
        bytesPerSecond: 1_000, // so slow that making is worth it on any machine; sleeps take no time
        candidates: here,
        ...options,
        onReceived: (count) => {
          fetched += count;
        },
      });
      if (outcome.error === undefined)
        assert.ok(bytes.equals(Buffer.from(outcome.file ?? [])), 'the right bytes');
      const asked = server.seen
        .slice(before)
        .map(({ headers, status }) => `${headers.range ?? 'whole'} ${status}`);
      return { fetched, asked, lines: host.lines, code: outcome.error?.code, saved: outcome.saved };
    };
    try {
      await act({ directory, server, bytes, here, download });
    } finally {
      await server.close();
    }
  });
}

/** What nobody has here: the picture, the end of the package, and a little. */
const bound = picture.length + limits.tailBytes + 12_000;

for (const compress of [true, false])
  test(`changed files ${compress ? 'deflated' : 'stored'} come as their patches`, async () => {
    await withStore(await packageOf(compress), async ({ download, bytes }) => {
      const { fetched, asked, lines, code } = await download();
      assert.is(code, undefined);
      // A deflated one shows first that the device deflates as the packer did.
      const most = bound + (compress ? limits.probeBytes : 0);
      assert.ok(fetched <= most, `${fetched} of ${bytes.length}, more than ${most}`);
      assert.ok(asked.length <= 5, asked.join());
      assert.match(lines.join('\n'), /2 patches fit, [1-9]\d{3,} bytes more need not be fetched/);
    });
  });

test('a device with another version of a file fetches that one whole', async () => {
  await withStore(await packageOf(false), async ({ directory, download }) => {
    const other = deploy(directory, {
      program: { content: edited(edited(program)) },
      page: { content: page },
    });
    const { fetched, lines } = await download({ candidates: other });
    assert.match(lines.join('\n'), /1 patches fit/);
    assert.ok(fetched > program.length && fetched < bound + program.length + 1_000, `${fetched}`);
  });
});

const spoils: readonly (readonly [string, (path: string) => void])[] = [
  ['edited', (path) => writeFileSync(path, Buffer.concat([program.subarray(0, -1), Buffer.of(7)]))],
  ['gone', (path) => rmSync(path)],
  ['shorter', (path) => truncateSync(path, 100)],
];
for (const [what, spoil] of spoils)
  test(`an old file that is ${what}: its entry is fetched, the others are made`, async () => {
    await withStore(await packageOf(false), async ({ directory, download, here }) => {
      spoil(join(directory, 'program'));
      const { fetched, code, asked } = await download({ candidates: here });
      assert.is(code, undefined);
      assert.ok(fetched < bound + program.length + 1_000, `${fetched}`);
      assert.not(asked.includes('whole 200'));
    });
  });

test('an old file that changes while it is patched: cut back, and its entry is fetched', async () => {
  await withStore(await packageOf(false), async ({ directory, download }) => {
    const { code, lines, fetched } = await download({
      onProgress: (bytes) => {
        if (bytes > 20_000 && existsSync(join(directory, 'program')))
          writeFileSync(join(directory, 'program'), randomBytes(program.length));
      },
    });
    assert.is(code, undefined);
    assert.match(lines.join('\n'), /program .*: it is fetched/);
    assert.ok(fetched < bound + program.length + 1_000, `${fetched}`);
  });
});

test('a patch that is damaged, or none: the entry is fetched', async () => {
  const honest = await packageOf(false);
  const told = readTail(honest, honest.length, 1_000);
  const patch = told.kind === 'entries' ? told.entries.find(({ name }) => name === 'deltas/0') : undefined;
  for (const spoil of [randomBytes(40), Buffer.alloc(40), Buffer.alloc(40, 255)]) {
    const bytes = Buffer.from(honest);
    spoil.copy(bytes, (patch?.start ?? 0) + 38);
    await withStore(bytes, async ({ download }) => {
      const { code, fetched, asked, lines } = await download();
      assert.is(code, undefined);
      assert.match(lines.join('\n'), /program .*: it is fetched/);
      assert.ok(fetched < bound + program.length + 1_000, `${fetched}`);
      assert.not(asked.includes('whole 200'));
    });
  }
});

test('a manifest that says nonsense of its patches costs nothing but what they save', async () => {
  const honest = await packageOf(false);
  const names = [/"deltas":\[\{"from"/g, /"deltas\/\d"/g];
  for (const name of names) {
    const latin = honest.toString('latin1').replace(name, (found) => found.replace(/[a-z]/, '\u00ff'));
    await withStore(Buffer.from(latin, 'latin1'), async ({ download }) => {
      assert.is((await download()).code, undefined);
    });
  }
});

test('a download that ends anywhere goes on, its patches read again from what is here', async () => {
  await withStore(await packageOf(true), async ({ directory, download, bytes }) => {
    for (let part = 0; part < 12; part += 1) {
      for (const name of ['package.zip', 'package.zip.part', 'package.zip.tail'])
        rmSync(join(directory, name), { force: true });
      const stop = new AbortController();
      const first = await download({
        signal: stop.signal,
        onProgress: (at) => {
          if (at >= (part / 12) * bytes.length) stop.abort();
        },
      });
      if (first.code === undefined) continue; // all that was left is here
      assert.is(first.code, 'CANCELLED', `cut at ${part}/12`);
      if (part % 3 === 0) rmSync(join(directory, 'package.zip.tail'), { force: true });
      const { code, fetched } = await download({ resume: first.saved.at(-1) });
      assert.is(code, undefined, `cut at ${part}/12`);
      const most = bound + limits.probeBytes + limits.tailBytes;
      assert.ok(first.fetched + fetched <= most + limits.tailBytes, `cut at ${part}/24: ${fetched}`);
    }
  });
});

test('a package of which a device has nothing costs two requests more', async () => {
  await withStore(await packageOf(true), async ({ download, bytes, directory }) => {
    const { fetched, asked } = await download({ candidates: deploy(directory, {}) });
    assert.ok(fetched <= bytes.length + 1_000 && asked.length <= 3, `${fetched}, ${asked}`);
  });
});

test('what is patched more slowly than it comes over the network is fetched from there on', async () => {
  const large = createHash('shake256', { outputLength: 1_500_000 }).update('large').digest();
  await withStore(await madePackage(false, large), async ({ directory, server, bytes }) => {
    const here = deploy(directory, { program: { content: large } });
    const real = realFiles();
    // As on a device whose processor or flash is slow.
    const slow: Files = {
      ...real,
      open: async (path, how) => {
        const file = await real.open(path, how);
        if (!path.endsWith('/program')) return file;
        return { ...file, read: (...at) => sleep(4).then(() => file.read(...at)) };
      },
    };
    const host = testHost({ files: slow });
    let fetched = 0;
    const outcome = await obtain(host, directory, requestFor(server.url, bytes), {
      candidates: here,
      onReceived: (count) => {
        fetched += count;
      },
    });
    assert.is(outcome.error, undefined);
    assert.ok(bytes.equals(Buffer.from(outcome.file ?? [])), 'the right bytes');
    assert.equal(outcome.events, ['verifying'], 'no second download');
    assert.match(
      host.lines.join('\n'),
      /program is made more slowly than it comes over the network: it is fetched/,
    );
    assert.ok(fetched > 0.8 * large.length && fetched < bytes.length, `${fetched}`);
  });
});

test('a disk that gets full while a file is patched ends it as DISK_FULL', async () => {
  await withStore(await packageOf(false), async ({ directory, server, bytes, here }) => {
    const real = realFiles();
    const full: Files = {
      ...real,
      open: async (path, how) => {
        const file = await real.open(path, how);
        const write: typeof file.write = async (chunk, position) => {
          // The patches are here, and what they make begins.
          if (path.endsWith('.part') && position + chunk.length > 20_000)
            throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
          return file.write(chunk, position);
        };
        return { ...file, write };
      },
    };
    const outcome = await obtain(testHost({ files: full }), directory, requestFor(server.url, bytes), {
      bytesPerSecond: 1_000,
      candidates: here,
    });
    assert.is(outcome.error?.code, 'DISK_FULL', outcome.error?.message);
    assert.not(existsSync(join(directory, 'package.zip.part')));
  });
});

test.run();
