/** The list of files in an entry of its own: in every form, and all that is wrong with one. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFiles } from '../../src/host/files.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { limits } from '../../src/limits.ts';
import { openArchive } from '../../src/package/archive.ts';
import { completeManifest, listText } from '../../src/package/listed-files.ts';
import { parseManifest } from '../../src/package/manifest.ts';
import { rawZip } from '../fixtures/raw-zip.ts';

const test = suite('a list of files in an entry');
const sha256 = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');
const file = (path: string) => ({ path, size: 1, sha256: 'a'.repeat(64) });
const three = ['web/a', 'web/b', 'web/ä'].map(file);

/** The files that are read where the entry holds `list`. */
async function read(list: string | Buffer, keys: object = {}, name = 'files.json') {
  const folder = mkdtempSync(join(tmpdir(), 'listed-'));
  try {
    const path = join(folder, 'p.zip');
    writeFileSync(path, rawZip({ entries: [{ name, content: list, method: 8 }] }));
    const archive = await openArchive({ files: realFiles(), memory: freeMemory }, path);
    const modules = [{ name: 'a', src: 'web', dst: '/opt/tope/a' }];
    const files = { entry: 'files.json', sha256: sha256(list), ...keys };
    const { manifest } = parseManifest(Buffer.from(JSON.stringify({ version: '1.0.0', modules, files })));
    return (await completeManifest(manifest, archive).finally(archive.close)).files;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function refusal(...given: Parameters<typeof read>): Promise<string> {
  const found = await read(...given).catch((thrown: unknown) => thrown);
  return found instanceof Error ? found.message : 'it was taken';
}

test('is read as pack writes it', async () => {
  assert.equal([...((await read(listText(three))) ?? [])], three);
  assert.equal([...((await read(listText([]))) ?? [])], []);
});

test('is read in any other form of JSON', async () => {
  for (const text of [JSON.stringify(three), JSON.stringify(three, null, 2), ` ${JSON.stringify(three)}\n`])
    assert.equal([...((await read(text)) ?? [])], three);
});

test('of very many files is read whole', async () => {
  const many = Array.from({ length: limits.packageFiles }, (_, index) => file(`web/${index}`));
  const found = await read(listText(many));
  assert.equal([...(found ?? [])], many);
  assert.match(await refusal(listText([...many, file('more')])), /lists more than \d+ files/);
});

for (const [what, list, why] of [
  ['text that is no JSON', '[\n{"path":\n]\n', /INVALID_MANIFEST: files\.json: line 2 is not valid JSON/],
  ['a file without a digest', '[\n{"path":"a","size":1}\n]\n', /line 2: sha256: /],
  ['a path that escapes', listText([file('../x')]), /line 2: path: must be a relative path/],
  [
    'a key twice in an object',
    `[\n{"path":"a",${JSON.stringify(file('b')).slice(1)}\n]\n`,
    /line 2 is not .*twice/,
  ],
  ['a list that is cut off', listText(three).slice(0, -3), /has no end/],
  ['something behind its end', `${listText(three)}{}\n`, /line 6: /],
  ['an empty line', '[\n\n]\n', /line 2: /],
  ['an object in its place', '{"files":[]}', /is not a list/],
  ['bytes that are no UTF-8', Buffer.from([0x5b, 0x0a, 0xff, 0x0a, 0x5d]), /not valid UTF-8/],
  ['one line of more than a manifest', `["${'x'.repeat(limits.manifestBytes)}"]`, /has not one file a line/],
] as const) {
  test(`${what} is refused`, async () => assert.match(await refusal(list), why));
}

test('another one than the manifest names is refused, and so is none', async () => {
  assert.match(
    await refusal(listText(three), { sha256: 'b'.repeat(64) }),
    /files\.sha256 .*bbbb.*, its own is/,
  );
  assert.match(await refusal(listText(three), {}, 'other.json'), /is not in the package/);
  assert.match(await refusal(listText(three), { entry: '/etc/x' }), /files\.entry: /);
});

test.run();
