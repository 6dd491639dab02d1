/** Starts the web servers that this machine has, each on a free loopback port with one folder to serve. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { dirname, join } from 'node:path';

export interface Place {
  /** What is served. */
  readonly root: string;
  /** The server's own files. */
  readonly own: string;
  readonly port: number;
}

export interface RealServer {
  readonly name: string;
  readonly program: string;
  /** Writes the configuration and returns the command line after the program. */
  readonly prepare: (place: Place, program: string) => readonly string[];
}

export const realServers: readonly RealServer[] = [
  {
    name: 'nginx',
    program: 'nginx',
    prepare: ({ root, own, port }) => {
      const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
        .map((name) => `${name}_temp_path ${own}/${name};`)
        .join(' ');
      const file = join(own, 'nginx.conf');
      const http = `access_log off; ${paths} server { listen 127.0.0.1:${port}; root ${root}; }`;
      writeFileSync(file, `daemon off; pid ${own}/pid; error_log stderr; events {} http { ${http} }`);
      return ['-p', own, '-e', 'stderr', '-c', file];
    },
  },
  {
    name: 'Caddy',
    program: 'caddy',
    prepare: ({ root, port }) => ['file-server', '--root', root, '--listen', `127.0.0.1:${port}`],
  },
  {
    name: 'Apache',
    program: 'apache2',
    prepare: ({ root, own, port }, program) => {
      const modules = join(dirname(program), '../lib/apache2/modules');
      const load = ['mpm_event', 'authz_core']
        .map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`)
        .join('\n');
      const user = process.getuid?.() === 0 ? 'User nobody\nGroup nogroup' : '';
      const file = join(own, 'apache.conf');
      writeFileSync(
        file,
        `ServerRoot ${own}\nServerName localhost\nPidFile ${own}/pid\nErrorLog ${own}/log\nMutex file:${own}\n` +
          `${load}\n${user}\nListen 127.0.0.1:${port}\nDocumentRoot ${root}\n`,
      );
      return ['-D', 'FOREGROUND', '-f', file];
    },
  },
  {
    name: 'lighttpd',
    program: 'lighttpd',
    prepare: ({ root, own, port }, program) => {
      const file = join(own, 'lighttpd.conf');
      writeFileSync(
        file,
        `server.document-root = "${root}"\nserver.bind = "127.0.0.1"\nserver.port = ${port}\n` +
          // Or it serves the replaced file for another second.
          'server.stat-cache-engine = "disable"\n',
      );
      return ['-D', '-f', file, '-m', join(dirname(program), '../lib/lighttpd')];
    },
  },
  {
    name: 'busybox httpd',
    program: 'busybox',
    prepare: ({ root, port }) => ['httpd', '-f', '-p', `127.0.0.1:${port}`, '-h', root],
  },
  {
    name: 'npm http-server',
    program: 'http-server',
    prepare: ({ root, port }) => [root, '-a', '127.0.0.1', '-p', String(port)],
  },
  {
    name: 'Python http.server',
    program: 'python3',
    prepare: ({ root, port }) => ['-m', 'http.server', '--bind', '127.0.0.1', '-d', root, String(port)],
  },
];

export interface Running {
  readonly url: string;
  stop(): Promise<void>;
}

/** Where the program lies, /usr/sbin included; undefined when the machine has none. */
export function programPath(name: string): string | undefined {
  try {
    const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
    return execFileSync('sh', ['-c', `command -v ${name}`], { env: { ...process.env, PATH } })
      .toString()
      .trim();
  } catch (thrown) {
    if (thrown instanceof Error) return undefined;
    throw thrown;
  }
}

/** Serves `directory`/www. Rejects, with what the server said, when it does not listen within 30 s. */
export async function startRealServer(
  server: RealServer,
  program: string,
  directory: string,
): Promise<Running> {
  const place = { root: join(directory, 'www'), own: join(directory, 'own'), port: await freePort() };
  for (const path of [directory, place.root, place.own]) {
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o755);
  }
  const child = spawn(program, server.prepare(place, program), { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      said = `${said}${chunk.toString()}`.slice(-2_000);
    });
  const stop = () => ended(child);
  for (let tries = 0; !(await listens(place.port)); tries++) {
    if (tries > 600 || child.exitCode !== null) {
      await stop();
      throw new Error(`${server.name} does not listen: ${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { url: `http://127.0.0.1:${place.port}/package.zip`, stop };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const impatient = setTimeout(() => child.kill('SIGKILL'), 3_000);
  await exit;
  clearTimeout(impatient);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
