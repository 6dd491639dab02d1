/** What a manifest may say of modules that go. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { featuresUsed } from '../../src/package/features.ts';
import { parseManifest } from '../../src/package/manifest.ts';
import { resolveRelease } from '../../src/package/release.ts';
import type { Release } from '../../src/release.ts';
import { refusal } from '../deploy/parts.ts';

const test = suite('modules that a package removes');
const app = { name: 'app', src: 'm/app', dst: '/opt/tope/app' };
const entries = [{ name: 'm/app', isDirectory: false, sizeBytes: 1, mode: 0o644 }];
const rules = { expectedVersion: undefined, allowedRoots: ['/opt/tope'], workDirectory: '/opt/tope/updater' };

async function resolved(root: object): Promise<Release> {
  const { manifest } = parseManifest(
    Buffer.from(JSON.stringify({ version: '1.0.0', modules: [app], ...root })),
  );
  const { files: _, ...rest } = manifest;
  return resolveRelease(rest, entries, rules);
}

test('remove and complete become part of the release; a package may consist of remove alone', async () => {
  assert.equal((await resolved({ remove: ['a', 'b'] })).remove, ['a', 'b']);
  assert.is((await resolved({ complete: true })).complete, true);
  assert.is((await resolved({ complete: false })).complete, undefined);
  const { modules, remove } = await resolved({ modules: [], remove: ['a'] });
  assert.equal([modules, remove], [[], ['a']]);
});

for (const [what, root, expected] of [
  [
    'a module that comes and goes',
    { remove: ['x', 'app'] },
    'remove[1]: "app" is also the name of modules[0]',
  ],
  ['a name twice', { remove: ['x', 'x'] }, 'remove[1]: "x" is remove[0] already'],
  ['no module at all', { modules: [] }, 'modules: must name at least one module'],
  [
    'complete without modules',
    { modules: [], complete: true },
    'complete: without modules it would take everything',
  ],
  ['an empty list', { remove: [] }, 'remove: must name a module'],
  ['a path', { remove: ['../x'] }, 'remove[0]: must be 1 to 64 letters'],
  ['no list', { remove: 'x' }, 'remove: '],
] as const)
  test(`${what} is refused by name`, async () => {
    const said = await refusal(() => resolved(root));
    assert.ok(said.startsWith(`INVALID_MANIFEST: manifest.json: ${expected}`), said);
  });

test('an older updater is to refuse such a package', () => {
  assert.equal(featuresUsed({ modules: [], remove: ['x'] }), ['remove']);
  assert.equal(featuresUsed({ modules: [], complete: true }), ['remove']);
  assert.equal(featuresUsed({ modules: [], complete: false }), []);
});

test.run();
