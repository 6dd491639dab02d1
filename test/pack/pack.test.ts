/** Packing folders: what goes in, that it comes out the same each time, and that nothing half-made is left. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { UpdateError } from '../../src/errors.ts';
import { downloadBody } from '../../src/pack/pack.ts';
import { openArchive } from '../../src/package/archive.ts';
import { parseTrustedKey } from '../../src/package/signature.ts';
import { newSigner } from '../fixtures/minisign-signer.ts';
import { packHost, type SourceFolder, usualManifest, withSource, writeUsual } from './source-folder.ts';

const test = suite('pack');

/** Name -> mode of every entry, and the manifest. */
async function look(path: string): Promise<{ entries: Record<string, string>; manifest: string }> {
  const archive = await openArchive(packHost, path);
  const entries = Object.fromEntries(
    [...archive.entries].map((entry) => [
      entry.isDirectory ? `${entry.name}/` : entry.name,
      (entry.mode ?? 0).toString(8),
    ]),
  );
  const manifest = Buffer.from((await archive.readSmall('manifest.json', 1e6)) ?? []).toString();
  await archive.close();
  return { entries, manifest };
}

async function refusal(source: SourceFolder, options = {}): Promise<UpdateError> {
  try {
    await source.pack(options);
  } catch (thrown) {
    if (thrown instanceof UpdateError) return thrown;
    throw thrown;
  }
  throw new Error('nothing was refused');
}

test('symlinks of a tree are packed as such, named in the manifest, and an older updater is told', async () => {
  await withSource(
    { version: '1.0.0', modules: [{ name: 'a', src: 'a', dst: '/opt/tope/a' }] },
    async (source) => {
      source.write('a/lib/x.so.1.2', 'library');
      symlinkSync('x.so.1.2', join(source.source, 'a/lib/x.so.1'));
      symlinkSync('nowhere', join(source.source, 'a/dangling'));
      await source.pack();
      const archive = await openArchive(packHost, join(source.folder, 'package.zip'));
      const found = [...archive.entries].flatMap(({ name, link }) =>
        link === undefined ? [] : [[name, link]],
      );
      const manifest = JSON.parse(
        Buffer.from((await archive.readSmall('manifest.json', 1e6)) ?? []).toString(),
      );
      await archive.close();
      assert.equal(found, [
        ['a/dangling', 'nowhere'],
        ['a/lib/x.so.1', 'x.so.1.2'],
      ]);
      assert.equal(
        manifest.links,
        found.map(([path, to]) => ({ path, to })),
      );
      assert.equal(manifest.requires, ['symlinks']);
    },
  );
});

test('what the modules name goes in with its modes, and nothing that lies beside it', async () => {
  await withSource(usualManifest, async (source) => {
    writeUsual(source);
    source.write('minisign.key', 'secret');
    source.write('README.md', 'a note');
    mkdirSync(join(source.source, 'modules/web/empty'));
    await source.pack();
    const { entries, manifest } = await look(join(source.folder, 'package.zip'));
    assert.equal(JSON.parse(manifest).directories, ['modules/web/empty']);
    assert.equal(entries, {
      'manifest.json': '644',
      'modules/web/empty/': '755',
      'modules/alpha': '755',
      'modules/web/css/style.css': '644',
      'modules/web/index.html': '644',
      'modules/web/nothing': '644',
    });
  });
});

test('sizes and digests are filled in: of a file in its module, of a tree under files', async () => {
  await withSource(usualManifest, async (source) => {
    writeUsual(source);
    const inspection = await source.pack();
    const { manifest } = await look(join(source.folder, 'package.zip'));
    const { modules, files } = JSON.parse(manifest);
    const content = readFileSync(join(source.source, 'modules/alpha'));
    assert.is(modules[0].size, content.length);
    assert.is(modules[0].md5, createHash('md5').update(content).digest('hex'));
    assert.is(modules[0].sha256, createHash('sha256').update(content).digest('hex'));
    assert.equal(modules[1], usualManifest.modules[1]);
    assert.equal(
      files.map(({ path, size }: { path: string; size: number }) => `${path} ${size}`),
      ['modules/web/css/style.css 21', 'modules/web/index.html 18', 'modules/web/nothing 0'],
    );
    const all = inspection.release.modules.flatMap((module) => [...module.files]);
    assert.ok(all.every((file) => file.sha256 !== undefined));
  });
});

