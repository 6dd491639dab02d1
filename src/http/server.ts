/**
 * The sockets of the HTTP API, their limits, and the way of a request through them (spec section 2): door, body, route, reply.
 * Every reply, also to broken HTTP, is a JSON envelope; a client costs at most one bounded connection for a bounded time.
 */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  type ServerOptions as SocketLimits,
} from 'node:http';
import type { AddressInfo, ListenOptions, Socket } from 'node:net';
import { errno, errorStack } from '../errors.ts';
import type { Clock, Log, Memory } from '../host/host.ts';
import { privilegedPortsEnd } from '../host/listening.ts';
import { boundReceived } from '../host/receive-buffer.ts';
import { listenGuarded, removeStaleSocket } from '../host/unix-socket.ts';
import { limits } from '../limits.ts';
import type { FleetControl } from '../updater/fleet-state.ts';
import type { Updater } from '../updater/state.ts';
import { type Admission, createAdmission } from './admission.ts';
import { readBody } from './body.ts';
import { chunkedRefusal } from './chunked.ts';
import { admit, isDocument } from './door.ts';
import { createEvents, type Events } from './events.ts';
import { HttpError } from './http-error.ts';
import { sendJson } from './reply.ts';
import { answer, type Service } from './routes.ts';
import { documentSender } from './send-document.ts';

export interface ServerOptions {
  readonly host: string;
  /** 0 takes a free one; undefined: no TCP at all. */
  readonly port: number | undefined;
  /** Path of a unix socket, made with mode 0660. */
  readonly socketPath?: string | undefined;
  /** What `Authorization: Bearer` must carry; undefined: nobody is asked. */
  readonly token?: string | undefined;
  /** The program's version, for the OpenAPI document. */
  readonly version: string;
  readonly log: Log;
  /** TCP ports below this are root's to take; as the kernel says unless given. */
  readonly privilegedPortsEnd?: number;
  readonly clock: Clock;
  /** Told of the buffers that are made; without it the collector comes when it likes. */
  readonly memory?: Memory;
  /** Told of each request before it is answered. */
  readonly onRequest?: () => void;
  /** The streams of GET /events, told of every change; without them there are streams that only look now and then. */
  readonly events?: Events;
  /** The fleet's client; undefined: the device belongs to no fleet. */
  readonly fleet?: FleetControl | undefined;
  /** The text of GET /metrics; undefined: there are none. */
  readonly metrics?: () => Promise<string>;
  /** What the buttons of the page offer; without it a rollback. */
  readonly screenActions?: readonly string[] | undefined;
}

export interface RunningServer {
  /** The TCP port, undefined without one. */
  readonly port: number | undefined;
  /** Stops listening, lets the requests in progress end (`limits.serverCloseMs`) and closes every connection. */
  close(): Promise<void>;
}

/** Listens and answers. Rejects with an Error that names the port or the socket that cannot be had; nothing is left open then. */
export async function startServer(updater: Updater, options: ServerOptions): Promise<RunningServer> {
  const admission = createAdmission({ privilegedPortsEnd: privilegedPortsEnd(), ...options });
  const listeners: Listener[] = [];
  const events = options.events ?? createEvents(options.clock, updater.progress);
  const handle = requestHandler(updater, { ...options, events }, admission);
  const open = async (where: ListenOptions, name: string): Promise<Server> => {
    const server = createLimitedServer(handle, admission);
    const closeNewcomers = admission.guard(server);
    await listen(server, where, name);
    if (where.path === undefined) boundReceived(server, limits.receivedBytes);
    // Later failures are of single accepts (too many open files, say): the next may succeed.
    server.on('error', (error) => options.log.error(`${name}: ${error.message}`));
    listeners.push({ server, closeNewcomers });
    return server;
  };
  const closeAll = () =>
    Promise.all(listeners.map((listener) => closeListener(listener, admission, options.clock)));

  try {
    const { host, port, socketPath } = options;
    const tcp = port === undefined ? undefined : await open({ host, port }, `port ${port} of ${host}`);
    if (socketPath !== undefined) {
      await removeStaleSocket(socketPath);
      await open({ path: socketPath }, `the socket ${socketPath}`);
    }
    const close = async () => {
      events.close();
      await closeAll();
    };
    return { port: tcp === undefined ? undefined : (tcp.address() as AddressInfo).port, close };
  } catch (thrown) {
    await closeAll();
    throw thrown;
  }
}

