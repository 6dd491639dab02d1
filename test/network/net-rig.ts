/** Servers on free loopback ports and requests to them, for the tests of the real Net. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import type { HttpRequest, HttpResponse } from '../../src/host/host.ts';
import { type NetOptions, realNet } from '../../src/host/net.ts';

export interface Servers {
  /** Listens on a free port; closed by closeAll. */
  listening(server: Server & { closeAllConnections?: () => void }, address?: string): Promise<number>;
  serve(listener: RequestListener, address?: string): Promise<number>;
  closeAll(): void;
}

export function servers(): Servers {
  const opened: (Server & { closeAllConnections?: () => void })[] = [];
  const listening: Servers['listening'] = async (server, address = '127.0.0.1') => {
    opened.push(server);
    await new Promise<void>((resolve) => server.listen(0, address, resolve));
    return (server.address() as AddressInfo).port;
  };
  return {
    listening,
    serve: (listener, address) => listening(createServer(listener), address),
    closeAll: () => {
      for (const server of opened.splice(0)) {
        server.close();
        server.closeAllConnections?.();
      }
    },
  };
}

export function ask(
  url: string,
  extra: Partial<HttpRequest> = {},
  options: Partial<NetOptions> = {},
): Promise<HttpResponse> {
  const request = { method: 'GET', url, headers: {}, headTimeoutMs: 2_000, stallTimeoutMs: 2_000 } as const;
  return realNet({ environment: {}, ...options }).request({ ...request, ...extra });
}

export async function textOf(response: HttpResponse): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** What `act` throws; that it throws is part of the test. */
export async function failure(act: () => Promise<unknown>): Promise<Error> {
  try {
    await act();
  } catch (thrown) {
    if (thrown instanceof Error) return thrown;
  }
  throw new Error('nothing was thrown');
}