test('the same folder gives the same bytes, whatever its times, its umask and the time zone', async () => {
  const bytes: Buffer[] = [];
  const { TZ: zoneBefore } = process.env;
  for (const [zone, mode] of [
    ['UTC', 0o644],
    ['Asia/Tokyo', 0o664],
  ] as const) {
    process.env.TZ = zone;
    await withSource(usualManifest, async (source) => {
      writeUsual(source);
      source.write('modules/web/index.html', '<title>web</title>', mode);
      utimesSync(join(source.source, 'modules/alpha'), mode, mode);
      await source.pack();
      bytes.push(readFileSync(join(source.folder, 'package.zip')));
    });
  }
  if (zoneBefore === undefined) delete process.env.TZ;
  else process.env.TZ = zoneBefore;
  assert.ok(bytes[0]?.equals(bytes[1] ?? Buffer.alloc(0)));
});

test('without compression the content stands in the package as it is', async () => {
  await withSource(usualManifest, async (source) => {
    writeUsual(source);
    await source.pack({ compress: false });
    assert.ok(readFileSync(join(source.folder, 'package.zip')).includes('echo alpha'));
  });
});

test('a package that is there is replaced, and what a killed packer left is no obstacle', async () => {
  await withSource(usualManifest, async (source) => {
    writeUsual(source);
    writeFileSync(join(source.folder, 'package.zip'), 'old');
    writeFileSync(join(source.folder, 'package.zip.unfinished'), 'half');
    await source.pack();
    assert.equal(readdirSync(source.folder).sort(), ['package.zip', 'source']);
    assert.ok(readFileSync(join(source.folder, 'package.zip')).length > 100);
  });
});

test('a folder for the package that is not there is named, before anything is packed', async () => {
  await withSource(usualManifest, async (source) => {
    writeUsual(source);
    const outputPath = join(source.folder, 'none', 'package.zip');
    await source.pack({ outputPath }).then(
      () => assert.unreachable(),
      (thrown: Error) =>
        assert.is(
          thrown.message,
          `VALIDATION_ERROR: ${outputPath} cannot be written: ${join(source.folder, 'none')} is not there`,
        ),
    );
  });
});

