/**
 * Serves one file over loopback HTTP while the daemon downloads it, so that a package from a USB stick takes the same way, with
 * the same checks, as all. On 127.0.0.1 only, under a path that cannot be guessed; with ranges, for a resume; the file stays the
 * one that was opened.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { fileChunks } from '../host/file-chunks.ts';
import type { Files, OpenFile } from '../host/host.ts';
import { limits } from '../limits.ts';

export interface FileServer {
  /** Where the daemon finds the file. */
  readonly url: string;
  close(): Promise<void>;
}

interface Served {
  readonly file: OpenFile;
  readonly sizeBytes: number;
  readonly etag: string;
}

/** Serves the file at `path` under `name`; `digest` tells its content. */
export async function serveFile(
  files: Files,
  path: string,
  name: string,
  digest: string,
): Promise<FileServer> {
  const file = await files.open(path, 'read');
  const served = { file, sizeBytes: (await file.stat()).sizeBytes, etag: `"${digest}"` };
  const { randomBytes } = await import('node:crypto');
  const secretPath = `/${randomBytes(16).toString('hex')}/${name}`;
  const server = createServer((request, response) => {
    if (request.url === secretPath) answer(request, response, served);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${secretPath}`,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      await file.close();
    },
  };
}

function answer(request: IncomingMessage, response: ServerResponse, { file, sizeBytes, etag }: Served): void {
  const headers = { etag, 'accept-ranges': 'bytes', 'content-type': 'application/zip' };
  const start = startOf(request, etag);
  if (request.method !== 'GET') {
    response.writeHead(405, { allow: 'GET' }).end();
  } else if (start > 0 && start >= sizeBytes) {
    response.writeHead(416, { ...headers, 'content-range': `bytes */${sizeBytes}` }).end();
  } else {
    const range = start > 0 ? { 'content-range': `bytes ${start}-${sizeBytes - 1}/${sizeBytes}` } : {};
    const length = { 'content-length': sizeBytes - start };
    response.writeHead(start > 0 ? 206 : 200, { ...headers, ...range, ...length });
    // A client that goes away, or a file that cannot be read, ends the connection and nothing else.
    const content = Readable.from(contentFrom(file, start)).on('error', () => response.destroy());
    response.on('close', () => content.destroy());
    content.pipe(response);
  }
}

/** The daemon asks for "from N to the end" and nothing else; what is of another version starts over. */
function startOf({ headers }: IncomingMessage, etag: string): number {
  if (headers['if-range'] !== undefined && headers['if-range'] !== etag) return 0;
  return Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
}

/** A response may hold a chunk for longer than the buffer does. */
async function* contentFrom(file: OpenFile, from: number): AsyncGenerator<Uint8Array> {
  for await (const chunk of fileChunks(file, { from, chunkBytes: limits.writeBufferBytes }))
    yield chunk.slice();
}
