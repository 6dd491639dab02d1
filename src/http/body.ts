/** A request's body, read whole within a bound. */
import type { IncomingMessage } from 'node:http';
import { HttpError } from './http-error.ts';

/** The body's bytes; undefined: none. HttpError 413 beyond `maxBytes`, 400 when the client goes away. The server's requestTimeout bounds it. */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    const refuse = () => {
      chunks.length = 0;
      // What still comes is read and dropped, or the client would meet a reset instead of the answer.
      request.off('data', collect).resume();
      reject(new HttpError(413, `the body may hold ${maxBytes} bytes`));
    };
    const collect = (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) refuse();
      else chunks.push(chunk);
    };
    request.once('end', () => resolve(sizeBytes === 0 ? undefined : Buffer.concat(chunks)));
    request.once('error', () => reject(new HttpError(400, 'the body ended early')));
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) refuse();
    else request.on('data', collect);
  });
}
