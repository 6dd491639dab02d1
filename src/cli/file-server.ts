/**
 * Serves one file over loopback HTTP while the daemon downloads it: a package from a USB stick takes the same way, with
 * the same checks, as one from the network.
 *
 * Invariants: listens on 127.0.0.1 only, under a path that cannot be guessed; Range is served, so that an interrupted
 * download resumes; the file stays the one that was opened.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FileServer {
  /** Where the daemon finds the file. */
  readonly url: string;
  close(): Promise<void>;
}

/** Serves the file at `path` under `name`; `etag` tells its content. */
export async function serveFile(path: string, name: string, etag: string): Promise<FileServer> {
  const file = await open(path, 'r');
  const { size } = await file.stat();
  const { randomBytes } = await import('node:crypto');
  const secretPath = `/${randomBytes(16).toString('hex')}/${name}`;
  const server = createServer((request, response) => {
    if (request.url === secretPath) return answer(request, response, file, size, `"${etag}"`);
    response.writeHead(404).end();
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

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  file: FileHandle,
  size: number,
  etag: string,
): void {
  const headers = { etag, 'accept-ranges': 'bytes', 'content-type': 'application/zip' };
  if (request.method !== 'GET') return void response.writeHead(405, { allow: 'GET' }).end();
  const start = startOf(request, etag);
  if (start >= size && start > 0)
    return void response.writeHead(416, { ...headers, 'content-range': `bytes */${size}` }).end();
  const isPart = start > 0;
  response.writeHead(isPart ? 206 : 200, {
    ...headers,
    'content-length': size - start,
    ...(isPart ? { 'content-range': `bytes ${start}-${size - 1}/${size}` } : {}),
  });
  const content = file.createReadStream({ start, autoClose: false, highWaterMark: 256 * 1024 });
  content.on('error', () => response.destroy());
  response.on('close', () => content.destroy());
  content.pipe(response);
}

/** The daemon asks for "from N to the end" and nothing else; what is of another version starts over. */
function startOf({ headers }: IncomingMessage, etag: string): number {
  if (headers['if-range'] !== undefined && headers['if-range'] !== etag) return 0;
  return Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
}
