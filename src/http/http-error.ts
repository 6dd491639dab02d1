/** What plain HTTP answers to a request that reached no endpoint (spec section 2): a status, and the JSON envelope. */
import type { Refusal } from '../envelope.ts';
import { limits } from '../limits.ts';

const words = {
  400: 'BAD_REQUEST',
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  408: 'REQUEST_TIMEOUT',
  411: 'LENGTH_REQUIRED',
  413: 'PAYLOAD_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  431: 'HEADERS_TOO_LARGE',
  500: 'INTERNAL_ERROR',
  503: 'UNAVAILABLE',
} as const;

export type HttpErrorStatus = keyof typeof words;

/** Thrown on the way from the socket to an endpoint; `headers` go out with the reply. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly status: HttpErrorStatus;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: HttpErrorStatus, text: string, headers: Readonly<Record<string, string>> = {}) {
    super(`${words[status]}: ${text}`);
    this.status = status;
    this.headers = headers;
  }

  get envelope(): Refusal {
    return { code: this.status, msg: this.message };
  }
}

/** `code`: what Node's parser or its timeouts call it. */
export function brokenHttp(code: string | undefined): HttpError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new HttpError(408, 'the request took too long to arrive');
  if (code === 'HPE_HEADER_OVERFLOW')
    return new HttpError(431, `the headers may hold ${limits.requestHeaderBytes} bytes`);
  return new HttpError(400, `not HTTP (${code ?? 'unknown'})`);
}
