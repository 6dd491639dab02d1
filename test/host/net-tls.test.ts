/** The real Net through proxies and over TLS, all on loopback. */
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect as connectSocket, createServer as createTcpServer } from 'node:net';
import { dirname, join } from 'node:path';
import tls from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../../src/errors.ts';
import { realNet } from '../../src/host/net.ts';
import { secureContexts } from '../../src/host/net-secure.ts';
import { makeCertificates } from '../network/certificates.ts';
import { ask, failure, servers, textOf } from '../network/net-rig.ts';
import { skipped } from '../network/rig.ts';

const { listening, serve, closeAll } = servers();
const test = suite('net by proxy and TLS');
test.after.each(closeAll);

// ------------------------------------------------------------------------------------------ proxies

/** A proxy that forwards to loopback whatever host was named, and writes down what it was asked. */
async function startProxy(statusForConnect = 200): Promise<{ port: number; asked: string[] }> {
  const asked: string[] = [];
  const note = (request: IncomingMessage) =>
    asked.push(`${request.method} ${request.url} ${request.headers['proxy-authorization'] ?? '-'}`);
  const server = createServer((request, response) => {
    note(request);
    response.end('by proxy');
  });
  server.on('connect', (request, socket) => {
    note(request);
    if (statusForConnect !== 200) return void socket.end(`HTTP/1.1 ${statusForConnect} No\r\n\r\n`);
    const port = Number(/:(\d+)$/.exec(request.url ?? '')?.[1]);
    const onward = connectSocket(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
  });
  return { port: await listening(server), asked };
}

test('http goes through HTTP_PROXY with its credentials; loopback and NO_PROXY do not', async () => {
  const proxy = await startProxy();
  const environment = { HTTP_PROXY: `http://us%20er:pw@127.0.0.1:${proxy.port}`, NO_PROXY: 'direct.invalid' };
  const response = await ask('http://store.invalid/p.zip?x=1', {}, { environment });
  assert.is(await textOf(response), 'by proxy');
  const authorization = `Basic ${Buffer.from('us er:pw').toString('base64')}`;
  assert.equal(proxy.asked, [`GET http://store.invalid/p.zip?x=1 ${authorization}`]);
  const port = await serve((_, answer) => answer.end('direct'));
  assert.is(await textOf(await ask(`http://127.0.0.1:${port}/`, {}, { environment })), 'direct');
  await failure(() => ask('http://direct.invalid/', { headTimeoutMs: 1_000 }, { environment }));
  assert.is(proxy.asked.length, 1);
});

test('a proxy that refuses CONNECT is named with its status', async () => {
  const proxy = await startProxy(407);
  const environment = { https_proxy: `127.0.0.1:${proxy.port}` };
  const error = await failure(() => ask('https://store.invalid/', {}, { environment }));
  assert.is(errno(error), 'ERR_PROXY_TUNNEL');
  assert.is(error.message, `proxy 127.0.0.1:${proxy.port} answers HTTP 407 to CONNECT`);
});

test('a proxy that says nothing is bounded by the head timeout', async () => {
  const environment = { https_proxy: `http://127.0.0.1:${await listening(createTcpServer())}` };
  const error = await failure(() => ask('https://store.invalid/', { headTimeoutMs: 60 }, { environment }));
  assert.is(errno(error), 'ETIMEDOUT');
});

// ------------------------------------------------------------------------------------------ TLS

const certificates = makeCertificates();
if (certificates === undefined) {
  skipped('TLS tests of net', 'no openssl program');
  test.skip('TLS');
} else {
  const { server, future, expired, client, ca, caFile } = certificates;
  test.after(() => certificates.remove());
  const serveTls = (pair: { cert: Buffer; key: Buffer }, extra = {}, address = '127.0.0.1') =>
    listening(
      createTlsServer({ cert: pair.cert, key: pair.key, ...extra }, (_, response) => response.end('secure')),
      address,
    );

  test('https with a CA file, by name, by IPv4 and by IPv6 address', async () => {
    const port = await serveTls(server);
    for (const host of ['localhost', '127.0.0.1'])
      assert.is(await textOf(await ask(`https://${host}:${port}/`, {}, { caFile })), 'secure');
    const six = await serveTls(server, {}, '::1');
    assert.is(await textOf(await ask(`https://[::1]:${six}/`, {}, { caFile })), 'secure');
  });

  test('the handshake of each bulk request is announced; others, and those without TLS, are not', async () => {
    let handshakes = 0;
    const beforeBulkHandshake = () => {
      handshakes += 1;
    };
    const plain = await serve((_, answer) => answer.end('plain'));
    await textOf(await ask(`http://localhost:${plain}/`, { isBulk: true }, { beforeBulkHandshake }));
    const port = await serveTls(server);
    const url = `https://localhost:${port}/`;
    await textOf(await ask(url, {}, { caFile, beforeBulkHandshake }));
    assert.is(handshakes, 0);
    for (const asked of [1, 2]) {
      await textOf(await ask(url, { isBulk: true }, { caFile, beforeBulkHandshake }));
      assert.is(handshakes, asked);
    }
  });

  test('an authority that is not trusted is refused', async () => {
    const port = await serveTls(server);
    const error = await failure(() => ask(`https://localhost:${port}/`));
    assert.is(errno(error), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  });

  test('certificates of another time keep their code', async () => {
    for (const [pair, code] of [
      [future, 'CERT_NOT_YET_VALID'],
      [expired, 'CERT_HAS_EXPIRED'],
    ] as const) {
      const port = await serveTls(pair);
      assert.is(errno(await failure(() => ask(`https://localhost:${port}/`, {}, { caFile }))), code);
    }
  });

  test('a certificate of another host is refused, also through a proxy', async () => {
    const port = await serveTls(server);
    const proxy = await startProxy();
    const environment = { https_proxy: `http://127.0.0.1:${proxy.port}` };
    const url = `https://other.invalid:${port}/`;
    const error = await failure(() => ask(url, {}, { caFile, environment }));
    assert.is(errno(error), 'ERR_TLS_CERT_ALTNAME_INVALID');
  });

  test('mTLS: the client certificate is shown; without it the server refuses', async () => {
    const port = await serveTls(server, { ca, requestCert: true, rejectUnauthorized: true });
    const mine = { clientCertFile: client.certFile, clientKeyFile: client.keyFile };
    assert.is(await textOf(await ask(`https://localhost:${port}/`, {}, { caFile, ...mine })), 'secure');
    const error = await failure(async () => textOf(await ask(`https://localhost:${port}/`, {}, { caFile })));
    assert.match(errno(error) ?? '', /^(ERR_SSL_|ECONNRESET|EPIPE)/);
  });

  test('https goes through HTTPS_PROXY by CONNECT, checked end to end', async () => {
    const named = await serveTls(server);
    const proxy = await startProxy();
    const environment = {
      HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`,
      HTTP_PROXY: 'http://unused.invalid',
    };
    const response = await ask(`https://store.test:${named}/`, {}, { caFile, environment });
    assert.is(await textOf(response), 'secure');
    assert.equal(proxy.asked, [`CONNECT store.test:${named} -`]);
  });

  test('files that hold the same make one context, other ones another: a renewed authority is picked up', async () => {
    const file = join(dirname(caFile), 'renewed.crt');
    writeFileSync(file, server.cert); // signs nothing
    const contextOf = secureContexts({ caFile: file });
    const first = await contextOf(tls);
    assert.is(await contextOf(tls), first);
    const net = realNet({ environment: {}, caFile: file });
    const url = `https://localhost:${await serveTls(server)}/`;
    const asked = { url, method: 'GET', headers: {}, headTimeoutMs: 5_000, stallTimeoutMs: 5_000 } as const;
    assert.ok(errno(await failure(() => net.request(asked))));
    writeFileSync(file, ca);
    assert.is(await textOf(await net.request(asked)), 'secure');
    assert.is.not(await contextOf(tls), first);
  });

  test('a missing CA file is named', async () => {
    const error = await failure(() => ask('https://localhost:1/', {}, { caFile: '/no/such/ca.pem' }));
    // No fault of the network: it is not tried again.
    assert.is(error.message, 'DOWNLOAD_FAILED: ca_file: /no/such/ca.pem cannot be read: ENOENT');
  });
}

test.run();
