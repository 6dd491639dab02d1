/** The real Net against real sockets on loopback: heads, bodies, aborts. */
import type { ServerResponse } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../../src/errors.ts';
import { realNet } from '../../src/host/net.ts';
import { limits } from '../../src/limits.ts';
import { ask, failure, servers, textOf } from '../network/net-rig.ts';

const { serve, listening, closeAll } = servers();
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

/** A server that answers each connection's request with what `answer` writes. */
async function answering(answer: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined); // the client may leave first
    socket.once('data', () => answer(socket));
  });
  return `http://127.0.0.1:${await listening(server)}/`;
}

const hint = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
const final = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

for (const isBulk of [false, true]) {
  const reads = isBulk ? 'bulk reads' : 'the parser';

  test(`informational answers before the final one are passed over, up to their limit: ${reads}`, async () => {
    const mixed = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n';
    for (const before of [hint, mixed, hint.repeat(limits.informationalAnswers)]) {
      const url = await answering((socket) => void socket.write(before + final));
      const response = await ask(url, { isBulk });
      assert.is(response.status, 200);
      assert.is(await textOf(response), 'ok');
    }
    const url = await answering((socket) => socket.end(hint.repeat(limits.informationalAnswers + 1) + final));
    assert.is(errno(await failure(() => ask(url, { isBulk }))), 'EPROTO');
  });

  test(`informational answers without end fail the request, and little is done for them: ${reads}`, async () => {
    const many = 'HTTP/1.1 100\r\n\r\n'.repeat(16_000);
    const url = await answering((socket) => {
      const more = () => {
        while (!socket.destroyed) if (!socket.write(many)) return void socket.once('drain', more);
      };
      more();
    });
    const worstMs: number[] = [];
    for (let round = 0; round < 5; round++) {
      const watch = monitorEventLoopDelay({ resolution: 1 });
      watch.enable();
      const error = await failure(() => ask(url, { isBulk }));
      await new Promise((resolve) => setTimeout(resolve, 5));
      worstMs.push(watch.max / 1e6);
      watch.disable();
      assert.is(errno(error), 'EPROTO');
      assert.match(error.message, /more than 20 informational answers \(1xx\) before the final one/);
    }
    // The best of them: the machine may be busy.
    assert.ok(Math.min(...worstMs) < 20, `the event loop was blocked for ${worstMs.join(', ')} ms`);
  });

  test(`slow informational answers do not extend the time for the head: ${reads}`, async () => {
    const url = await answering((socket) => {
      const beat = setInterval(() => socket.write(hint), 20);
      socket.on('close', () => clearInterval(beat));
    });
    const begunMs = performance.now();
    const error = await failure(() => ask(url, { isBulk, headTimeoutMs: 150 }));
    assert.is(errno(error), 'ETIMEDOUT');
    assert.match(error.message, /no answer within 150 ms/);
    assert.ok(performance.now() - begunMs < 1_000);
  });
}

test('informational answers without end by a proxy fail the request too', async () => {
  const proxy = await answering((socket) => void socket.write(hint.repeat(1_000)));
  const environment = { http_proxy: proxy, https_proxy: proxy };
  const code = async (url: string) => errno(await failure(() => ask(url, {}, { environment })));
  assert.is(await code('http://store.invalid/'), 'EPROTO');
  // To CONNECT the first answer is the final one.
  assert.is(await code('https://store.invalid/'), 'ERR_PROXY_TUNNEL');
});

test('connect: somebody listens, nobody listens, nobody answers', async () => {
  const net = realNet({ environment: {} });
  const port = await serve(() => undefined);
  await net.connect('127.0.0.1', port, 1_000);
  closeAll();
  assert.is(errno(await failure(() => net.connect('127.0.0.1', port, 1_000))), 'ECONNREFUSED');
});

test.run();
