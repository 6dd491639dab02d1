/**
 * The Net port on node:http and node:https, loaded when first used (fetch needs WebAssembly, which the memory flags turn off).
 * Rejections keep the system's `code`; nothing of a URL beyond host and port enters an error text: pre-signed URLs are secrets.
 */

import type { ClientRequest, IncomingMessage } from 'node:http';
import { connect as connectSocket, isIP, type Socket } from 'node:net';
import { errorText } from '../errors.ts';
import type { HttpRequest, HttpResponse, Net } from './host.ts';
import { parsedBody, systemError } from './net-body.ts';
import { bulkConnection } from './net-bulk.ts';
import { type AnswerConnection, boundInformational, parsedConnection } from './net-head.ts';
import { type ProxyTarget, proxyFor, socketHost, socketPort } from './net-proxy.ts';
import { secureContexts, type TlsFiles } from './net-secure.ts';

export interface NetOptions extends TlsFiles {
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY, upper or lower case, are taken from here. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Told of the short-lived buffers that bodies are made of, as Memory.produced. */
  readonly produced?: (bytes: number) => void;
  /** Told before the TLS handshake of a bulk request: it touches 9 MB of the executable's pages at once, where most is in use already. */
  readonly beforeBulkHandshake?: () => void;
}

interface OwnOptions extends NetOptions {
  readonly contextOf: ReturnType<typeof secureContexts>;
}

/** Happy eyeballs gives up an address after 250 ms by default, less than one round trip of a poor mobile link. */
const addressAttemptMs = 2_000;

/** The real network. PEM files are read anew for each TLS connection, so that a renewed certificate is picked up. */
export function realNet(options: NetOptions): Net {
  const own = { ...options, contextOf: secureContexts(options) };
  return { request: (asked) => request(own, asked), connect };
}

async function request(options: OwnOptions, asked: HttpRequest): Promise<HttpResponse> {
  const produced = options.produced ?? (() => undefined);
  const stop = new AbortController();
  const pass = () => stop.abort(asked.signal?.reason);
  if (asked.signal?.aborted) pass();
  asked.signal?.addEventListener('abort', pass, { once: true });
  const late = setTimeout(() => {
    stop.abort(systemError('ETIMEDOUT', `no answer within ${asked.headTimeoutMs} ms`));
  }, asked.headTimeoutMs);
  try {
    const connection = asked.isBulk ? bulkConnection(produced) : parsedConnection();
    const incoming = await headOf(options, asked, connection, stop.signal);
    incoming.once('close', () => asked.signal?.removeEventListener('abort', pass));
    const ends = [asked.stallTimeoutMs, stop.signal] as const;
    return {
      status: incoming.statusCode ?? 0,
      headers: headersOf(incoming),
      body: connection.body(incoming, ...ends) ?? parsedBody(incoming, ...ends, produced),
      discard: () => incoming.destroy(),
    };
  } catch (thrown) {
    asked.signal?.removeEventListener('abort', pass);
    throw spokenError(thrown);
  } finally {
    clearTimeout(late);
  }
}

/** Sends the request, directly or by the proxy, and waits for the head of the answer. */
async function headOf(
  { environment, contextOf, beforeBulkHandshake }: OwnOptions,
  asked: HttpRequest,
  connection: AnswerConnection,
  stop: AbortSignal,
): Promise<IncomingMessage> {
  const url = new URL(asked.url);
  // Node takes it for none, and would ask the scheme's usual port.
  if (url.port === '0') throw systemError('EADDRNOTAVAIL', 'port 0 cannot be asked');
  const { socketPath, localPort } = asked;
  const proxy = socketPath === undefined ? proxyFor(url, environment) : undefined;
  const target = {
    method: asked.method,
    host: socketHost(url),
    port: socketPort(url),
    path: `${url.pathname}${url.search}`,
    headers: { host: url.host, ...asked.headers },
    autoSelectFamilyAttemptTimeout: addressAttemptMs,
  };
  const isSecure = url.protocol === 'https:' || proxy?.protocol === 'https:';
  if (isSecure && asked.isBulk) beforeBulkHandshake?.();
  if (url.protocol === 'https:') {
    const https = await import('node:https');
    const tls = await import('node:tls');
    const secureContext = await contextOf(tls);
    const secure = { ...target, secureContext, servername: serverName(url) };
    if (proxy === undefined) {
      const createConnection = connection.open(tls.connect);
      return answerTo(() => https.request({ ...secure, createConnection }), asked.body, connection, stop);
    }
    const socket = await tunnel(proxy, url, stop);
    const { host, servername } = secure;
    return answerTo(
      () =>
        https.request({
          ...secure,
          createConnection: () => tls.connect({ socket, host, servername, secureContext }),
        }),
      asked.body,
      undefined,
      stop,
    );
  }
  const plain = { ...target, socketPath, localPort, ...(proxy && byProxy(proxy, url, target.headers)) };
  if (proxy?.protocol === 'https:') {
    const https = await import('node:https');
    return answerTo(() => https.request({ ...plain, agent: false }), asked.body, undefined, stop);
  }
  const http = await import('node:http');
  const createConnection = connection.open(connectSocket);
  return answerTo(() => http.request({ ...plain, createConnection }), asked.body, connection, stop);
}

