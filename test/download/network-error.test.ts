import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  isFinal,
  isNetworkError,
  networkErrorText,
  refusalReason,
} from '../../src/download/network-error.ts';
import { UpdateError } from '../../src/errors.ts';

const coded = (code: string, text: string) => Object.assign(new Error(text), { code });

test('certificate dates are told with the device clock', () => {
  assert.is(
    networkErrorText(coded('CERT_NOT_YET_VALID', 'certificate is not yet valid'), 1_000),
    'TLS: certificate not yet valid: device clock says 1970-01-01T00:00:01.000Z (CERT_NOT_YET_VALID)',
  );
  assert.match(
    networkErrorText(coded('CERT_HAS_EXPIRED', 'x'), 0),
    /has expired: device clock says 1970-01-01T/,
  );
});

test('other errors keep their words and their code', () => {
  assert.is(networkErrorText(coded('ECONNRESET', 'read ECONNRESET'), 0), 'read ECONNRESET');
  assert.is(networkErrorText(coded('ETIMEDOUT', 'no byte for 5 ms'), 0), 'no byte for 5 ms (ETIMEDOUT)');
});

test('what is final, what may pass, and what is a bug', () => {
  assert.ok(isFinal(coded('SELF_SIGNED_CERT_IN_CHAIN', '')));
  assert.ok(isFinal(coded('ERR_TLS_CERT_ALTNAME_INVALID', '')));
  for (const code of [
    'ECONNRESET',
    'ENOTFOUND',
    'EAI_AGAIN',
    'CERT_NOT_YET_VALID',
    'CERT_HAS_EXPIRED',
    'HPE_INVALID_CONSTANT',
  ])
    assert.not(isFinal(coded(code, '')));
  assert.ok(isNetworkError(coded('ECONNRESET', '')));
  assert.not(isNetworkError(new TypeError('bug')));
  assert.not(isNetworkError(new UpdateError('DISK_FULL', 'write')));
  assert.not(isNetworkError('text'));
});

const reasons: readonly (readonly [string, string | undefined, string, string | undefined])[] = [
  [
    'S3, without the keys that its body repeats',
    'application/xml',
    '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message><AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>',
    'AccessDenied: Request has expired',
  ],
  ['plain text', 'text/plain; charset=utf-8', 'go\n away\u0007 ', 'go away'],
  ['html, tags off', 'text/html', '<html><style>x{}</style><h1>403 Forbidden</h1></html>', '403 Forbidden'],
  ['json', 'application/json', '{"error":"no"}', '{"error":"no"}'],
  ['parameters of a URL', 'text/plain', 'bad /p?sig=SECRET&key=SECRET2', 'bad /p?sig=...&key=...'],
  ['other XML', 'application/xml', '<Url>secret</Url>', undefined],
  ['bytes', undefined, '\u0000\u0001', undefined],
  ['nothing', 'text/plain', '', undefined],
];
for (const [name, type, body, expected] of reasons) {
  test(`the reason of a refusal: ${name}`, () => assert.is(refusalReason(type, body), expected));
}

test.run();
