/** The manifest as it is written and as it is packed: comments, completion, contradictions. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { filledManifest, readManifestSource } from '../../src/pack/manifest-source.ts';

const test = suite('manifest source');
const digests = { md5: 'a'.repeat(32), sha256: 'b'.repeat(64) };
const facts = new Map([
  ['a', { sizeBytes: 1, ...digests }],
  ['tree/x', { sizeBytes: 2, ...digests }],
]);

const commented = `{ // the first line
  "version": "1.0.0", // "quotes" in a comment
  // a whole line
  "modules": [
    { "name": "a", "src": "a", "dst": "/opt/tope//a", "start": ["/bin/echo", "http://x // y", "\\" // z"] }
  ] //
}`.replace('tope//a', 'tope/a');

test('comments go, strings stay as they are', () => {
  const { manifest, warnings } = readManifestSource(Buffer.from(commented));
  assert.equal(manifest.modules[0]?.start, ['/bin/echo', 'http://x // y', '" // z']);
  assert.equal(warnings, []);
});

test('an error in a commented manifest tells its true position', () => {
  const text = '{ // a comment\n  "version": 1.0.0 }';
  assert.throws(() => readManifestSource(Buffer.from(text)), /position 31/);
});

test('what is no UTF-8 is refused as the device refuses it', () => {
  assert.throws(() => readManifestSource(Buffer.from([0x7b, 0xff, 0x7d])), /not valid UTF-8/);
});

test('what is packed has no comments, every key in its order, and a line for each module and file', () => {
  const source = readManifestSource(
    Buffer.from(`{
      "reboot": true, "version": "1.0.0",
      "modules": [
        { "name": "a", "src": "a", "dst": "/opt/tope/a", "mode": "4755", "vendor": 1 },
        { "name": "t", "src": "tree/", "dst": "/opt/tope/t" }
      ],
      "compatible": ["x1"]
    }`),
  );
  assert.is(
    filledManifest(source, facts).text(),
    `{
  "reboot": true,
  "version": "1.0.0",
  "modules": [
    {"name":"a","src":"a","dst":"/opt/tope/a","mode":"4755","vendor":1,"size":1,"md5":"${digests.md5}","sha256":"${digests.sha256}"},
    {"name":"t","src":"tree/","dst":"/opt/tope/t"}
  ],
  "compatible": ["x1"],
  "files": [
    {"path":"tree/x","size":2,"sha256":"${digests.sha256}"}
  ]
}
`,
  );
});

const contradictions: readonly (readonly [string, object, RegExp])[] = [
  ['size of a module', { modules: [{ size: 9 }] }, /modules\[0\]\.size: is 9, but the file's is 1/],
  ['sha256 of a module', { modules: [{ sha256: 'c'.repeat(64) }] }, /modules\[0\]\.sha256: is c+, but/],
  [
    'size of a listed file',
    { modules: [{}], files: [{ path: 'tree/x', size: 9, sha256: digests.sha256 }] },
    /files\[0\]\.size: is 9, but the file's is 2/,
  ],
  [
    'a listed file that no module has',
    { modules: [{}], files: [{ path: 'tree/y', size: 9, sha256: digests.sha256 }] },
    /files\[0\]\.path: "tree\/y" is not a file of a module/,
  ],
];
for (const [what, { modules, ...rest }, message] of contradictions as [
  string,
  { modules: object[] },
  RegExp,
][])
  test(`refused: ${what}`, () => {
    const written = {
      version: '1.0.0',
      modules: [
        { name: 'a', src: 'a', dst: '/opt/tope/a', ...modules[0] },
        { name: 't', src: 'tree', dst: '/opt/tope/t' },
      ],
      ...rest,
    };
    const source = readManifestSource(Buffer.from(JSON.stringify(written)));
    assert.throws(() => filledManifest(source, facts), message);
  });

test('a listed file keeps the mode that it was given', () => {
  const written = {
    version: '1.0.0',
    modules: [{ name: 't', src: 'tree', dst: '/opt/tope/t' }],
    files: [{ path: 'tree/x', size: 2, sha256: digests.sha256, mode: '0750' }],
  };
  const source = readManifestSource(Buffer.from(JSON.stringify(written)));
  assert.match(filledManifest(source, new Map([...facts].slice(1))).text(), /"mode":"0750"/);
});

test('directories with nothing in them are listed, and those of the source must be such', () => {
  const filled = (directories?: string[]) => {
    const modules = [{ name: 't', src: 'tree', dst: '/opt/tope/t' }];
    const written = { version: '1.0.0', modules, ...(directories && { directories }) };
    const source = readManifestSource(Buffer.from(JSON.stringify(written)));
    return JSON.parse(filledManifest(source, facts, { emptyDirectories: ['tree/a', 'tree/b/c'] }).text())
      .directories;
  };
  assert.equal(filled(), ['tree/a', 'tree/b/c']);
  assert.equal(filled(['tree/a/']), ['tree/a', 'tree/b/c']);
  assert.throws(() => filled(['tree/a', 'tree/b']), /directories\[1\]: "tree\/b" is not an empty directory/);
});

test.run();
