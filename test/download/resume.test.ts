import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import {
  decide,
  noValidators,
  type Question,
  ResumeSchema,
  rangeHeaders,
} from '../../src/download/resume.ts';

const size = 3_000_000;
const from = 2_000_000;
const modified = 'Wed, 21 Oct 2015 07:28:00 GMT';
const strong = { etag: '"v1"', last_modified: modified, total: size };
const worthBytes = 65_536;

function asking(extra: Partial<Question> = {}): Question {
  return { bytesOnDisk: from, validators: strong, withIfRange: true, expectedBytes: size, ...extra };
}

function deciding(question: Question, status: number, headers: Record<string, string> = {}) {
  return decide(question, { status, headers }, worthBytes);
}

const part = {
  'content-range': `bytes ${from}-${size - 1}/${size}`,
  'content-length': String(size - from),
  etag: '"v1"',
  'last-modified': modified,
};
const whole = { 'content-length': String(size), etag: '"v1"', 'last-modified': modified };

// ------------------------------------------------------------------------------------------ what is asked

const ifRanges: readonly (readonly [string, string | null, string | null, string | undefined])[] = [
  ['a strong ETag', '"v1"', modified, '"v1"'],
  ['a weak ETag: the date', 'W/"v1"', modified, modified],
  ['a bare ETag: the date', 'v1', modified, modified],
  ['a weak ETag and no date: nothing', 'W/"v1"', null, undefined],
  ['a date alone', null, modified, modified],
  ['no validator: nothing', null, null, undefined],
];
for (const [name, etag, last_modified, expected] of ifRanges) {
  test(`If-Range with ${name}`, () => {
    const headers = rangeHeaders(asking({ validators: { etag, last_modified, total: size } }));
    assert.is(headers.range, 'bytes=2000000-');
    assert.is(headers['if-range'], expected);
  });
}

test('no Range when nothing is on disk, no If-Range when told so', () => {
  assert.equal(rangeHeaders(asking({ bytesOnDisk: 0 })), {});
  assert.equal(rangeHeaders(asking({ withIfRange: false })), { range: 'bytes=2000000-' });
});

// ------------------------------------------------------------------------------------------ 206

test('a 206 that agrees in everything is appended', () => {
  assert.equal(deciding(asking(), 206, part), { kind: 'append' });
});

test('a 206 that ends before the file does is appended: the rest is asked for next', () => {
  const headers = { ...part, 'content-range': `bytes ${from}-${from + 9}/${size}`, 'content-length': '10' };
  assert.is(deciding(asking(), 206, headers).kind, 'append');
});

test('a 206 without validators is believed by offset and total', () => {
  const { 'content-range': range } = part;
  assert.is(deciding(asking(), 206, { 'content-range': range }).kind, 'append');
  assert.is(deciding(asking({ validators: noValidators }), 206, { 'content-range': range }).kind, 'append');
});

const notOurs: readonly (readonly [string, Record<string, string>, RegExp])[] = [
  [
    'another offset',
    { 'content-range': `bytes 0-${size - 1}/${size}` },
    /asked from byte 2000000, .* from 0/,
  ],
  [
    'another total',
    { 'content-range': `bytes ${from}-${size}/${size + 1}` },
    /has 3000001 bytes, expected 3000000/,
  ],
  ['an unknown total', { 'content-range': `bytes ${from}-${size - 1}/*` }, /unknown number of bytes/],
  [
    'a broken Content-Range',
    { 'content-range': 'bytes abc' },
    /usable Content-Range \(content-range: bytes abc\)/,
  ],
  ['a backward Content-Range', { 'content-range': `bytes ${from}-5/${size}` }, /usable Content-Range/],
  ['a range past the total', { 'content-range': `bytes ${from}-${size}/${size}` }, /usable Content-Range/],
  ['another ETag', { etag: '"v2"' }, /ETag was "v1", is "v2"/],
  ['the same ETag made weak', { etag: 'W/"v1"' }, /ETag was "v1", is W\/"v1"/],
  ['another date', { 'last-modified': 'Thu, 22 Oct 2015 07:28:00 GMT' }, /Last-Modified was/],
  [
    'a length that is not the range',
    { 'content-length': '5' },
    /Content-Range says 1000000 bytes, Content-Length 5/,
  ],
];
for (const [name, headers, why] of notOurs) {
  test(`a 206 with ${name} is not ours`, () => {
    const decision = deciding(asking(), 206, { ...part, ...headers });
    assert.is(decision.kind, 'askForWhole');
    assert.match('why' in decision ? decision.why : '', why);
  });
}

