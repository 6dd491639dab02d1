/** Versions of one package for the guest, each newer than the one before, the store that serves them, and what the files look like when whole. */
import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename, join } from 'node:path';
import { type BuiltPackage, buildPackage, contentBytes } from '../fixtures/package-builder.ts';

export interface GuestPackages {
  /** Body of POST /download, with an address that the guest can reach. */
  request(version: string): Record<string, unknown>;
  /** Which version's files give this digest: sha256 of the sorted lines `SHA256<tab>PATH` of every file. */
  versionOf(digest: string): string | undefined;
  close(): void;
}

const dataFiles = 24;
/** So many that their switch can be stopped in the middle. */
const smallFiles = 400;
export const smallFile = (index: number) => `data/small/${index}`;
export const lastSmallFile = smallFile(smallFiles - 1);

/** Makes the packages `1.0.0`, `2.0.0` and so on. */
export async function servePackages(scratch: string, count: number): Promise<GuestPackages> {
  const built = new Map<string, BuiltPackage>();
  const digests = new Map<string, string>();
  for (let number = 1; number <= count; number++) {
    const version = `${number}.0.0`;
    const { spec, files } = guestPackage(version);
    built.set(version, await buildPackage(spec, join(scratch, `package-${version}.zip`)));
    const lines = [...files].map(([path, content]) => `${sha256(content)}\t${path}\n`);
    digests.set(sha256(Buffer.from(lines.sort(byPath).join(''))), version);
  }
  const server = createServer((request, response) => {
    const path = join(scratch, basename(request.url ?? ''));
    response.writeHead(200, { 'content-length': statSync(path).size });
    createReadStream(path).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    request(version) {
      const found = built.get(version);
      if (found === undefined) throw new Error(`no package of ${version}`);
      const name = basename(found.path);
      // 10.0.2.2 is this machine's loopback address as qemu shows it to the guest.
      const url = `http://10.0.2.2:${address.port}/${name}`;
      const { sizeBytes: package_size, md5: package_md5 } = found;
      return { version, package_url: url, package_name: name, package_size, package_md5 };
    },
    versionOf: (digest) => digests.get(digest),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function guestPackage(version: string) {
  const files = new Map<string, Buffer>([
    ['demo/demo-service', demoProgram(version)],
    ['plain/plain-service', plainProgram(version)],
  ]);
  for (let index = 0; index < dataFiles; index++) {
    const random = contentBytes({ random: 1_000_000, seed: index * 100 + Number.parseInt(version, 10) });
    files.set(`data/${index}.bin`, Buffer.concat([Buffer.from(`# version ${version}\n`), random]));
  }
  for (let index = 0; index < smallFiles; index++)
    files.set(smallFile(index), Buffer.from(`# version ${version}\n`));
  const plain = '/opt/tope/plain/plain-service';
  const spec = {
    version,
    modules: [
      {
        name: 'demo',
        src: 'demo/demo-service',
        dst: '/opt/tope/demo/demo-service',
        service: 'demo.service',
        restart_order: 1,
      },
      {
        name: 'plain',
        src: 'plain/plain-service',
        dst: plain,
        process_name: 'plain-service',
        start: [plain],
        restart_order: 2,
      },
      { name: 'data', src: 'data', dst: '/opt/tope/data' },
    ],
    files: Object.fromEntries(
      [...files].map(([path, content]) => [
        path,
        { content, mode: path.startsWith('data/') ? 0o644 : 0o755 },
      ]),
    ),
  };
  return { spec, files };
}

/** The first of a boot notes the versions of all files that it finds: more than one is half of an update. */
function demoProgram(version: string): Buffer {
  const lines = [
    '#!/bin/sh',
    `# version ${version}`,
    "[ -e /run/demo-saw ] || { head -qn 2 /opt/tope/demo/* /opt/tope/data/*.bin /opt/tope/data/small/* | grep -a '^# version' | sort -u >/run/saw; mv /run/saw /run/demo-saw; }",
    `echo ${version} >/run/demo-version`,
    'exec sleep infinity',
  ];
  return Buffer.from(`${lines.join('\n')}\n`);
}

/** Keeps its name in /proc: it is found there, as no systemd unit knows it. */
function plainProgram(version: string): Buffer {
  return Buffer.from(
    `#!/bin/sh\n# version ${version}\necho ${version} >/run/plain-version\ntrap 'exit 0' TERM\nwhile :; do sleep 1; done\n`,
  );
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

function byPath(a: string, b: string): number {
  const [left = '', right = ''] = [a, b].map((line) => line.slice(line.indexOf('\t')));
  return left < right ? -1 : 1;
}
