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
  const { manifest } = readManifestSource(Buffer.from(commented));
  assert.equal(manifest.modules[0]?.start, ['/bin/echo', 'http://x // y', '" // z']);
});

test('an error in a commented manifest tells its true position', () => {
  const text = '{ // a comment\n  "version": 1.0.0 }';
  assert.throws(
    () => readManifestSource(Buffer.from(text)),
    /not valid JSON: line 2 column 17: "," or "}" is expected, not "\."$/,
  );
});

const app = { name: 'a', src: 'a', dst: '/opt/tope/a' };

/** What is wrong -> what is said, once for each fault. */
const faults: readonly (readonly [string, object, readonly string[]])[] = [
  [
    'a misspelt key that is required',
    { modules: [{ name: 'a', source: 'a', dst: '/opt/tope/a' }] },
    ['modules[0].src: is missing', 'modules[0].source: is not a key that is known here; did you mean "src"?'],
  ],
  [
    'keys in another form',
    { modules: [{ ...app, processName: 'a', healthcheck: { tcp: 1 }, restart_ordre: 1 }] },
    [
      'modules[0].processName: is not a key that is known here; did you mean "process_name"?',
      'modules[0].healthcheck: is not a key that is known here; did you mean "health"?',
      'modules[0].restart_ordre: is not a key that is known here; did you mean "restart_order"?',
    ],
  ],
  [
    'keys of health and of the root',
    { Reboot: true, colour: 'red', modules: [{ ...app, health: { tcp: 1, timeout: 3 } }] },
    [
      'Reboot: is not a key that is known here; did you mean "reboot"?',
      'colour: is not a key that is known here; keys of your own begin with "x-"',
      'modules[0].health.timeout: is not a key that is known here; did you mean "timeout_s"?',
    ],
  ],
  [
    'a mode that is a number, and a port that is text',
    { modules: [{ ...app, mode: 755, health: { tcp: '80' } }] },
    [
      'modules[0].mode: must be text such as "0755", not a number',
      'modules[0].health.tcp: Invalid type: Expected number but received "80"',
    ],
  ],
  [
    'in one of several modules, which is told by its name, too',
    { modules: [app, { name: 'web', src: 'web', dst: '/opt/tope/web', helth: {}, restart_order: 'x' }] },
    [
      'module "web": modules[1].restart_order: Invalid type: Expected number but received "x"',
      'module "web": modules[1].helth: is not a key that is known here; did you mean "health"?',
    ],
  ],
];
for (const [what, rest, texts] of faults)
  test(`all are told: ${what}`, () => {
    const text = JSON.stringify({ version: '1.0.0', ...rest });
    const { message } = thrownBy(() => readManifestSource(Buffer.from(text)));
    assert.is(message, `INVALID_MANIFEST: manifest.json: ${texts.join('; ')}`);
  });

test('of very many faults the first are told', () => {
  const modules = Array.from({ length: 40 }, () => ({ name: 'a', src: '/a', dst: 'a' }));
  const text = JSON.stringify({ version: '1.0.0', modules });
  assert.match(thrownBy(() => readManifestSource(Buffer.from(text))).message, /; 70 more$/);
});

test("keys that begin with x- are their engineer's, and $schema is the editor's", () => {
  const text = JSON.stringify({
    version: '1.0.0',
    $schema: 'x',
    'x-team': 1,
    modules: [{ ...app, 'x-1': 2 }],
  });
  assert.is(readManifestSource(Buffer.from(text)).written['x-team'], 1);
});

test('a byte order mark is left out', () => {
  const text = JSON.stringify({ version: '1.0.0', modules: [app] });
  assert.is(readManifestSource(Buffer.from(`\ufeff${text}`)).manifest.version, '1.0.0');
});

test('what is no UTF-8 is refused as the device refuses it', () => {
  assert.throws(() => readManifestSource(Buffer.from([0x7b, 0xff, 0x7d])), /not valid UTF-8/);
});

test('what is packed has no comments, every key in its order, and a line for each module and file', () => {
  const source = readManifestSource(
    Buffer.from(`{
      "reboot": true, "version": "1.0.0",
      "modules": [
        { "name": "a", "src": "a", "dst": "/opt/tope/a", "mode": "4755", "x-vendor": 1 },
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
    {"name":"a","src":"a","dst":"/opt/tope/a","mode":"4755","x-vendor":1,"size":1,"md5":"${digests.md5}","sha256":"${digests.sha256}"},
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

function thrownBy(act: () => unknown): Error {
  try {
    act();
  } catch (thrown) {
    if (thrown instanceof Error) return thrown;
  }
  throw new Error('nothing was thrown');
}

test.run();