test('a 206 with a validator that was not there before is not ours', () => {
  assert.is(deciding(asking({ validators: noValidators }), 206, part).kind, 'askForWhole');
});

test('a 206 nobody asked for is a failed try', () => {
  assert.is(deciding(asking({ bytesOnDisk: 0 }), 206, part).kind, 'retry');
});

// ------------------------------------------------------------------------------------------ 200

test('a first 200 is taken', () => {
  assert.is(deciding(asking({ bytesOnDisk: 0, validators: noValidators }), 200, whole).kind, 'startOver');
});

test('a 200 for the unchanged file: the server did not understand If-Range', () => {
  assert.equal(deciding(asking(), 200, whole), { kind: 'askWithoutIfRange' });
});

const starts: readonly (readonly [string, Partial<Question>, Record<string, string>])[] = [
  ['answered to Range alone', { withIfRange: false }, whole],
  ['with another ETag', {}, { ...whole, etag: '"v2"' }],
  ['with another date', {}, { ...whole, 'last-modified': 'Thu, 22 Oct 2015 07:28:00 GMT' }],
  ['without validators', {}, { 'content-length': String(size) }],
  ['of unknown length', {}, { etag: '"v1"' }],
  ['where little is on disk', { bytesOnDisk: worthBytes - 1 }, whole],
  [
    'where no If-Range could be sent',
    { validators: { ...strong, etag: 'bare', last_modified: null } },
    { ...whole, etag: 'bare' },
  ],
  ['with a Content-Range', {}, { ...whole, etag: '"v2"', 'content-range': `bytes 0-${size - 1}/${size}` }],
];
for (const [name, question, headers] of starts) {
  test(`a 200 ${name} starts over in the same answer`, () => {
    assert.is(deciding(asking(question), 200, headers).kind, 'startOver');
  });
}

test('a 200 of another size is refused before its first byte', () => {
  const decision = deciding(asking(), 200, { ...whole, 'content-length': '17' });
  assert.is(decision.kind === 'refuse' && decision.code, 'SIZE_MISMATCH');
  assert.match('why' in decision ? decision.why : '', /has 17 bytes, package_size is 3000000/);
});

test('any content coding but identity is refused', () => {
  for (const status of [200, 206]) {
    const headers = status === 200 ? whole : part;
    for (const coding of ['gzip', 'br', 'x-unknown'])
      assert.is(deciding(asking(), status, { ...headers, 'content-encoding': coding }).kind, 'refuse');
    assert.is.not(deciding(asking(), status, { ...headers, 'content-encoding': 'Identity' }).kind, 'refuse');
  }
});

// ------------------------------------------------------------------------------------------ other answers

const others: readonly (readonly [number, Record<string, string>, string])[] = [
  [416, {}, 'askForWhole'],
  [416, { 'content-range': `bytes */${size}` }, 'askForWhole'],
  [301, { location: '/x' }, 'redirect'],
  [308, { location: '/x' }, 'redirect'],
  [302, {}, 'refuse'],
  [300, { location: '/x' }, 'refuse'],
  [304, {}, 'refuse'],
  [204, {}, 'refuse'],
  [400, {}, 'refuse'],
  [401, {}, 'refuse'],
  [403, {}, 'refuse'],
  [410, {}, 'refuse'],
  [404, {}, 'retry'],
  [408, {}, 'retry'],
  [429, {}, 'retry'],
  [500, {}, 'retry'],
  [503, {}, 'retry'],
  [599, {}, 'retry'],
  [600, {}, 'refuse'],
];
for (const [status, headers, expected] of others) {
  test(`HTTP ${status} ${JSON.stringify(headers)}: ${expected}`, () => {
    assert.is(deciding(asking(), status, headers).kind, expected);
  });
}

test('a 416 to a request without Range is refused', () => {
  assert.is(deciding(asking({ bytesOnDisk: 0 }), 416).kind, 'refuse');
});

test('what is remembered is read back verbatim, and what is damaged is not', () => {
  const info = { bytes_downloaded: 5, etag: 'W/"x y"', last_modified: null, total: 9 };
  assert.equal(v.parse(ResumeSchema, JSON.parse(JSON.stringify(info))), info);
  for (const damage of [{ bytes_downloaded: -1 }, { bytes_downloaded: 1.5 }, { etag: 7 }, { total: 'x' }])
    assert.not(v.is(ResumeSchema, { ...info, ...damage }));
});

test.run();
