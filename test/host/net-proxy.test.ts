import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../../src/errors.ts';
import { proxyFor } from '../../src/host/net-proxy.ts';

type Row = readonly [string, Record<string, string>, string | undefined];

const rows: readonly Row[] = [
  ['http://a.example/', {}, undefined],
  ['http://a.example/', { HTTP_PROXY: 'http://p:3128' }, 'http://p:3128'],
  ['http://a.example/', { http_proxy: 'http://low:1', HTTP_PROXY: 'http://up:1' }, 'http://low:1'],
  ['http://a.example/', { HTTP_PROXY: 'p:3128' }, 'http://p:3128'],
  ['http://a.example/', { HTTP_PROXY: 'http://p' }, 'http://p:80'],
  ['http://a.example/', { HTTP_PROXY: 'https://p' }, 'https://p:443'],
  ['http://a.example/', { HTTP_PROXY: 'http://[fd00::1]:8080' }, 'http://fd00::1:8080'],
  ['http://a.example/', { HTTPS_PROXY: 'http://p:3128' }, undefined],
  ['https://a.example/', { HTTPS_PROXY: 'http://p:3128' }, 'http://p:3128'],
  ['https://a.example/', { HTTP_PROXY: 'http://p:3128', https_proxy: '' }, undefined],
  ['http://localhost/', { HTTP_PROXY: 'http://p:1' }, undefined],
  ['http://127.4.5.6/', { HTTP_PROXY: 'http://p:1' }, undefined],
  ['http://[::1]/', { HTTP_PROXY: 'http://p:1' }, undefined],
];
for (const [url, environment, expected] of rows) {
  test(`${url} with ${JSON.stringify(environment)}`, () => {
    const proxy = proxyFor(new URL(url), environment);
    assert.is(proxy && `${proxy.protocol}//${proxy.hostname}:${proxy.port}`, expected);
  });
}

const exempt: readonly (readonly [string, string, boolean])[] = [
  ['http://a.example/', '*', true],
  ['http://a.example/', 'a.example', true],
  ['http://A.example/', 'A.EXAMPLE', true],
  ['http://a.example/', 'example', true],
  ['http://a.example/', '.example', true],
  ['http://a.example/', '*.example', true],
  ['http://aexample/', 'example', false],
  ['http://a.example/', 'b.example, a.example', true],
  ['http://a.example/', 'b.example  a.example', true],
  ['http://a.example:8080/', 'a.example:8080', true],
  ['http://a.example:8081/', 'a.example:8080', false],
  ['http://a.example/', 'a.example:80', true],
  ['http://10.1.2.3/', '10.1.2.3', true],
  ['http://10.1.2.3/', '10.0.0.0/8', true],
  ['http://11.1.2.3/', '10.0.0.0/8', false],
  ['http://10.1.2.3/', '10.0.0.0/99', false],
  ['http://10.1.2.3/', '10.0.0.0/x', false],
  ['http://10.1.2.3:8080/', '10.1.2.3:8080', true],
  ['http://[fd00::5]/', 'fd00::/8', true],
  ['http://[fd00::5]/', 'fd00::5', true],
  ['http://[fd00::5]:8080/', '[fd00::5]:8080', true],
  ['http://[fd00::5]/', '[fd00::5]', true],
  ['http://a.example/', '', false],
];
for (const [url, noProxy, expected] of exempt) {
  test(`NO_PROXY="${noProxy}" ${expected ? 'exempts' : 'does not exempt'} ${url}`, () => {
    const proxy = proxyFor(new URL(url), { HTTP_PROXY: 'http://p:1', NO_PROXY: noProxy });
    assert.is(proxy === undefined, expected);
  });
}

for (const named of ['socks5://p:1', 'http://', 'http://p:0']) {
  test(`a proxy "${named}" is refused without repeating it`, () => {
    try {
      proxyFor(new URL('http://a.example/'), { HTTP_PROXY: named });
    } catch (thrown) {
      assert.is(errno(thrown), 'ERR_INVALID_URL');
      return assert.not.match(String(thrown), /p:[01]/);
    }
    assert.unreachable();
  });
}

test('credentials of a proxy go over byte by byte, also those that are no UTF-8', () => {
  const given = (userinfo: string) =>
    proxyFor(new URL('http://a.example/'), { HTTP_PROXY: `http://${userinfo}@p:1` })?.authorization;
  const basic = (pair: string) => `Basic ${Buffer.from(pair, 'latin1').toString('base64')}`;
  assert.is(given('us%40er:pa%3Ass'), basic('us@er:pa:ss'));
  assert.is(given('a:%FF%00'), basic('a:\xff\0'));
  assert.is(given('a%zz:b'), basic('a%zz:b'));
});

test.run();
