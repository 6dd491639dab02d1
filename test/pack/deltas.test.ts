/** `pack --delta-from`: patches for devices that have an older package, in a package that every device takes. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { UpdateError } from '../../src/errors.ts';
import { openArchive } from '../../src/package/archive.ts';
import { newSigner } from '../fixtures/minisign-signer.ts';
import { packHost, type SourceFolder, withSource } from './source-folder.ts';

const test = suite('deltas of packages');

const manifest = (version: string) =>
  JSON.stringify({
    version,
    modules: [
      { name: 'alpha', src: 'modules/alpha', dst: '/opt/tope/alpha' },
      { name: 'web', src: 'modules/web', dst: '/opt/tope/web' },
    ],
  });

/** The same bytes for the same seed; nothing of it compresses. */
function program(seed: string, sizeBytes = 40_000): Buffer {
  return createHash('shake256', { outputLength: sizeBytes }).update(seed).digest();
}

function changed(bytes: Buffer, at: number): Buffer {
  return Buffer.concat([bytes.subarray(0, at), Buffer.from('a line of the new version'), bytes.subarray(at)]);
}

/** Packs 1.0.0, 1.1.0 and, with patches from both, 2.0.0. */
async function packAll(source: SourceFolder, options: Parameters<SourceFolder['pack']>[0] = {}) {
  const at = (name: string) => join(source.folder, name);
  const files: readonly (readonly [string, Buffer, Buffer, Buffer])[] = [
    ['alpha', program('a'), changed(program('a'), 100), changed(changed(program('a'), 100), 30_000)],
    ['web/same', program('s'), program('s'), program('s')],
    ['web/other', program('o', 6_000), program('p', 6_000), program('q', 6_000)],
    ['web/part', program('w'), program('w'), changed(program('w'), 20_000)],
    ['web/small', program('x', 3_000), program('x', 3_000), changed(program('x', 3_000), 7)],
  ];
  for (const [index, version] of ['1.0.0', '1.1.0', '2.0.0'].entries()) {
    source.write('manifest.json', manifest(version));
    for (const [name, ...contents] of files) source.write(`modules/${name}`, contents[index] ?? '');
    const isLast = version === '2.0.0';
    const deltas = isLast ? { ...options, deltaFrom: [at('1.1.0.zip'), at('1.0.0.zip')] } : {};
    const inspection = await source.pack({ ...deltas, outputPath: at(`${version}.zip`) });
    if (isLast) return { path: at('2.0.0.zip'), inspection };
  }
  throw new Error('nothing was packed');
}

interface Named {
  readonly path?: string;
  readonly deltas?: readonly { readonly from: string; readonly entry: string }[];
}

