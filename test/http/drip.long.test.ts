/** Requests that drip in end with 408 when their time is over, which is half a minute. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realClock } from '../../src/host/clock.ts';
import { startServer } from '../../src/http/server.ts';
import { limits } from '../../src/limits.ts';
import { rawClient } from '../fixtures/raw-client.ts';
import { collectingLog, scriptedUpdater } from '../fixtures/scripted-updater.ts';

const test = suite('requests that drip');

test('headers and bodies that drip are answered 408 within their bounds', async () => {
  const updater = scriptedUpdater();
  const options = { host: '127.0.0.1', port: 0, version: '1.0.0', log: collectingLog(), clock: realClock() };
  const server = await startServer(updater, options);
  const newClient = () => rawClient(server.port ?? 0);
  const [headers, body] = [await newClient(), await newClient()];
  headers.send('GET /api/v1.0/progress HTTP/1.1\r\n');
  body.send(
    'POST /api/v1.0/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n',
  );
  const drip = setInterval(() => {
    headers.send('X-A: 1\r\n');
    body.send(' ');
  }, 250);
  try {
    const started = performance.now();
    assert.match(await headers.closed(limits.requestHeadersMs + 5_000), /^HTTP\/1\.1 408 /);
    assert.match(await body.closed(limits.requestMs + 5_000), /^HTTP\/1\.1 408 /);
    assert.ok(performance.now() - started >= limits.requestMs - 1_000);
    assert.equal(updater.calls, []);
  } finally {
    clearInterval(drip);
    for (const { socket } of [headers, body]) socket.destroy();
    await server.close();
  }
});

test.run();
