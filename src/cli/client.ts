/**
 * The daemon's API as the commands see it, over TCP or a unix socket. A CommandError with exit status 3 where nobody answers,
 * says how to start one; one with status 1 carries the daemon's own refusal.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type * as v from 'valibot';
import type { AuditState } from '../audit/audit-report.ts';
import { type Flags, UsageError } from '../config.ts';
import type { PackageRequest } from '../download/request.ts';
import { errno, errorText } from '../errors.ts';
import type { HistoryEntry } from '../history.ts';
import { realClock } from '../host/clock.ts';
import type { HttpResponse, Net } from '../host/host.ts';
import { realNet } from '../host/net.ts';
import type { EventSchema } from '../http/contract.ts';
import type { Versions } from '../installed.ts';
import { limits } from '../limits.ts';
import type { FleetRequest, FleetState } from '../updater/fleet-state.ts';
import type { Progress, UpdateRequest } from '../updater/state.ts';
import { CommandError } from './failure.ts';
import { textFlag } from './flags.ts';
import { startCommand } from './start-command.ts';
import { readToken } from './token.ts';

/** What GET /events tells of every change. */
export type ProgressEvent = v.InferOutput<typeof EventSchema>;

export interface Client {
  /** Where the daemon is, for messages. */
  readonly place: string;
  current(): Promise<ProgressEvent>;
  /** The current state, then every change as it happens; ends or rejects when the daemon goes away. */
  events(): AsyncGenerator<ProgressEvent>;
  history(): Promise<readonly HistoryEntry[]>;
  /** Undefined: the daemon that answers is one of before and cannot tell. */
  versions(): Promise<Versions | undefined>;
  download(request: PackageRequest): Promise<string>;
  update(request: UpdateRequest): Promise<string>;
  rollback(version: string | undefined): Promise<string>;
  cancel(): Promise<string>;
  audit(): Promise<AuditState>;
  startAudit(repair: boolean): Promise<string>;
  fleet(): Promise<FleetState>;
  askFleet(request: FleetRequest): Promise<FleetState>;
}

interface Envelope {
  readonly code: number;
  readonly msg: string;
  readonly data?: unknown;
}

interface Target {
  readonly place: string;
  readonly url: string;
  readonly socketPath: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly tokenFile: string | undefined;
}

/** An answer comes at once; a cancel waits for the end of what it cancels. */
const answerTimeoutMs = 30_000;

/** The client for `--url`, `--socket` and `--token-file`. */
export async function clientOf(flags: Flags): Promise<Client> {
  const target = await targetOf(flags);
  const net = realNet({ environment: {} });
  const call = async (method: 'GET' | 'POST', name: string, body?: object) => {
    const envelope = await exchange(net, target, method, name, body);
    if (envelope.code !== 200 && name !== 'progress') throw new CommandError(envelope.msg);
    return envelope.data;
  };
  const status = async (name: string, body: object) =>
    ((await call('POST', name, body)) as { status: string }).status;
  const watch = () => events(net, target, async () => (await call('GET', 'progress')) as Progress);
  return {
    place: target.place,
    current: async () => {
      for await (const event of watch()) return event;
      throw new CommandError(`${target.place} does not tell its state`);
    },
    events: watch,
    history: async () => ((await call('GET', 'history')) as { updates: HistoryEntry[] }).updates,
    versions: async () =>
      (await call('GET', 'versions').catch((thrown: unknown) => {
        if (thrown instanceof CommandError && thrown.message.includes('NOT_FOUND')) return undefined;
        throw thrown;
      })) as Versions | undefined,
    download: (request) => status('download', request),
    update: (request) => status('update', request),
    rollback: (version) => status('rollback', version === undefined ? {} : { version }),
    cancel: () => status('cancel', {}),
    audit: async () => (await call('GET', 'audit')) as AuditState,
    startAudit: (repair) => status('audit', { repair }),
    fleet: async () => (await call('GET', 'fleet')) as FleetState,
    askFleet: async (request) => (await call('POST', 'fleet', request)) as FleetState,
  };
}

/** A daemon that was started just now needs a second before it answers: the action again, for up to five. */
export async function onceThere<T>(action: () => Promise<T>): Promise<T> {
  const clock = realClock();
  const lastMs = clock.elapsed() + 5_000;
  for (;;) {
    try {
      return await action();
    } catch (thrown) {
      const isRefused =
        thrown instanceof Error && ['ECONNREFUSED', 'ENOENT'].includes(errno(thrown.cause) ?? '');
      if (!isRefused || clock.elapsed() > lastMs) throw thrown;
      await sleep(200);
    }
  }
}

async function targetOf(flags: Flags): Promise<Target> {
  const socketPath = textFlag(flags, 'socket');
  const given = textFlag(flags, 'url');
  if (socketPath !== undefined && given !== undefined)
    throw new UsageError('--url and --socket: only one of them says where the daemon is');
  const url = socketPath === undefined ? (given ?? 'http://127.0.0.1:12315') : 'http://localhost';
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new UsageError(`--url: must be an http or https URL, not "${url}"`);
  const tokenFile = textFlag(flags, 'token-file');
  const headers = tokenFile === undefined ? {} : { authorization: `Bearer ${await readToken(tokenFile)}` };
  return { place: socketPath ?? url, url, socketPath, headers, tokenFile };
}