interface Listener {
  readonly server: Server;
  readonly closeNewcomers: () => void;
}

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

const socketLimits: SocketLimits = {
  maxHeaderSize: limits.requestHeaderBytes,
  headersTimeout: limits.requestHeadersMs,
  requestTimeout: limits.requestMs,
  keepAliveTimeout: limits.keepAliveMs,
  // How often the two timeouts above are looked at; Node's 30 s would make 35 s of 5.
  connectionsCheckingInterval: 1_000,
  // The door asks for it itself, with an envelope.
  requireHostHeader: false,
};

function createLimitedServer(handle: Handle, admission: Admission): Server {
  const server = createServer(socketLimits, handle);
  server.timeout = limits.connectionIdleMs;
  // Who has said all (`nc -N`) still waits for the answer.
  (server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;
  // Node's own answer to other expectations than 100-continue is no envelope; they may be ignored (RFC 9110 10.1.1).
  server.on('checkExpectation', handle);
  server.on('clientError', (error, socket) => admission.refuse(error, socket as Socket));
  return server;
}

function listen(server: Server, where: ListenOptions, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      const taken = errno(error) === 'EADDRINUSE' ? `${name} is taken: another program listens there` : '';
      reject(new Error(taken || `cannot listen on ${name}: ${error.message}`, { cause: error }));
    };
    server.once('error', fail);
    const listening = () => {
      server.off('error', fail);
      resolve();
    };
    if (where.path === undefined) server.listen(where, listening);
    else listenGuarded(() => server.listen(where, listening));
  });
}

function closeListener(
  { server, closeNewcomers }: Listener,
  admission: Admission,
  clock: Clock,
): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(limits.serverCloseMs, () => server.closeAllConnections());
    server.close(() => {
      cancel();
      resolve();
    });
    closeNewcomers();
    admission.close();
  });
}

function requestHandler(
  updater: Updater,
  options: ServerOptions & { readonly events: Events },
  admission: Admission,
): Handle {
  const { log, version, clock } = options;
  const policy = { host: options.host, token: options.token };
  const startedMs = clock.elapsed();
  const service: Service = {
    updater,
    fleet: options.fleet,
    log,
    version,
    uptimeMs: () => clock.elapsed() - startedMs,
  };
  const sendDocument = documentSender(options);

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const name = admit(request, policy);
    if (isDocument(name)) return sendDocument(name, request, response);
    const body = request.method === 'POST' ? await readBody(request, limits.requestBodyBytes) : undefined;
    sendJson(response, 200, JSON.stringify(await answer(service, name, body)));
  };
  const isRefused = chunkedRefusal(admission.refuse);
  const handleInTime = (request: IncomingMessage, response: ServerResponse) => {
    const beganMs = clock.elapsed();
    options.onRequest?.();
    handle(request, response)
      .catch((thrown: unknown) => {
        const error = thrown instanceof HttpError ? thrown : unexpected(thrown, log);
        log.debug(`request refused: ${error.message}`);
        sendJson(response, error.status, JSON.stringify(error.envelope), error.headers);
      })
      .finally(() => admission.answered(request, clock.elapsed() - beganMs));
  };
  return (request, response) => {
    if (isRefused(request)) return;
    void admission.began(request, response)?.then(() => handleInTime(request, response));
  };
}

function unexpected(thrown: unknown, log: Log): HttpError {
  log.error(`HTTP server: ${errorStack(thrown)}`);
  return new HttpError(500, 'unexpected failure, see the log');
}
