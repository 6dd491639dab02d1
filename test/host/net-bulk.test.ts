/** Large bodies read past the HTTP parser: the same bytes and the same failures as with it, whatever way they come in. */
import { createServer as createTcpServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../../src/errors.ts';
import type { HttpResponse } from '../../src/host/host.ts';
import { makeCertificates } from '../network/certificates.ts';
import { ask, failure, servers } from '../network/net-rig.ts';
import { skipped } from '../network/rig.ts';

const { listening, closeAll } = servers();
const test = suite('bulk reads');
test.after.each(closeAll);

/** A server that answers each connection's request with what `answer` writes. */
async function answering(answer: (socket: Socket) => void): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.setNoDelay();
    socket.on('error', () => undefined); // the client may leave first
    socket.once('data', () => answer(socket));
  });
  return `http://127.0.0.1:${await listening(server)}/`;
}

/** Bytes that tell their position. */
function pattern(lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at++) bytes[at] = (at * 31 + (at >> 8) * 7 + (at >> 16)) & 255;
  return bytes;
}

async function bodyOf(
  response: HttpResponse,
  pause: (chunk: number) => Promise<void> = async () => undefined,
): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of response.body) {
    await pause(parts.length); // the chunk must still stand when more has arrived
    parts.push(Buffer.from(chunk));
  }
  return Buffer.concat(parts);
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

test('what reads leave to the collector is told of, as nothing else of a large download is', async () => {
  const content = pattern(1024 * 1024);
  const url = await answering((socket) => {
    socket.end(
      Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n`), content]),
    );
  });
  let told = 0;
  const produced = (bytes: number) => {
    told += bytes;
  };
  const response = await ask(url, { isBulk: true }, { produced });
  assert.equal(await bodyOf(response), content);
  // Some garbage for each read, of 256 KiB at most; the bytes themselves are in buffers that are used again.
  assert.ok(told >= 4 * 1024 && told < content.length, `${told}`);
});

test('an answer cut into two pieces at every position is read whole', async () => {
  const content = pattern(40);
  const heads = [
    'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 206 Partial Content\r\nContent-Length: 40\r\n\r\n',
  ];
  for (const head of heads) {
    const answer = Buffer.concat([Buffer.from(head), content]);
    for (let cut = 1; cut < answer.length; cut++) {
      const url = await answering((socket) => {
        socket.write(answer.subarray(0, cut));
        setImmediate(() => socket.write(answer.subarray(cut)));
      });
      const response = await ask(url, { isBulk: true });
      assert.equal(await bodyOf(response), content, `cut at ${cut} of ${JSON.stringify(head)}`);
      closeAll();
    }
  }
});

test('every framing gives the same body with and without bulk reads', async () => {
  const content = pattern(700_000);
  const hex = content.length.toString(16);
  const tail = Buffer.from('\r\n0\r\n\r\n');
  const answers: Record<string, Buffer[]> = {
    'a declared length': [
      Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n`),
      content,
    ],
    'bytes after the end': [
      Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\nConnection: close\r\n\r\n`),
      content,
      Buffer.from('more than was promised'),
    ],
    chunks: [Buffer.from(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${hex}\r\n`), content, tail],
    'the end of the connection': [Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), content],
    'nothing at all': [Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')],
    'a refusal': [Buffer.from('HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope')],
  };
  for (const [what, parts] of Object.entries(answers)) {
    const url = await answering((socket) => void socket.end(Buffer.concat(parts)));
    const [plain, bulk] = [await ask(url), await ask(url, { isBulk: true })];
    assert.is(bulk.status, plain.status, what);
    assert.equal(bulk.headers, plain.headers, what);
    assert.equal(await bodyOf(bulk), await bodyOf(plain), what);
  }
});

test('a slow reader gets every byte, and its chunk is not read over', async () => {
  const content = pattern(5_000_000);
  const url = await answering((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n`);
    socket.write(content);
  });
  for (const slow of [
    (chunk: number) => (chunk % 4 === 0 ? sleep(20) : Promise.resolve()),
    () => sleep(1),
    () => new Promise<void>((resolve) => setImmediate(resolve)),
  ]) {
    const body = await bodyOf(await ask(url, { isBulk: true }), slow);
    assert.ok(body.equals(content), `${body.length} of ${content.length} bytes, or others`);
  }
});

test('a body in small pieces is given on while it comes', async () => {
  const content = pattern(2_000);
  const url = await answering(async (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n`);
    for (let at = 0; at < content.length; at += 500) {
      socket.write(content.subarray(at, at + 500));
      await sleep(20);
    }
  });
  let chunks = 0;
  const body = await bodyOf(await ask(url, { isBulk: true }), async () => {
    chunks += 1;
  });
  assert.equal(body, content);
  assert.ok(chunks > 1, 'all came at once');
});

test('what came before a break is given, then the break; also when the reader was busy', async () => {
  const content = pattern(150_000);
  const endings: Record<string, (socket: Socket) => void> = {
    end: (socket) => void socket.end(),
    reset: (socket) => void setTimeout(() => socket.resetAndDestroy(), 50),
  };
  for (const [how, end] of Object.entries(endings)) {
    for (const pauseMs of [0, 100]) {
      const url = await answering((socket) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n');
        socket.write(content, () => end(socket));
      });
      const parts: Buffer[] = [];
      const error = await failure(async () => {
        for await (const chunk of (await ask(url, { isBulk: true })).body) {
          parts.push(Buffer.from(chunk));
          await sleep(pauseMs);
        }
      });
      assert.is(errno(error), 'ECONNRESET', how);
      const got = Buffer.concat(parts);
      assert.ok(got.equals(content.subarray(0, got.length)), how);
      if (how === 'end') assert.is(got.length, content.length);
    }
  }
});

test('silence is a stall only while the reader waits', async () => {
  const url = await answering((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n');
    socket.write(pattern(100));
    setTimeout(() => socket.write(pattern(50)), 250);
  });
  for (const isBulk of [true, false]) {
    const got: number[] = [];
    const error = await failure(async () => {
      for await (const chunk of (await ask(url, { isBulk, stallTimeoutMs: 120 })).body) {
        got.push(chunk.length);
        if (got.length === 1) await sleep(300);
      }
    });
    assert.is(errno(error), 'ETIMEDOUT');
    assert.equal(got, [100, 50], 'busy for longer than a stall, the reader still gets what came');
  }
});

test('an abort ends the body with its reason', async () => {
  const url = await answering((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n');
    socket.write(pattern(100));
  });
  const stop = new AbortController();
  const response = await ask(url, { isBulk: true, signal: stop.signal });
  setTimeout(() => stop.abort(new Error('enough')), 20);
  const error = await failure(() => bodyOf(response));
  assert.match(String(error), /enough/);
});

test('TLS: quick and slow readers get every byte', async () => {
  const made = makeCertificates();
  if (made === undefined) return skipped('bulk reads over TLS', 'no openssl program');
  const content = pattern(3_000_000);
  const server = createTlsServer({ cert: made.server.cert, key: made.server.key }, (socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n`);
      socket.write(content);
    });
  });
  const url = `https://localhost:${await listening(server)}/`;
  for (const pauseMs of [0, 15]) {
    const response = await ask(url, { isBulk: true }, { caFile: made.caFile });
    const body = await bodyOf(response, () => sleep(pauseMs));
    assert.ok(body.equals(content), `${body.length} of ${content.length} bytes, or others`);
  }
  made.remove();
});

test.run();