async function exchange(
  net: Net,
  target: Target,
  method: 'GET' | 'POST',
  name: string,
  body: object | undefined,
): Promise<Envelope> {
  const { response, text } = await reached(target, async () => {
    const response = await send(net, target, method, name, body);
    return { response, text: await textOf(response) };
  });
  const envelope = parsedEnvelope(text);
  if (envelope === undefined) throw notOurs(target, response);
  if (response.status === 401) throw new CommandError(tokenText(target));
  if (response.status !== 200) throw new CommandError(`${target.place}: ${envelope.msg}`);
  return envelope;
}

function tokenText({ place, tokenFile }: Target): string {
  return tokenFile === undefined
    ? `${place} asks for a token: give the daemon's file with --token-file`
    : `${place} refuses the token in ${tokenFile}: it is not the one that the daemon read at its start (its option token_file)`;
}

function notOurs({ place }: Target, { status, discard }: HttpResponse): CommandError {
  discard();
  return new CommandError(`what answers at ${place} is not tope-updater (HTTP ${status}, but not its API)`);
}

/** A failure of the connection is a daemon that does not answer. */
async function reached<T>(target: Target, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (thrown) {
    throw new CommandError(notReachable(target, thrown), 3, { cause: thrown });
  }
}

/** Root's requests go before those of a crowd (http/newcomers.ts): they come from a port that root alone may take. */
async function send(
  net: Net,
  { url, socketPath, headers }: Target,
  method: 'GET' | 'POST',
  name: string,
  body: object | undefined,
): Promise<HttpResponse> {
  const request = {
    method,
    url: `${url.replace(/\/$/, '')}/api/v1.0/${name}`,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(socketPath === undefined ? {} : { socketPath }),
    headTimeoutMs: answerTimeoutMs,
    stallTimeoutMs: Math.max(answerTimeoutMs, 2 * limits.eventHeartbeatMs),
  };
  const isRootHere = process.geteuid?.() === 0 && socketPath === undefined && isLoopback(url);
  for (let tries = isRootHere ? 8 : 0; tries > 0; tries--) {
    const localPort = 512 + Math.floor(Math.random() * 512);
    try {
      return await net.request({ ...request, localPort });
    } catch (thrown) {
      // Others have it, or a container's root may take none: nothing was sent.
      if (!['EADDRINUSE', 'EADDRNOTAVAIL', 'EACCES'].includes(errno(thrown) ?? '')) throw thrown;
    }
  }
  return net.request(request);
}

/** `place`: of a client. */
export function isOnThisMachine(place: string): boolean {
  return place.startsWith('/') || isLoopback(place);
}

function isLoopback(url: string): boolean {
  return /^(localhost|127\.[\d.]+|\[::1\])$/.test(new URL(url).hostname);
}

async function textOf(response: HttpResponse): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > limits.historyBytes) throw new Error('the answer does not end');
  }
  return text;
}

/** Server-sent events; where there are too many watchers already, asking now and then does as well. */
async function* events(
  net: Net,
  target: Target,
  ask: () => Promise<Progress>,
): AsyncGenerator<ProgressEvent> {
  const response = await reached(target, () => send(net, target, 'GET', 'events', undefined));
  const isStream = response.headers['content-type']?.startsWith('text/event-stream');
  if (response.status === 200 && !isStream) throw notOurs(target, response);
  if (response.status === 200) yield* eventsIn(response);
  response.discard();
  for (; response.status !== 200; await sleep(limits.eventTickMs)) yield { ...uncounted, ...(await ask()) };
}

const uncounted = {
  kind: null,
  version: null,
  module: null,
  bytes: 0,
  total_bytes: 0,
  bytes_per_second: null,
  download: null,
};

/** Each block of lines up to an empty one is an event; one without data keeps the connection alive. */
async function* eventsIn(response: HttpResponse): AsyncGenerator<ProgressEvent> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body) {
    const blocks = (text + decoder.decode(chunk, { stream: true })).split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      // A line ends at its LF: U+2028 is text.
      const data = block.split('\n').find((line) => line.startsWith('data: '));
      if (data !== undefined) yield JSON.parse(data.slice('data: '.length)) as ProgressEvent;
    }
  }
}

function notReachable({ place, socketPath }: Target, thrown: unknown): string {
  const system = errno(thrown);
  const why = errorText(thrown);
  if (system === 'EACCES' || system === 'EPERM')
    return `no access to ${place} (${why}): run this as root, or as a member of the socket's group`;
  if (system === 'ECONNRESET')
    return `${place} does not answer (${why}): too many others ask there; what root asks goes before them`;
  const flags = socketPath === undefined ? '' : ` --socket ${socketPath}`;
  return [
    `no daemon answers at ${place} (${why})`,
    `  to start it:  ${startCommand()}`,
    `  or by hand:   tope-updater run --dir /opt/tope/updater${flags}`,
    '  if it listens elsewhere, say where with --url or --socket; tope-updater doctor looks for the cause',
  ].join('\n');
}

function parsedEnvelope(text: string): Envelope | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isEnvelope = typeof value === 'object' && value !== null && 'code' in value && 'msg' in value;
    return isEnvelope ? (value as Envelope) : undefined;
  } catch {
    return undefined;
  }
}
