/** A real nginx (Debian package nginx-light) that serves a folder on a free port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, until } from './daemon.ts';

export interface Nginx {
  readonly url: string;
  close(): Promise<void>;
}

const program = '/usr/sbin/nginx';

/** Why it cannot be used here, or undefined. */
export function nginxMissing(): string | undefined {
  return existsSync(program) ? undefined : `${program} is not there (Debian package nginx-light)`;
}

/** `scratch`: a folder for its own files. */
export async function startNginx(folder: string, scratch: string): Promise<Nginx> {
  mkdirSync(scratch, { recursive: true });
  const port = await freePort();
  const configuration = join(scratch, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(scratch, name)};`,
  );
  writeFileSync(
    configuration,
    `daemon off; master_process off; pid ${join(scratch, 'pid')}; error_log stderr;
     events { worker_connections 64; }
     http { access_log off; sendfile on; ${temporary.join(' ')}
       server { listen 127.0.0.1:${port}; root ${folder}; } }\n`,
  );
  const child: ChildProcess = spawn(program, ['-p', scratch, '-c', configuration], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let printed = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const url = `http://127.0.0.1:${port}`;
  await until(
    () => `nginx answers: ${printed}`,
    () =>
      fetch(url).then(
        () => true,
        () => false,
      ),
    10_000,
  );
  return {
    url,
    close: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