async function look(path: string) {
  const archive = await openArchive(packHost, path);
  try {
    const text = Buffer.from((await archive.readSmall('manifest.json', 1e6)) ?? []).toString();
    const { modules, files } = JSON.parse(text) as { modules: Named[]; files: Named[] };
    const entries = [...archive.entries];
    return { names: entries.map(({ name }) => name), text, modules, files, entries };
  } finally {
    await archive.close();
  }
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

test('patches stand before the files, named by what they are made against; what is not worth it has none', async () => {
  await withSource(manifest('1.0.0'), async (source) => {
    const { path, inspection } = await packAll(source);
    const { names, modules, files, entries } = await look(path);
    assert.equal(names.slice(0, 4), ['manifest.json', 'deltas/0', 'deltas/1', 'deltas/2']);
    assert.equal(modules[0]?.deltas, [
      { from: sha256(changed(program('a'), 100)), entry: 'deltas/0' },
      { from: sha256(program('a')), entry: 'deltas/1' },
    ]);
    const named = files.filter(({ deltas }) => deltas !== undefined);
    // The same content in both older packages is one patch; another file, or a small one, is shipped whole.
    assert.equal(named, [
      { ...named[0], path: 'modules/web/part', deltas: [{ from: sha256(program('w')), entry: 'deltas/2' }] },
    ]);
    for (const { name, compressedBytes } of entries)
      if (name.startsWith('deltas/')) assert.ok(compressedBytes < 500, `${name}: ${compressedBytes}`);
    assert.equal(inspection.warnings, []);
  });
});

test('the same folder and the same older packages give the same bytes, stored or not', async () => {
  for (const compress of [true, false]) {
    const made: Buffer[] = [];
    for (let n = 0; n < 2; n++)
      await withSource(manifest('1.0.0'), async (source) => {
        made.push(readFileSync((await packAll(source, { compress })).path));
      });
    assert.ok(made[0]?.equals(made[1] ?? Buffer.alloc(0)));
  }
});

test('each patch is told of, with what it saves', async () => {
  await withSource(manifest('1.0.0'), async (source) => {
    const told: string[] = [];
    await packAll(source, {
      onDelta: (text) => told.push(text.replace(/\d+ instead of \d+/, 'N instead of M')),
    });
    assert.equal(told, [
      'modules/alpha from 1.1.0: N instead of M bytes',
      'modules/alpha from 1.0.0: N instead of M bytes',
      'modules/web/other from 1.1.0: N instead of M bytes, not worth it',
      'modules/web/other from 1.0.0: N instead of M bytes, not worth it',
      'modules/web/part from 1.1.0: N instead of M bytes',
    ]);
  });
});

test('a signature covers the names of the patches, and the device takes the package', async () => {
  await withSource(manifest('1.0.0'), async (source) => {
    const signer = newSigner();
    const sign = async (bytes: Uint8Array, trustedComment: string) =>
      signer.sign(bytes, { trustedComment }).toString();
    const key = { publicKey: signer.publicKey, sign };
    const { inspection, path } = await packAll(source, { signingKey: key });
    assert.ok(inspection.signed);
    assert.equal((await look(path)).names.slice(0, 3), [
      'manifest.json',
      'manifest.json.minisig',
      'deltas/0',
    ]);
  });
});

test('a heavy load of patches is warned of', async () => {
  await withSource(manifest('1.0.0'), async (source) => {
    const at = (name: string) => join(source.folder, name);
    source.write('modules/alpha', program('a'));
    source.write('modules/web/a', program('w', 5_000));
    await source.pack({ outputPath: at('1.zip') });
    source.write('modules/alpha', Buffer.concat([program('a').subarray(0, 24_000), program('z', 16_000)]));
    const { warnings } = await source.pack({ outputPath: at('2.zip'), deltaFrom: [at('1.zip')] });
    assert.match(warnings.join(), /^2\d % of the package are patches: a device that none of them fits/);
  });
});

async function refusalOf(act: () => Promise<unknown>): Promise<string> {
  try {
    await act();
  } catch (thrown) {
    if (thrown instanceof UpdateError) return thrown.message;
    throw thrown;
  }
  throw new Error('nothing was refused');
}

test('an older package that is none, and names that patches have, are refused', async () => {
  await withSource(manifest('1.0.0'), async (source) => {
    source.write('modules/alpha', 'a');
    source.write('modules/web/a', 'a');
    const other = join(source.folder, 'none.zip');
    writeFileSync(other, 'no zip');
    assert.match(
      await refusalOf(() => source.pack({ deltaFrom: [other] })),
      /^INVALID_PACKAGE: the older package .*none\.zip: /,
    );
    source.write('deltas/0', 'mine');
    const modules = [{ name: 'alpha', src: 'deltas', dst: '/opt/tope/alpha' }];
    source.write('manifest.json', JSON.stringify({ version: '1.0.0', modules }));
    assert.match(await refusalOf(() => source.pack()), /deltas\/0 has the name of a patch/);
    source.write(
      'manifest.json',
      JSON.stringify({
        version: '1.0.0',
        modules: [{ name: 'alpha', src: 'modules/alpha', dst: '/opt/tope/alpha', deltas: [] }],
      }),
    );
    assert.match(
      await refusalOf(() => source.pack()),
      /^INVALID_MANIFEST: manifest\.json: deltas: pack --delta-from makes them/,
    );
  });
});

test.run();