/** What a request for a plain http URL has otherwise when it goes to a proxy (RFC 9112 section 3.2.2). */
function byProxy(proxy: ProxyTarget, url: URL, headers: Record<string, string>) {
  const { hostname: host, port } = proxy;
  return { host, port, path: url.href, headers: { ...headers, ...proxyHeaders(proxy) } };
}

/** Resolves with the head of the answer; an abort destroys the request and rejects with the signal's reason. */
function answerTo(
  open: () => ClientRequest,
  body: string | undefined,
  connection: AnswerConnection | undefined,
  stop: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    if (stop.aborted) return reject(stop.reason);
    const sent = open();
    const abandon = () => {
      reject(stop.reason);
      sent.destroy();
    };
    stop.addEventListener('abort', abandon, { once: true });
    boundInformational(sent);
    sent.on('response', (incoming) => {
      stop.removeEventListener('abort', abandon);
      connection?.answered(incoming);
      resolve(incoming);
    });
    // Stays attached: trouble after the head reaches the body's reader by the response itself.
    sent.on('error', (error) => {
      stop.removeEventListener('abort', abandon);
      reject(error);
    });
    sent.end(body);
  });
}

/** A connection through the proxy to the host of an https URL (CONNECT, RFC 9110 section 9.3.6). */
async function tunnel(proxy: ProxyTarget, url: URL, stop: AbortSignal): Promise<Socket> {
  const module = proxy.protocol === 'https:' ? await import('node:https') : await import('node:http');
  const authority = `${url.hostname}:${socketPort(url)}`;
  return new Promise((resolve, reject) => {
    if (stop.aborted) return reject(stop.reason);
    const sent = module.request({
      method: 'CONNECT',
      host: proxy.hostname,
      port: proxy.port,
      path: authority,
      headers: { host: authority, ...proxyHeaders(proxy) },
      agent: false,
    });
    const abandon = () => {
      reject(stop.reason);
      sent.destroy();
    };
    stop.addEventListener('abort', abandon, { once: true });
    // Called with the first answer of any kind: there is no informational one to CONNECT.
    sent.on('connect', (answer, socket: Socket) => {
      stop.removeEventListener('abort', abandon);
      if (answer.statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(refusal(proxy, answer.statusCode));
    });
    sent.on('response', (answer) => {
      reject(refusal(proxy, answer.statusCode));
      sent.destroy();
    });
    sent.on('error', reject);
    sent.end();
  });
}

function refusal(proxy: ProxyTarget, status: number | undefined): Error {
  return systemError(
    'ERR_PROXY_TUNNEL',
    `proxy ${proxy.hostname}:${proxy.port} answers HTTP ${status} to CONNECT`,
  );
}

function proxyHeaders(proxy: ProxyTarget): Record<string, string> {
  return proxy.authorization === undefined ? {} : { 'proxy-authorization': proxy.authorization };
}

/** SNI carries names only (RFC 6066 section 3); an address is checked against the certificate by `host`. */
function serverName(url: URL): string {
  return isIP(socketHost(url)) === 0 ? url.hostname : '';
}

function headersOf(incoming: IncomingMessage): Record<string, string | undefined> {
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(incoming.headers))
    headers[name] = Array.isArray(value) ? value.join(', ') : value;
  return headers;
}

/** When every address of a host failed, Node's error has no words of its own; it is given those of its parts. */
function spokenError(thrown: unknown): unknown {
  if (!(thrown instanceof AggregateError) || thrown.message !== '') return thrown;
  const parts = thrown.errors.map(errorText);
  thrown.message = parts.join('; ');
  return thrown;
}

function connect(host: string, port: number, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ host, port, timeout: timeoutMs });
    socket.on('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.on('timeout', () =>
      socket.destroy(systemError('ETIMEDOUT', `no connection within ${timeoutMs} ms`)),
    );
    socket.on('error', (error) => reject(spokenError(error)));
  });
}
