/** The real Net against real sockets on loopback: heads, bodies, aborts. */
import type { ServerResponse } from 'node:http';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../../src/errors.ts';
import { realNet } from '../../src/host/net.ts';
import { ask, failure, servers, textOf } from '../network/net-rig.ts';

const { serve, closeAll } = servers();
const test = suite('net');
test.after.each(closeAll);

test('a request arrives as asked, the answer as sent; no redirect is followed', async () => {
  const got: string[] = [];
  const port = await serve((request, response) => {
    request.on('data', (chunk: Buffer) => got.push(chunk.toString()));
    request.on('end', () => {
      got.push(`${request.method} ${request.url} ${request.headers['x-a']} ${request.headers.connection}`);
      response.writeHead(302, { location: '/b', 'set-cookie': ['a=1', 'b=2'] }).end('moved');
    });
  });
  const url = `http://127.0.0.1:${port}/a?b=c#d`;
  const response = await ask(url, { method: 'POST', headers: { 'x-a': 'y' }, body: '{"ä":1}' });
  assert.equal(got, ['{"ä":1}', 'POST /a?b=c y close']);
  assert.is(response.status, 302);
  assert.is(response.headers.location, '/b');
  assert.is(response.headers['set-cookie'], 'a=1, b=2');
  assert.is(await textOf(response), 'moved');
});

test('a PUT carries its body', async () => {
  const port = await serve(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    response.end(`${request.method} ${body}`);
  });
  const response = await ask(`http://127.0.0.1:${port}/`, { method: 'PUT', body: '{}' });
  assert.is(await textOf(response), 'PUT {}');
});

test('IPv6 works', async () => {
  const port = await serve((_, response) => response.end('six'), '::1');
  assert.is(await textOf(await ask(`http://[::1]:${port}/`)), 'six');
});

test('port 0 is asked nowhere', async () => {
  assert.is(errno(await failure(() => ask('http://127.0.0.1:0/'))), 'EADDRNOTAVAIL');
});

test("a large body comes at the reader's pace", async () => {
  const sizeBytes = 40_000_000;
  let taken = 0;
  const port = await serve((_, response) => {
    const chunk = Buffer.alloc(65_536);
    const more = () => {
      while (taken < sizeBytes) {
        taken += chunk.length;
        if (!response.write(chunk)) return void response.once('drain', more);
      }
      response.end();
    };
    more();
  });
  const response = await ask(`http://127.0.0.1:${port}/`);
  let read = 0;
  for await (const chunk of response.body) {
    if (read === 0) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.ok(taken < sizeBytes / 2, `${taken} bytes were taken although nobody read`);
    }
    read += chunk.length;
  }
  assert.is(read, taken);
});

test('nobody listens: the system code, in words', async () => {
  const port = await serve(() => undefined);
  closeAll();
  const error = await failure(() => ask(`http://localhost:${port}/`));
  assert.is(errno(error), 'ECONNREFUSED');
  assert.match(error.message, /ECONNREFUSED/);
});

test('an unknown host is a failure with its code', async () => {
  const error = await failure(() => ask('http://no-such-host.invalid/'));
  assert.match(errno(error) ?? '', /^(ENOTFOUND|EAI_AGAIN|ETIMEDOUT)$/);
});

test('no head in time', async () => {
  const port = await serve(() => undefined);
  const error = await failure(() => ask(`http://127.0.0.1:${port}/`, { headTimeoutMs: 60 }));
  assert.is(errno(error), 'ETIMEDOUT');
  assert.match(error.message, /no answer within 60 ms/);
});

const breaks: readonly (readonly [string, (response: ServerResponse) => void, string])[] = [
  ['silence', (response) => void response.write('x'), 'ETIMEDOUT'],
  [
    'an end before Content-Length',
    (response) => void response.write('x', () => response.socket?.end()),
    'ECONNRESET',
  ],
  ['a reset', (response) => void response.write('x', () => response.socket?.resetAndDestroy()), 'ECONNRESET'],
];
for (const [name, act, code] of breaks) {
  test(`a body that breaks off by ${name} throws`, async () => {
    const port = await serve((_, response) => {
      response.writeHead(200, { 'content-length': '10' });
      act(response);
    });
    const response = await ask(`http://127.0.0.1:${port}/`, { stallTimeoutMs: 80 });
    assert.is(errno(await failure(() => textOf(response))), code);
  });
}

test('a chunked body that breaks off throws; one closed without any length ends', async () => {
  const port = await serve((request, response) => {
    const head = request.url === '/chunked' ? 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n' : '\r\nabc';
    response.socket?.end(`HTTP/1.1 200 OK\r\nConnection: close\r\n${head}`);
  });
  const error = await failure(async () => textOf(await ask(`http://127.0.0.1:${port}/chunked`)));
  assert.is(errno(error), 'ECONNRESET');
  assert.is(await textOf(await ask(`http://127.0.0.1:${port}/plain`)), 'abc');
});

test('an answer that is no HTTP is a failure with a code', async () => {
  const port = await serve((request) => void request.socket.end('SSH-2.0-x\r\n'));
  assert.match(errno(await failure(() => ask(`http://127.0.0.1:${port}/`))) ?? '', /^HPE_/);
});

test('an abort ends the head and the body with its own reason', async () => {
  const port = await serve((request, response) => {
    if (request.url === '/body') response.write('x');
  });
  const reason = new Error('enough');
  for (const path of ['/head', '/body']) {
    const stop = new AbortController();
    setTimeout(() => stop.abort(reason), 50);
    const act = async () => textOf(await ask(`http://127.0.0.1:${port}${path}`, { signal: stop.signal }));
    assert.is(await failure(act), reason);
  }
  const aborted = AbortSignal.abort(reason);
  assert.is(await failure(() => ask(`http://127.0.0.1:${port}/`, { signal: aborted })), reason);
});

test('giving a body up closes the connection', async () => {
  let closed: () => void = () => undefined;
  const gone = new Promise<void>((resolve) => {
    closed = resolve;
  });
  const port = await serve((_, response) => {
    response.on('close', closed);
    response.write('x');
  });
  (await ask(`http://127.0.0.1:${port}/`)).discard();
  await gone;
  for await (const chunk of (await ask(`http://127.0.0.1:${port}/`)).body) {
    assert.is(chunk.length, 1);
    break;
  }
});

test('connect: somebody listens, nobody listens, nobody answers', async () => {
  const net = realNet({ environment: {} });
  const port = await serve(() => undefined);
  await net.connect('127.0.0.1', port, 1_000);
  closeAll();
  assert.is(errno(await failure(() => net.connect('127.0.0.1', port, 1_000))), 'ECONNREFUSED');
});

test.run();
