/**
 * An honest package store over a folder: Range, If-Range by ETag, Last-Modified; as slow as it is told to be. (One that
 * lies and breaks off is test/network/fault-server.ts.)
 */
import { open, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface PackageStore {
  readonly folder: string;
  readonly url: string;
  /** The Range header of each request for a package; undefined: it asked for the whole. */
  readonly ranges: readonly (string | undefined)[];
  /** From now on, also within a transfer that runs; undefined: as fast as it can. 0 stands still. */
  throttle(bytesPerSecond: number | undefined): void;
  close(): Promise<void>;
}

const chunkBytes = 64 * 1024;

export async function startPackageStore(folder: string): Promise<PackageStore> {
  const ranges: (string | undefined)[] = [];
  let rate: number | undefined;
  let isClosed = false;

  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const path = join(folder, (request.url ?? '/').slice(1));
    const { size, mtime, mtimeMs } = await stat(path);
    const etag = `"${size.toString(16)}-${Math.floor(mtimeMs).toString(16)}"`;
    ranges.push(request.headers.range);
    const [first, end, isPart] = bytesAsked(request, etag, size);
    response.writeHead(isPart ? 206 : 200, {
      'content-type': 'application/zip',
      'content-length': end - first,
      'last-modified': mtime.toUTCString(),
      etag,
      ...(isPart ? { 'content-range': `bytes ${first}-${end - 1}/${size}` } : {}),
    });
    await send(path, first, end, response);
  };

  const send = async (path: string, first: number, end: number, response: ServerResponse) => {
    const file = await open(path);
    try {
      for (let at = first; at < end && !response.destroyed && !isClosed; ) {
        const paced = rate === undefined ? chunkBytes : Math.min(chunkBytes, Math.ceil(rate / 20));
        const pieceBytes = Math.min(paced, end - at);
        if (pieceBytes > 0) {
          const { bytesRead, buffer } = await file.read(Buffer.alloc(pieceBytes), 0, pieceBytes, at);
          if (bytesRead === 0) break;
          at += bytesRead;
          await written(response, buffer.subarray(0, bytesRead));
        }
        if (rate !== undefined) await sleep(rate === 0 ? 50 : (1000 * pieceBytes) / rate);
      }
    } finally {
      await file.close();
      response.end();
    }
  };

  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.headersSent || response.writeHead(404).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    folder,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ranges,
    throttle: (bytesPerSecond) => {
      rate = bytesPerSecond;
    },
    close: () =>
      new Promise((resolve) => {
        isClosed = true;
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** First byte, end, and whether it is a part. */
function bytesAsked({ headers }: IncomingMessage, etag: string, size: number): [number, number, boolean] {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
  const isCurrent = headers['if-range'] === undefined || headers['if-range'] === etag;
  if (first === undefined || !isCurrent || Number(first) >= size) return [0, size, false];
  return [Number(first), last ? Math.min(size, Number(last) + 1) : size, true];
}

/** Resolves when the piece was taken, or when the client has gone. */
function written(response: ServerResponse, piece: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed || response.write(piece)) return resolve();
    const done = () => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.once('drain', done).once('close', done);
  });
}
