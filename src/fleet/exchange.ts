/**
 * One question to the fleet's server: bounded in time and bytes, no redirect followed, nothing logged but method, path and
 * status. The token is read anew for each request. TLS takes native memory that V8 knows nothing of: it is collected after every
 * few requests (19 MB more after a thousand polls otherwise).
 */
import * as v from 'valibot';
import { errno, errorText } from '../errors.ts';
import type { Host, HttpResponse } from '../host/host.ts';
import { systemError } from '../host/system-error.ts';
import { limits } from '../limits.ts';
import { readErrorCode } from './answers.ts';

/** No answer that counts: nobody, a portal, an overloaded or a broken server. It may pass. */
export class ServerFault extends Error {
  override readonly name = 'ServerFault';
  readonly retryAfterMs: number | undefined;
  readonly status: number | undefined;

  constructor(why: string, status?: number, retryAfterMs?: number) {
    super(why);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

export interface Answer {
  /** 2xx, or what decides: 400, 404, 405, 410 and the like. */
  readonly status: number;
  /** Undefined where there was none, or it is no JSON and the status is not 200. */
  readonly body: unknown;
}

export interface Exchange {
  /** Asks below `{fleet_url}/{tenant}/controller/v1/{id}`. Throws a ServerFault. */
  ask(method: 'GET' | 'POST' | 'PUT', path: string, body?: object, maxBytes?: number): Promise<Answer>;
}

export interface ExchangeOptions {
  /** The device's resource, without a slash at its end. */
  readonly base: string;
  /** Undefined: the client certificate says who we are. */
  readonly authorization: () => Promise<string | undefined>;
  readonly signal: AbortSignal;
}

export function createExchange(
  { net, memory, log, clock }: Pick<Host, 'net' | 'memory' | 'log' | 'clock'>,
  options: ExchangeOptions,
): Exchange {
  let count = 0;
  /** The whole exchange has one time: an answer that drips would hold the next poll for days. */
  async function inTime<T>(use: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const ended = new AbortController();
    const pass = () => ended.abort(options.signal.reason);
    if (options.signal.aborted) pass();
    options.signal.addEventListener('abort', pass, { once: true });
    const disarm = clock.after(limits.fleetTimeoutMs, () =>
      ended.abort(systemError('ETIMEDOUT', `the answer is not whole within ${limits.fleetTimeoutMs} ms`)),
    );
    try {
      return await use(ended.signal);
    } finally {
      disarm();
      options.signal.removeEventListener('abort', pass);
    }
  }
  return {
    ask: async (method, path, body, maxBytes = limits.fleetPollBytes) => {
      const what = `${method} ${path.split('?')[0] || '/'}`;
      if (++count % limits.fleetTrimEvery === 0) memory.trim();
      const authorization = await options.authorization();
      let response: HttpResponse;
      let text: string;
      try {
        [response, text] = await inTime(async (signal) => {
          const answer = await net.request({
            method,
            url: `${options.base}${path}`,
            headers: headersOf(authorization, body),
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
            headTimeoutMs: limits.fleetTimeoutMs,
            stallTimeoutMs: limits.fleetTimeoutMs,
            signal,
          });
          return [answer, await textOf(answer, maxBytes, what)];
        });
      } catch (thrown) {
        if (thrown instanceof ServerFault || errno(thrown) === undefined) throw thrown;
        throw new ServerFault(`${what}: ${wordsOf(thrown)}`);
      }
      const { status } = response;
      const json = parsed(text);
      log.debug(`fleet: ${what}: HTTP ${status}`);
      if (isFault(status)) {
        const why = readErrorCode(json);
        throw new ServerFault(
          `${what}: HTTP ${status}${why === undefined ? '' : ` ${why}`}`,
          status,
          retryAfter(response),
        );
      }
      if (method === 'GET' && status === 200 && json === undefined)
        throw new ServerFault(`${what}: the answer is no JSON`);
      return { status, body: json };
    },
  };
}

/** 403 is also a quota of older servers; redirects lead to portals, or to where a token must not go. */
function isFault(status: number): boolean {
  return (
    status < 200 || status >= 500 || (status >= 300 && status < 400) || [401, 403, 408, 429].includes(status)
  );
}

/** Throws a ServerFault that names the first thing that is wrong, not its value: the server's fault, or a portal's in between. */
export function readWith<T>(read: (json: unknown) => T, json: unknown, what: string): T {
  try {
    return read(json);
  } catch (thrown) {
    if (!v.isValiError(thrown)) throw thrown;
    const [issue] = thrown.issues;
    throw new ServerFault(`${what}: ${v.getDotPath(issue) ?? 'the answer'} is not as expected`);
  }
}

function headersOf(authorization: string | undefined, body: object | undefined): Record<string, string> {
  return {
    accept: 'application/json',
    'user-agent': 'tope-updater',
    ...(authorization === undefined ? {} : { authorization }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  };
}

async function textOf(response: HttpResponse, maxBytes: number, what: string): Promise<string> {
  const decoder = new TextDecoder();
  let bytes = 0;
  let text = '';
  for await (const chunk of response.body) {
    bytes += chunk.length;
    if (bytes > maxBytes) {
      response.discard();
      throw new ServerFault(`${what}: the answer has more than ${maxBytes} bytes`, response.status);
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function retryAfter({ headers }: HttpResponse): number | undefined {
  const text = headers['retry-after'] ?? '';
  return /^\d{1,6}$/.test(text) ? Number(text) * 1000 : undefined;
}

function wordsOf(thrown: unknown): string {
  return errorText(thrown).slice(0, 300);
}
