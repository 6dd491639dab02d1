/** The door alone: the configured host name, and nothing that merely resembles it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { admit, type RequestHead } from '../../src/http/door.ts';
import { HttpError } from '../../src/http/http-error.ts';

const test = suite('door');

function statusFor(host: string, head: Partial<RequestHead> = {}): number {
  const given: RequestHead = {
    method: 'GET',
    url: '/api/v1.0/progress',
    headers: { host },
    rawHeaders: ['Host', host],
    ...head,
  };
  try {
    admit(given, { host: 'Printer.local', token: undefined });
    return 200;
  } catch (thrown) {
    if (thrown instanceof HttpError) return thrown.status;
    throw thrown;
  }
}

for (const [host, expected] of [
  ['printer.local', 200],
  ['PRINTER.LOCAL:12315', 200],
  ['printer.local:', 200],
  ['printer.local.evil.example', 403],
  ['evil-printer.local', 403],
  ['printer.local.', 403],
  ['printer.local:12315:1', 403],
  ['printer.local:123456', 403],
  ['', 403],
  ['[::1', 403],
  ['::1', 403],
  ['1.2.3.4.5', 403],
  ['0x7f000001', 403],
] as const)
  test(`Host "${host}": ${expected}`, () => assert.is(statusFor(host), expected));

test('one path may take two methods, and a third is told both', () => {
  const policy = { host: 'printer.local', token: undefined };
  const head = (method: string): RequestHead => ({
    method,
    url: '/api/v1.0/audit',
    headers: { host: 'printer.local' },
    rawHeaders: ['Host', 'printer.local'],
  });
  assert.is(admit(head('GET'), policy), 'audit');
  assert.is(admit(head('POST'), policy), 'startAudit');
  try {
    admit(head('PUT'), policy);
    assert.unreachable();
  } catch (thrown) {
    assert.instance(thrown, HttpError);
    const { status, headers } = thrown as HttpError;
    assert.equal([status, headers], [405, { Allow: 'GET, HEAD, POST' }]);
  }
});

test('a page that the updater served itself may come back, by the name it was served under', () => {
  const post = (origin: string) =>
    statusFor('printer.local:12315', {
      method: 'POST',
      url: '/api/v1.0/cancel',
      headers: { host: 'printer.local:12315', origin },
    });
  assert.is(post('http://printer.local:12315'), 200);
  assert.is(post('http://printer.local'), 403);
  assert.is(post('https://printer.local:12315'), 403);
  assert.is(post('http://printer.local:12315.evil.example'), 403);
});

test.run();