const refusals: readonly (readonly [string, object, (source: SourceFolder) => void, RegExp])[] = [
  [
    'a src that is not there',
    { version: '1.0.0', modules: [{ name: 'a', src: 'modules/a', dst: '/opt/tope/a' }] },
    () => undefined,
    /INVALID_MANIFEST.*modules\[0\]\.src: "modules\/a" is not in/,
  ],
  [
    'a src of one of several modules',
    {
      version: '1.0.0',
      modules: [
        { name: 'a', src: 'a', dst: '/opt/tope/a' },
        { name: 'web', src: 'modules/web', dst: '/opt/tope/web' },
      ],
    },
    ({ write }) => write('a', 'a'),
    /INVALID_MANIFEST: manifest\.json: module "web": modules\[1\]\.src: "modules\/web" is not in/,
  ],
  [
    'a dst outside the allowed roots, by the rules of the device',
    { version: '1.0.0', modules: [{ name: 'a', src: 'a', dst: '/etc/passwd' }] },
    ({ write }) => write('a', 'a'),
    /INVALID_MANIFEST.*outside the allowed roots \(\/opt\/tope\)/,
  ],
  [
    'a symlink that leads out of the tree',
    { version: '1.0.0', modules: [{ name: 'a', src: 'tree', dst: '/opt/tope/a' }] },
    ({ source, write }) => {
      write('tree/a', 'a');
      symlinkSync('/etc/passwd', join(source, 'tree/link'));
    },
    /INVALID_PACKAGE.*tree\/link" is a symlink to "\/etc\/passwd", which is absolute/,
  ],
  [
    'a name that a device does not take',
    { version: '1.0.0', modules: [{ name: 'a', src: 'tree', dst: '/opt/tope/a' }] },
    ({ write }) => write('tree/a\\b', 'a'),
    /INVALID_PACKAGE.*backslash/,
  ],
  [
    'the manifest as a module',
    { version: '1.0.0', modules: [{ name: 'a', src: 'manifest.json', dst: '/opt/tope/a' }] },
    () => undefined,
    /INVALID_MANIFEST.*the package's own file/,
  ],
  [
    'a digest that is not the file’s',
    {
      version: '1.0.0',
      modules: [{ name: 'a', src: 'a', dst: '/opt/tope/a', md5: '00000000000000000000000000000000' }],
    },
    ({ write }) => write('a', 'a'),
    /INVALID_MANIFEST.*modules\[0\]\.md5: is 0{32}, but the file's is 0cc175/,
  ],
  ['no manifest', {}, ({ source }) => writeFileSync(join(source, 'manifest.json'), ''), /INVALID_MANIFEST/],
];
for (const [what, manifest, prepare, message] of refusals)
  test(`refused, with nothing left behind: ${what}`, async () => {
    await withSource(manifest, async (source) => {
      prepare(source);
      assert.match((await refusal(source)).message, message);
      assert.equal(readdirSync(source.folder), ['source']);
    });
  });

test('a package is not packed into itself', async () => {
  await withSource(usualManifest, async (source) => {
    writeUsual(source);
    const outputPath = join(source.source, 'modules/web/package.zip');
    await source.pack({ outputPath: join(source.folder, 'package.zip') });
    writeFileSync(outputPath, 'an older one');
    assert.match((await refusal(source, { outputPath })).message, /lies in a folder that is packed itself/);
    assert.ok(existsSync(outputPath));
  });
});

test('a mode that no package carries is told; one that the manifest asks for is not', async () => {
  const module = { name: 'a', src: 'a', dst: '/opt/tope/a' };
  for (const [manifest, expected] of [
    [{ version: '1.0.0', modules: [module] }, 1],
    [{ version: '1.0.0', modules: [{ ...module, mode: '4755' }] }, 0],
  ] as const)
    await withSource(manifest, async (source) => {
      source.write('a', 'a', 0o4755);
      const { warnings, release } = await source.pack();
      assert.is(warnings.length, expected, warnings.join('; '));
      assert.is([...(release.modules[0]?.files ?? [])][0]?.mode, expected === 1 ? 0o755 : 0o4755);
    });
});

test('a key that no device knows is refused, and nothing is written', async () => {
  await withSource({ ...usualManifest, colour: 'blue' }, async (source) => {
    writeUsual(source);
    assert.match((await refusal(source)).message, /manifest\.json: colour: is not a key that is known here/);
    assert.not(existsSync(join(source.folder, 'package.zip')));
  });
});

test('a pattern of edited files that matches none is a warning', async () => {
  const [alpha, web] = usualManifest.modules;
  await withSource({ ...usualManifest, modules: [alpha, { ...web, config: ['*.cfg'] }] }, async (source) => {
    writeUsual(source);
    const { warnings } = await source.pack();
    assert.equal(warnings, ['web: config "*.cfg" matches no file of the package']);
  });
});

