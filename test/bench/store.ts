/**
 * The package store: nginx, which hands files out faster than anything here takes them, or a server of Node in a process
 * of its own where there is none. Over http, and over https with a certificate of an authority made for the occasion.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Certificates, makeCertificates } from '../network/certificates.ts';
import { provideProgram } from './machine.ts';
import { freePort, listens } from './ports.ts';
import { waitUntil } from './wait.ts';

export interface Store {
  readonly program: string;
  /** Where a file of the served folder is had. */
  url(name: string): string;
  /** The same by https; undefined where no certificate could be made. */
  secureUrl(name: string): string | undefined;
  readonly caFile: string | undefined;
  close(): Promise<void>;
}

/** Serves the files of `folder`; its own files go to `own`. */
export async function openStore(folder: string, own: string): Promise<Store> {
  mkdirSync(own, { recursive: true });
  const certificates = makeCertificates();
  const [port, securePort] = [await freePort(), await freePort()];
  const isNginx = provideProgram('nginx', 'nginx-light') === undefined;
  const plan = { folder, own, port, securePort, certificates };
  const child = isNginx ? startNginx(plan) : startNode(plan);
  await waitUntil('the package store listens', 10_000, async () => {
    if (child.exitCode !== null) throw new Error('the package store ended at once');
    return listens(port);
  });
  return {
    program: isNginx ? 'nginx' : 'node',
    url: (name) => `http://127.0.0.1:${port}/${name}`,
    secureUrl: (name) => (certificates === undefined ? undefined : `https://127.0.0.1:${securePort}/${name}`),
    caFile: certificates?.caFile,
    async close() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
      certificates?.remove();
    },
  };
}

interface Plan {
  readonly folder: string;
  readonly own: string;
  readonly port: number;
  readonly securePort: number;
  readonly certificates: Certificates | undefined;
}

function startNginx({ folder, own, port, securePort, certificates }: Plan): ChildProcess {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${own}/${name};`)
    .join(' ');
  const secure =
    certificates === undefined
      ? ''
      : `server { listen 127.0.0.1:${securePort} ssl; root ${folder};
          ssl_certificate ${certificates.server.certFile}; ssl_certificate_key ${certificates.server.keyFile}; }`;
  // Its workers would run as a user who cannot enter a temporary folder.
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  writeFileSync(
    join(own, 'nginx.conf'),
    `daemon off; ${user} worker_processes 1; pid ${own}/pid; error_log stderr; events {}
     http { access_log off; sendfile on; ${temporary} server { listen 127.0.0.1:${port}; root ${folder}; } ${secure} }`,
  );
  const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
  return spawn('nginx', ['-p', own, '-e', 'stderr', '-c', join(own, 'nginx.conf')], {
    stdio: 'ignore',
    env: { ...process.env, PATH },
  });
}

function startNode({ folder, port, securePort, certificates }: Plan): ChildProcess {
  const program = `
    const { createReadStream, statSync, readFileSync } = require('node:fs');
    const serve = (request, response) => {
      const path = ${JSON.stringify(folder)} + request.url;
      response.setHeader('content-length', statSync(path).size);
      createReadStream(path, { highWaterMark: 1 << 20 }).pipe(response);
    };
    require('node:http').createServer(serve).listen(${port}, '127.0.0.1');
    const pair = ${JSON.stringify(certificates?.server ?? null)};
    if (pair) require('node:https').createServer(
      { cert: readFileSync(pair.certFile), key: readFileSync(pair.keyFile) }, serve).listen(${securePort}, '127.0.0.1');`;
  return spawn(process.execPath, ['-e', program], { stdio: 'ignore' });
}
