/** Versions: what is one, and which comes later. The chains are those of semver.org and its reference regular expression. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { compareVersions, VersionSchema } from '../src/version.ts';

const test = suite('versions');

test('takes every form of Semantic Versioning', () => {
  for (const version of [
    '0.0.4',
    '1.2.3',
    '10.20.30',
    '1.1.2-prerelease+meta',
    '1.1.2+meta',
    '1.0.0-alpha',
    '1.0.0-alpha.beta.1',
    '1.0.0-alpha0.valid',
    '1.0.0-rc.1+build.123',
    '1.2.3----RC-SNAPSHOT.12.9.1--.12',
    '1.0.0+0.build.1-rc.10000aaa-kk-0.1',
    '1.0.0-0A.is.legal',
    '99999999999999999999999.999999999999999999.99999999999999999',
  ])
    assert.is(v.is(VersionSchema, version), true, version);
});

test('refuses what only looks like a version', () => {
  for (const version of [
    '1',
    '1.2',
    '1.2.3.4',
    'v1.2.3',
    '01.2.3',
    '1.02.3',
    '1.2.3-',
    '1.2.3+',
    '1.2.3-01',
    '1.2.3-a..b',
    '1.2.3-rc_1',
    '1.2.3+a+b',
    '1.2.3 ',
    ' 1.2.3',
    '1.2.3-é',
    '1.2.3\n',
    '../1.2.3',
    `1.2.3-${'a'.repeat(128)}`,
    '',
  ])
    assert.is(v.is(VersionSchema, version), false, version);
});

test('orders by precedence', () => {
  const rising = [
    '0.9.9',
    '1.0.0-0',
    '1.0.0-2',
    '1.0.0-10',
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    '1.0.0-rc.1.0',
    '1.0.0',
    '1.0.1',
    '1.9.0',
    '1.10.0',
    '1.10.99999999999999999998',
    '1.10.99999999999999999999',
    '2.0.0',
  ];
  rising.forEach((low, index) => {
    for (const high of rising.slice(index + 1)) {
      assert.ok(compareVersions(low, high) < 0, `${low} < ${high}`);
      assert.ok(compareVersions(high, low) > 0, `${high} > ${low}`);
    }
  });
});

test('what follows "+" says nothing of the order', () => {
  assert.is(compareVersions('1.2.3+a', '1.2.3+b'), 0);
  assert.is(compareVersions('1.2.3-rc.1+x-y', '1.2.3-rc.1'), 0);
  assert.is(compareVersions('1.2.3', '1.2.3'), 0);
});

test('a pattern made to take long does not', () => {
  const started = process.hrtime.bigint();
  assert.is(v.is(VersionSchema, `1.2.3-${'0'.repeat(100_000)}!`), false);
  assert.is(v.is(VersionSchema, `1.2.3-${'a.'.repeat(60)}!`), false);
  assert.ok(process.hrtime.bigint() - started < 1_000_000_000n);
});

test.run();
