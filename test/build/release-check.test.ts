import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { projectRoot, projectVersion } from '../../build/bundle.ts';
import { unsupported } from '../../build/dist.ts';
import { type ReleaseFacts, releaseFaults } from '../../build/release-check.ts';
import { compareVersions } from '../../src/version.ts';

const good: ReleaseFacts = {
  packageVersion: '1.2.3',
  lockVersions: ['1.2.3', '1.2.3'],
  changelog:
    '# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-23\n\n- more\n\n## [1.2.2] - 2026-10-01\n\n- less\n',
  changes: '',
  tags: [],
};

test('a commit with one version, a dated entry and a clean tree is ready', () => {
  assert.equal(releaseFaults(good), []);
  assert.equal(releaseFaults({ ...good, tags: ['v1.2.3'] }), []);
  assert.equal(releaseFaults({ ...good, changelog: '## 1.2.3 - 2026-11-23\n\n- more\n' }), []);
});

const faults: [string, Partial<ReleaseFacts>, RegExp][] = [
  [
    'a lockfile of another version',
    { lockVersions: ['1.2.2', '1.2.3'] },
    /package-lock\.json: version 1\.2\.2/,
  ],
  ['a version that is not x.y.z', { packageVersion: '1.2' }, /1\.2 is not of the form x\.y\.z/],
  ['a version between two releases', { packageVersion: '1.2.3-dev' }, /1\.2\.3-dev is not of the form/],
  ['no entry in the CHANGELOG', { changelog: '## 1.2.2 - 2026-10-01\n' }, /newest version in it is 1\.2\.2/],
  ['no CHANGELOG', { changelog: '' }, /newest version in it is undefined/],
  ['an entry without a date', { changelog: '## [1.2.3]\n\n- more\n' }, /has no date/],
  [
    'entries that no version has yet',
    { changelog: '## Unreleased\n\n- new\n\n## 1.2.3 - 2026-11-23\n' },
    /entries under Unreleased/,
  ],
  ['uncommitted changes', { changes: ' M src/main.ts' }, /not clean:\n M src\/main\.ts/],
  ['a tag of another version', { tags: ['v1.2.4'] }, /tag v1\.2\.4 is not v1\.2\.3/],
];
for (const [name, change, expected] of faults) {
  test(`refused: ${name}`, () => {
    assert.match(releaseFaults({ ...good, ...change }).join('\n'), expected);
  });
}

test('with changes that no release has, this checkout has a version of its own, later than the last release', () => {
  const changelog = readFileSync(join(projectRoot, 'CHANGELOG.md'), 'utf8');
  const [, unreleased = '', last = ''] =
    /^## \[Unreleased\]\n([\s\S]*?)^## \[(\d\S*)\]/m.exec(changelog) ?? [];
  const order = compareVersions(projectVersion, last);
  assert.ok(unreleased.trim() === '' ? order === 0 : order > 0, `${projectVersion} after ${last}`);
});

test('a Node that nobody mends any more is named, with what to do, and one that is mended is not', () => {
  const carried = (version: string) => unsupported([{ arch: 'armv7', version }], Date.UTC(2026, 10, 29));
  assert.match(carried('20.11.0')[0] ?? '', /armv7 carries Node 20\.11\.0.*since 2026-04-30; NODE_ARMV7/);
  assert.equal([carried('22.23.3'), carried('26.12.1'), carried('99.0.0')], [[], [], []]);
});

test.run();