test('a tree of more files than a manifest can list has its list in an entry, which the signature covers', async () => {
  const manifest = { version: '1.0.0', modules: [{ name: 'a', src: 'tree', dst: '/opt/tope/a' }] };
  await withSource(manifest, async (source) => {
    const deep = ['d', 'e', 'f', 'g'].map((letter) => letter.repeat(220)).join('/');
    for (let index = 0; index < 1100; index++) source.write(`tree/${deep}/${index}`, 'x');
    const signer = newSigner();
    const signingKey = {
      publicKey: signer.publicKey,
      sign: async (bytes: Uint8Array) => Buffer.from(signer.sign(bytes)).toString(),
    };
    const { warnings, release, signed } = await source.pack({ signingKey });
    assert.equal(warnings, []);
    assert.is(signed?.keyId, parseTrustedKey(signer.publicKey).id);
    assert.is(release.modules[0]?.files.length, 1100);
    assert.ok([...(release.modules[0]?.files ?? [])].every(({ sha256 }) => sha256 !== undefined));
    const packed = await openArchive(packHost, join(source.folder, 'package.zip'));
    const written = JSON.parse(Buffer.from((await packed.readSmall('manifest.json', 1e6)) ?? '').toString());
    await packed.close();
    assert.is(written.files.entry, 'files.json');
    assert.equal(written.requires, ['files']);
  });
});

test('what the manifest asks for is required of the device', async () => {
  const module = {
    name: 'a',
    src: 'tree',
    dst: '/opt/tope/a',
    keep: ['x'],
    before_start: ['true'],
    xattrs: 'drop',
    capabilities: { file: 'cap_net_raw+ep' },
  };
  await withSource({ version: '1.0.0', requires: ['exact'], modules: [module] }, async (source) => {
    source.write('tree/file', 'x');
    await source.pack();
    const packed = await openArchive(packHost, join(source.folder, 'package.zip'));
    const written = JSON.parse(Buffer.from((await packed.readSmall('manifest.json', 1e6)) ?? '').toString());
    await packed.close();
    assert.equal(written.requires, ['exact', 'keep', 'commands', 'capabilities', 'xattrs']);
    assert.equal(written.modules[0].capabilities, module.capabilities);
  });
});

test('a package may consist of removals alone, and an older updater refuses it', async () => {
  await withSource({ version: '1.0.0', modules: [], remove: ['old-web'] }, async (source) => {
    const { release, warnings } = await source.pack();
    assert.equal([release.modules, release.remove, warnings], [[], ['old-web'], []]);
    const packed = await openArchive(packHost, join(source.folder, 'package.zip'));
    const written = JSON.parse(Buffer.from((await packed.readSmall('manifest.json', 1e6)) ?? '').toString());
    await packed.close();
    assert.equal([written.requires, written.remove], [['remove'], ['old-web']]);
  });
});

test('the request for devices is checked as a device would', () => {
  const facts = { version: '1.0.0', sizeBytes: 1, md5: '0'.repeat(32), sha256: '0'.repeat(64) };
  assert.is(downloadBody(facts, 'p.zip', 'https://store.example/p.zip').package_size, 1);
  assert.throws(() => downloadBody(facts, 'ö.zip', 'https://store.example/'), /package_name/);
  assert.throws(() => downloadBody(facts, 'p.zip', 'nowhere'), /package_url/);
});

test('--self brings the executables that are there, as one module that only a new enough updater takes', async () => {
  await withSource(usualManifest, async (source) => {
    writeUsual(source);
    const release = join(source.folder, 'release');
    mkdirSync(release);
    assert.match((await refusal(source, { selfFrom: release })).message, /has none of tope-updater-x64/);
    for (const arch of ['arm64', 'x64']) writeFileSync(join(release, `tope-updater-${arch}`), `for ${arch}`);
    writeFileSync(join(release, 'SHA256SUMS'), '');
    const { warnings } = await source.pack({ selfFrom: release });
    assert.ok(warnings.some((warning) => /brings the updater and is not signed/.test(warning)));
    const { entries, manifest } = await look(join(source.folder, 'package.zip'));
    const names = Object.keys(entries).filter((name) => name.startsWith('tope-updater/'));
    assert.equal(names, ['tope-updater/tope-updater-arm64', 'tope-updater/tope-updater-x64']);
    assert.match(manifest, '{"name":"tope-updater","src":"tope-updater","self":true}');
    assert.match(manifest, /"requires": \[.*"self"/);
  });
});

test.run();
