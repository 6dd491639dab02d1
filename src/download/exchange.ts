/**
 * One question to a package store, redirects followed, up to the decision what its answer means.
 *
 * Invariants: every hop is checked by url-policy; Range and If-Range go along with every hop; an answer whose body is not
 * wanted is dropped before the next request.
 */
import { errorText, UpdateError } from '../errors.ts';
import type { Host, HttpResponse } from '../host/host.ts';
import { limits } from '../limits.ts';
import { refusalReason } from './network-error.ts';
import { type Decision, decide, type Question, rangeHeaders } from './resume.ts';
import { type Address, redactUrl, redirectAddress } from './url-policy.ts';

export interface ExchangeOptions {
  /** What Authorization a URL is asked with that brings none of its own; undefined: none. It stays with the origin. */
  readonly authorizationFor?: ((url: URL) => Promise<string | undefined>) | undefined;
  readonly allowHttp: boolean;
  readonly stallTimeoutMs: number;
  readonly signal: AbortSignal;
  /** Told before each request. */
  readonly onRequest?: () => void;
}

export interface Answered {
  readonly response: HttpResponse;
  /** Without secrets. */
  readonly from: string;
  readonly decision: Exclude<Decision, { kind: 'redirect' } | { kind: 'refuse' }>;
}

/**
 * Asks `start` and whoever it redirects to. Rejects with the system error of the network, or with an UpdateError for
 * what is final: a refusal (with the server's reason), a forbidden redirect, more than limits.redirects of them.
 */
export async function exchange(
  host: Pick<Host, 'net'>,
  start: Address,
  question: Question,
  options: ExchangeOptions,
): Promise<Answered> {
  let address = await authorized(start, options);
  for (let hops = 0; hops <= limits.redirects; hops++) {
    const from = redactUrl(address.url.href);
    options.onRequest?.();
    const response = await host.net.request({
      method: 'GET',
      url: address.url.href,
      headers: headersFor(address, question),
      headTimeoutMs: options.stallTimeoutMs,
      stallTimeoutMs: options.stallTimeoutMs,
      isBulk: true,
      signal: options.signal,
    });
    const decision = decide(question, response, limits.resumeWorthBytes);
    switch (decision.kind) {
      case 'redirect':
        response.discard();
        address = redirectAddress(address, decision.location, options.allowHttp);
        break;
      case 'refuse': {
        const reason = decision.needsReason ? await reasonIn(response) : undefined;
        response.discard();
        const why = reason === undefined ? decision.why : `${decision.why}: ${reason}`;
        throw new UpdateError(decision.code, `${from}: ${why}`, withholding(response.status));
      }
      default:
        return { response, from, decision };
    }
  }
  const where = redactUrl(start.url.href);
  throw new UpdateError('DOWNLOAD_FAILED', `${where}: more than ${limits.redirects} redirects`);
}

async function authorized(start: Address, { authorizationFor }: ExchangeOptions): Promise<Address> {
  if (start.authorization !== undefined || authorizationFor === undefined) return start;
  return { ...start, authorization: await authorizationFor(start.url) };
}

/** Of an error: these may be the race of a request with a permission that comes or goes. */
export function withholding(status: number): { mayPass: 'refusal' } | undefined {
  return status === 401 || status === 403 || status === 404 ? { mayPass: 'refusal' } : undefined;
}

function headersFor(address: Address, question: Question): Record<string, string> {
  const headers: Record<string, string> = {
    accept: '*/*',
    // Any encoding would change the bytes that the digest and the offsets count.
    'accept-encoding': 'identity',
    'user-agent': 'tope-updater',
    ...rangeHeaders(question),
  };
  return address.authorization === undefined ? headers : { ...headers, authorization: address.authorization };
}

/** The server's own words, as far as they arrive: a refusal stays one when its body breaks off. */
async function reasonIn(response: HttpResponse): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const chunk of response.body) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length >= limits.refusalBodyBytes) break;
    }
  } catch (thrown) {
    text += ` (the answer broke off: ${errorText(thrown)})`;
  }
  return refusalReason(response.headers['content-type'], text);
}
