/** JSON replies: through Node's response object, or written by hand where there is none. */
import type { ServerResponse } from 'node:http';
import type { HttpError } from './http-error.ts';

/** Ends the response with a JSON body. Does nothing when the client has gone. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { ...jsonHeaders(body), ...headers }).end(body);
}

/** Ends the response with a text that is not the envelope. */
export function sendText(
  response: ServerResponse,
  contentType: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(200, { ...jsonHeaders(body), 'Content-Type': contentType, ...headers }).end(body);
}

/** The whole reply to a request that the parser refused; the connection is closed after it. */
export function rawReply(error: HttpError): string {
  const body = JSON.stringify(error.envelope);
  const reason = error.message.split(':', 1)[0];
  const headers = Object.entries({ ...jsonHeaders(body), Connection: 'close' });
  const lines = [
    `HTTP/1.1 ${error.status} ${reason}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

function jsonHeaders(body: string): Record<string, string> {
  return {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(body)),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  };
}
