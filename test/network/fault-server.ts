/**
 * A package store that misbehaves by script: each request is answered by the next step of the script, and honestly
 * once the script is used up. A profile says which validators it sends and how it reads If-Range, so that it can play each
 * row of the table in test/network/servers.test.ts.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import {
  type Entity,
  honestReply,
  type Profile,
  plainProfile,
  type Reply,
  rangeOf,
} from './store-profile.ts';

export type Step =
  | { readonly kind: 'serve' }
  /** The connection ends (FIN or RST) or falls silent after so many bytes of the body. */
  | { readonly kind: 'cut' | 'reset' | 'stall'; readonly afterBytes: number }
  /** No head ever comes. */
  | { readonly kind: 'mute' }
  /** The connection is closed before a head. */
  | { readonly kind: 'hangUp' }
  | { readonly kind: 'garbage' }
  | { readonly kind: 'delay'; readonly ms: number }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  /** A chunked 200 that calls itself text/html. */
  | { readonly kind: 'page'; readonly body: string | Uint8Array }
  | { readonly kind: 'redirect'; readonly status: number; readonly location: string }
  /** A 206 from another offset than asked, told truly or (`lying`) not. */
  | { readonly kind: 'wrongOffset'; readonly shiftBytes: number; readonly lying: boolean }
  | { readonly kind: 'wrongTotal'; readonly extraBytes: number }
  | { readonly kind: 'noContentRange' }
  | { readonly kind: 'ignoreRange' }
  /** A chunked body with more (positive) or fewer (negative) bytes than the file has, ended properly. */
  | { readonly kind: 'chunked'; readonly extraBytes: number }
  /** Content-Length differs from what is sent. */
  | { readonly kind: 'wrongLength'; readonly extraBytes: number }
  | { readonly kind: 'encoded'; readonly coding: string }
  /** From this answer on the file is another version: of the same size, other bytes, other validators. */
  | { readonly kind: 'swap'; readonly version: number };

export interface Seen {
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly status: number;
}

export interface FaultServer {
  readonly port: number;
  readonly url: string;
  readonly seen: Seen[];
  /** Replaces what is left of the script. */
  script(steps: readonly Step[]): void;
  /** Honest from now on, with version 0. */
  heal(): void;
  close(): Promise<void>;
}

export interface FaultServerOptions {
  /** Version 0 is what is served first. */
  readonly versions: readonly Uint8Array[];
  readonly profile?: Profile;
  readonly steps?: readonly Step[];
  readonly tls?: ServerOptions;
  readonly address?: string;
  /** Another ETag with each answer, in place of the version's. */
  readonly etagOf?: () => string;
}

export async function startFaultServer(options: FaultServerOptions): Promise<FaultServer> {
  const profile = options.profile ?? plainProfile;
  const address = options.address ?? '127.0.0.1';
  const seen: Seen[] = [];
  let steps = [...(options.steps ?? [])];
  let version = 0;
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    const step = steps.shift() ?? { kind: 'serve' };
    if (step.kind === 'swap') version = step.version;
    response.on('close', () =>
      seen.push({ url: request.url ?? '', headers: request.headers, status: response.statusCode }),
    );
    // The client may be gone at any time; that is half of what is tested here.
    response.on('error', () => response.destroy());
    const bytes = options.versions[version] ?? new Uint8Array();
    const etag = options.etagOf?.();
    answer(step, profile, { bytes, version, ...(etag ? { etag } : {}) }, request, response);
  };
  const server: Server =
    options.tls === undefined ? createServer(onRequest) : createTlsServer(options.tls, onRequest);
  server.keepAliveTimeout = 1;
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const { port } = server.address() as AddressInfo;
  const scheme = options.tls === undefined ? 'http' : 'https';
  const name = address.includes(':') ? `[${address}]` : address;
  return {
    port,
    url: `${scheme}://${name}:${port}/package.zip`,
    seen,
    script: (next) => {
      steps = [...next];
    },
    heal: () => {
      steps = [];
      version = 0;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(
  step: Step,
  profile: Profile,
  entity: Entity,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const reply = honestReply(profile, entity, request, step.kind === 'ignoreRange');
  const { body, headers } = reply;
  const isPart = reply.status === 206;
  switch (step.kind) {
    case 'serve':
    case 'swap':
    case 'ignoreRange':
      send(response, reply);
      break;
    case 'cut':
    case 'reset':
    case 'stall':
      sendSome(response, reply, step.afterBytes, step.kind);
      break;
    case 'mute':
      break;
    case 'hangUp':
      request.socket.destroy();
      break;
    case 'garbage':
      request.socket.end('SSH-2.0-OpenSSH_9.2p1\r\n');
      break;
    case 'delay':
      setTimeout(() => send(response, reply), step.ms);
      break;
    case 'status':
      send(response, {
        status: step.status,
        headers: { ...step.headers },
        body: Buffer.from(step.body ?? ''),
      });
      break;
    case 'page':
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'transfer-encoding': 'chunked' });
      response.end(step.body);
      break;
    case 'redirect':
      send(response, {
        status: step.status,
        headers: { location: step.location },
        body: new Uint8Array(),
      });
      break;
    case 'wrongOffset': {
      if (!isPart) {
        send(response, reply);
        break;
      }
      const told = entity.bytes.length - body.length;
      const from = Math.min(Math.max(0, told + step.shiftBytes), entity.bytes.length - 1);
      const sent = entity.bytes.subarray(from, step.lying ? from + body.length : undefined);
      if (!step.lying) headers['content-range'] = rangeOf(from, entity.bytes.length);
      headers['content-length'] = String(sent.length);
      send(response, { ...reply, body: sent });
      break;
    }
    case 'wrongTotal': {
      const total = entity.bytes.length + step.extraBytes;
      const first = entity.bytes.length - body.length;
      if (isPart) headers['content-range'] = `bytes ${first}-${entity.bytes.length - 1}/${total}`;
      else headers['content-length'] = String(body.length + step.extraBytes);
      sendSome(response, reply, body.length, 'cut');
      break;
    }
    case 'noContentRange':
      delete headers['content-range'];
      send(response, reply);
      break;
    case 'chunked': {
      delete headers['content-length'];
      const extra = new Uint8Array(Math.max(0, step.extraBytes)).fill(0x5a);
      const kept = body.subarray(0, body.length + Math.min(0, step.extraBytes));
      send(response, { ...reply, body: Buffer.concat([kept, extra]) });
      break;
    }
    case 'wrongLength':
      headers['content-length'] = String(Math.max(0, body.length + step.extraBytes));
      sendSome(response, reply, body.length, 'cut');
      break;
    case 'encoded':
      headers['content-encoding'] = step.coding;
      send(response, reply);
      break;
    default:
      step satisfies never;
  }
}

function send(response: ServerResponse, reply: Reply): void {
  response.writeHead(reply.status, reply.headers);
  response.end(reply.body);
}

function sendSome(
  response: ServerResponse,
  reply: Reply,
  afterBytes: number,
  end: 'cut' | 'reset' | 'stall',
): void {
  // Node would refuse to send more than Content-Length; these lies are the point.
  response.strictContentLength = false;
  response.writeHead(reply.status, reply.headers);
  response.flushHeaders();
  response.write(reply.body.subarray(0, afterBytes), () => {
    if (end === 'cut') response.socket?.end();
    // TLS sockets have no reset of their own; destroyed with data unsent they look much the same.
    if (end === 'reset' && response.socket instanceof TLSSocket) response.socket.destroy();
    else if (end === 'reset') response.socket?.resetAndDestroy();
  });
}
