/** What a server answers: taken where it is right, refused by the field where it is not, whatever else stands there. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readConfirmation, readDeployment, readErrorCode, readPoll } from '../../src/fleet/answers.ts';
import { readWith } from '../../src/fleet/exchange.ts';
import { limits } from '../../src/limits.ts';

const test = suite('answers of a DDI server');
const artifact = {
  filename: 'p.zip',
  hashes: { sha1: 'a'.repeat(40), md5: 'B'.repeat(32), sha256: 'c'.repeat(64) },
  size: 5,
  _links: { 'download-http': { href: 'https://h/p.zip' } },
};
const chunk = {
  part: 'bApp',
  version: '1.5.0',
  name: 'printer',
  artifacts: [artifact],
  metadata: [{ key: 'k', value: 'v' }],
};
const plan = { download: 'forced', update: 'attempt', chunks: [chunk] };
const deployment = { id: '42', deployment: plan };

test('a poll: one link, its id, its query; the link itself goes nowhere', () => {
  const href = 'http://localhost:8080/DEFAULT/controller/v1/dev/deploymentBase/42?c=-17';
  const poll = readPoll({
    config: { polling: { sleep: '00:01:30' } },
    _links: { deploymentBase: { href }, configData: { href: 'x' } },
  });
  assert.equal(poll, {
    sleepMs: 90_000,
    deployment: { id: '42', query: '?c=-17' },
    cancel: undefined,
    confirmation: undefined,
    wantsAttributes: true,
  });
  assert.equal(readPoll({ _links: { cancelAction: { href: '/x/cancelAction/-1' } } }).cancel, {
    id: '-1',
    query: '',
  });
});

test('a poll without links, without configuration, with nulls is one with nothing to do', () => {
  for (const json of [
    {},
    { _links: {} },
    { _links: null, config: null },
    { config: { polling: {} }, more: 1 },
  ])
    assert.equal(readPoll(json), {
      sleepMs: undefined,
      deployment: undefined,
      cancel: undefined,
      confirmation: undefined,
      wantsAttributes: false,
    });
});

for (const [text, ms] of [
  ['00:00:01', limits.fleetSleepLeastMs],
  ['99:00:00', limits.fleetSleepMostMs],
  ['00:61:00', undefined],
  ['5 min', undefined],
  [300, undefined],
] as const)
  test(`a sleep of ${text} is ${ms}`, () => {
    assert.is(readPoll({ config: { polling: { sleep: text } } }).sleepMs, ms);
  });

for (const href of [
  '',
  'http://h/deploymentBase/',
  'http://h/deploymentBase/a%2Fb',
  `http://h/deploymentBase/${'1'.repeat(65)}`,
  'http://h/deploymentBase/1?c=<',
  'http://h/other/1',
])
  test(`a link that names no order makes the poll no answer: ${href.slice(0, 40)}`, () => {
    assert.throws(
      () => readWith(readPoll, { _links: { deploymentBase: { href } } }, 'poll'),
      /^poll: .* is not as expected/,
    );
  });

test('a deployment: names and hashes as they are needed, `download` before `download-http`', () => {
  const both = { ...artifact, _links: { ...artifact._links, download: { href: 'https://cdn/p.zip' } } };
  const read = readDeployment({
    ...deployment,
    deployment: { ...plan, maintenanceWindow: 'available', chunks: [{ ...chunk, artifacts: [both] }] },
  });
  assert.is(read.hasWindow, true);
  assert.equal(read.chunks[0]?.artifacts, [
    {
      filename: 'p.zip',
      sizeBytes: 5,
      md5: 'b'.repeat(32),
      sha256: 'c'.repeat(64),
      href: 'https://cdn/p.zip',
    },
  ]);
  assert.is(read.chunks[0]?.metadata.get('k'), 'v');
});

test('what a server leaves out is not there', () => {
  const bare = readDeployment({
    id: 7,
    deployment: {
      ...plan,
      chunks: [
        { name: 'n', version: 'v' },
        { name: 'm', version: 'w', artifacts: [{ filename: 'f' }], metadata: null },
      ],
    },
  });
  assert.is(bare.id, '7');
  assert.is(bare.hasWindow, false);
  assert.equal(
    bare.chunks.map(({ artifacts }) => artifacts.length),
    [0, 1],
  );
  assert.equal(bare.chunks[1]?.artifacts[0], {
    filename: 'f',
    sizeBytes: undefined,
    md5: undefined,
    sha256: undefined,
    href: undefined,
  });
});

const wrong: readonly (readonly [string, unknown])[] = [
  ['null', null],
  ['a text', 'x'],
  ['no id', { deployment: plan }],
  ['an id of a path', { ...deployment, id: '../1' }],
  ['another word for forced', { ...deployment, deployment: { ...plan, update: 'now' } }],
  ['no chunks', { ...deployment, deployment: { download: 'forced', update: 'forced' } }],
  ['chunks that are none', { ...deployment, deployment: { ...plan, chunks: [1] } }],
  [
    'a version that is a number',
    { ...deployment, deployment: { ...plan, chunks: [{ ...chunk, version: 1 }] } },
  ],
  [
    'an MD5 of 31 digits',
    {
      ...deployment,
      deployment: {
        ...plan,
        chunks: [{ ...chunk, artifacts: [{ ...artifact, hashes: { md5: 'a'.repeat(31) } }] }],
      },
    },
  ],
  [
    'a size below 0',
    {
      ...deployment,
      deployment: { ...plan, chunks: [{ ...chunk, artifacts: [{ ...artifact, size: -1 }] }] },
    },
  ],
  [
    'a file name that is none',
    {
      ...deployment,
      deployment: { ...plan, chunks: [{ ...chunk, artifacts: [{ ...artifact, filename: null }] }] },
    },
  ],
];
for (const [what, json] of wrong)
  test(`a deployment with ${what} is no answer`, () => {
    assert.throws(
      () => readWith(readDeployment, json, 'deploymentBase'),
      /^deploymentBase: .* is not as expected/,
    );
  });

test('a question has the form of a deployment under another name', () => {
  assert.is(readConfirmation({ id: '16', confirmation: plan }).chunks[0]?.version, '1.5.0');
  assert.throws(() => readWith(readConfirmation, deployment, 'confirmationBase'));
});

test('of an error only its key is taken', () => {
  assert.is(
    readErrorCode({ errorCode: 'hawkbit.server.error.quota.tooManyEntries', message: 'secret' }),
    'hawkbit.server.error.quota.tooManyEntries',
  );
  for (const json of [undefined, {}, { errorCode: '<b>' }, { errorCode: 5 }])
    assert.is(readErrorCode(json), undefined);
});

test.run();
