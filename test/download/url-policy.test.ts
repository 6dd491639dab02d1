import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { packageAddress, redactUrl, redirectAddress } from '../../src/download/url-policy.ts';
import { UpdateError } from '../../src/errors.ts';

const allowed = [
  'https://store.example.com/p.zip',
  'https://203.0.113.9/p.zip',
  'http://localhost/p.zip',
  'http://LOCALHOST:8080/p.zip',
  'http://127.0.0.1:9000/p.zip',
  'http://127.9.9.9/p.zip',
  'http://0x7f.1/p.zip',
  'http://10.1.2.3/p.zip',
  'http://172.16.0.1/p.zip',
  'http://172.31.255.255/p.zip',
  'http://192.168.0.1/p.zip',
  'http://169.254.10.10/p.zip',
  'http://printer.local/p.zip',
  'http://printer.local./p.zip',
  'http://[::1]/p.zip',
  'http://[fe80::1]/p.zip',
  'http://[fd12:3456::1]/p.zip',
  'http://[::ffff:192.168.1.1]/p.zip',
];
for (const url of allowed) test(`${url} is allowed`, () => void packageAddress(url, false));

const refused: readonly (readonly [string, RegExp])[] = [
  ['http://store.example.com/p.zip', /http is allowed only to/],
  ['http://8.8.8.8/p.zip', /http is allowed only to/],
  ['http://172.32.0.1/p.zip', /http is allowed only to/],
  ['http://11.0.0.1/p.zip', /http is allowed only to/],
  ['http://192.169.0.1/p.zip', /http is allowed only to/],
  ['http://0.0.0.0/p.zip', /http is allowed only to/],
  ['http://local/p.zip', /http is allowed only to/],
  ['http://evil.local.example.com/p.zip', /http is allowed only to/],
  ['http://10.0.0.1.example.com/p.zip', /http is allowed only to/],
  ['http://[2001:db8::1]/p.zip', /http is allowed only to/],
  ['http://[::ffff:8.8.8.8]/p.zip', /http is allowed only to/],
  ['http://[fec0::1]/p.zip', /http is allowed only to/],
  ['http://user@127.0.0.1@example.com/p.zip', /http is allowed only to/],
  ['file:///etc/passwd', /scheme file: is not allowed/],
  ['ftp://127.0.0.1/p.zip', /scheme ftp: is not allowed/],
  ['javascript:alert(1)', /scheme javascript: is not allowed/],
  ['http://127.0.0.1:0/p.zip', /port 0/],
  ['https://store.example.com:0/p.zip', /port 0/],
  ['p.zip', /not an absolute URL/],
  ['', /not an absolute URL/],
];
for (const [url, why] of refused) {
  test(`"${url}" is refused`, () => {
    const error = thrownBy(() => packageAddress(url, false));
    assert.is(error.code, 'VALIDATION_ERROR');
    assert.match(error.message, /^VALIDATION_ERROR: package_url /);
    assert.match(error.message, why);
  });
}

test('the operator can allow http anywhere, but no other scheme', () => {
  packageAddress('http://store.example.com/p.zip', true);
  assert.is(thrownBy(() => packageAddress('file:///p.zip', true)).code, 'VALIDATION_ERROR');
});

test('userinfo becomes an Authorization header and leaves the URL', () => {
  const { url, authorization } = packageAddress(
    'https://us%40er:pa%C3%9F@store.example.com/p.zip#part',
    false,
  );
  assert.is(url.href, 'https://store.example.com/p.zip');
  assert.is(authorization, `Basic ${Buffer.from('us@er:paß').toString('base64')}`);
  assert.is(
    packageAddress('https://a:%zz@h/', false).authorization,
    `Basic ${Buffer.from('a:%zz').toString('base64')}`,
  );
});

test('userinfo that is no UTF-8 goes over byte by byte', () => {
  const expected = `Basic ${Buffer.from('a\xff:\xfe%', 'latin1').toString('base64')}`;
  assert.is(packageAddress('https://a%FF:%fe%@h/', false).authorization, expected);
  const from = packageAddress('https://h/', false);
  assert.is(redirectAddress(from, 'https://a%FF:%fe%@g/', false).authorization, expected);
  assert.match(thrownBy(() => redirectAddress(from, 'https://g:0/', false)).message, /port 0/);
});

test('redirects: relative, absolute, and never a weaker protocol', () => {
  const from = packageAddress('https://store.example.com/a/p.zip?sig=1', false);
  assert.is(redirectAddress(from, '../b.zip', false).url.href, 'https://store.example.com/b.zip');
  assert.is(redirectAddress(from, '//cdn.example.com/c', false).url.href, 'https://cdn.example.com/c');
  for (const location of ['http://127.0.0.1/p.zip', 'http://store.example.com/p.zip']) {
    for (const allowHttp of [false, true]) {
      const error = thrownBy(() => redirectAddress(from, location, allowHttp));
      assert.match(
        error.message,
        /^DOWNLOAD_FAILED: https:\/\/store\.example\.com\/a\/p\.zip\?\.\.\. redirects to .*never left/,
      );
    }
  }
  const local = packageAddress('http://127.0.0.1:9/p.zip', false);
  redirectAddress(local, 'https://store.example.com/p.zip', false);
  assert.match(
    thrownBy(() => redirectAddress(local, 'http://example.com/', false)).message,
    /http is allowed only/,
  );
  assert.match(thrownBy(() => redirectAddress(local, 'file:///etc/passwd', false)).message, /scheme file:/);
  assert.match(thrownBy(() => redirectAddress(local, 'http://[', false)).message, /not a URL/);
});

test('credentials stay with scheme, host and port they were given for', () => {
  const from = packageAddress('http://user:secret@127.0.0.1:8000/p.zip', false);
  const authorizationAt = (location: string) => redirectAddress(from, location, false).authorization;
  assert.is(authorizationAt('/other.zip'), from.authorization);
  assert.is(authorizationAt('http://127.0.0.1:8001/p.zip'), undefined);
  assert.is(authorizationAt('http://localhost:8000/p.zip'), undefined);
  assert.is(authorizationAt('https://127.0.0.1:8000/p.zip'), undefined);
  assert.ok(authorizationAt('http://own:words@localhost/p.zip')?.startsWith('Basic '));
});

test('secrets of a URL are not written down', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['https://s3.example.com/b/p.zip?X-Amz-Signature=abc&x=1#f', 'https://s3.example.com/b/p.zip?...'],
    ['https://user:secret@host/p.zip', 'https://host/p.zip'],
    ['https://user:se/cret@host/p.zip', 'host/p.zip'],
    ['https://host/p@1.zip', 'https://host/p@1.zip'],
    ['//user:secret@host/p', 'host/p'],
    ['/relative?token=abc', '/relative?...'],
    ['not a url', 'not a url'],
  ];
  for (const [text, expected] of cases) assert.is(redactUrl(text), expected);
});

test.run();

function thrownBy(act: () => unknown): UpdateError {
  try {
    act();
  } catch (thrown) {
    if (thrown instanceof UpdateError) return thrown;
    throw thrown;
  }
  throw new Error('nothing was thrown');
}
