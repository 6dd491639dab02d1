/**
 * Refuses bodies in a transfer encoding and closes their connection: no client of the API needs one, and chunks bring endless
 * extensions and second lengths (RFC 9112 sections 6.1 and 7.1.1).
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Admission } from './admission.ts';
import { HttpError } from './http-error.ts';

/** True where the request was refused; whatever else comes on its connection is dropped. */
export function chunkedRefusal(refuse: Admission['refuse']): (request: IncomingMessage) => boolean {
  const refused = new WeakSet<Socket>();
  return ({ headers, socket }) => {
    if (refused.has(socket)) return true;
    if (headers['transfer-encoding'] === undefined) return false;
    refused.add(socket);
    refuse(new HttpError(411, 'a body must come with Content-Length, not in chunks'), socket);
    return true;
  };
}
