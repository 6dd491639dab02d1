/**
 * A small device for the built program: old files, a work directory, and a package that changes all of them, one way or
 * another: replaced, added, removed, in new directories, and with a module that goes. Used on real disks and under real kills.
 */
import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { dirname, join } from 'node:path';
import type { RecordLine } from '../../src/deploy/deployed-record.ts';
import type { PackageRequest } from '../../src/download/request.ts';
import { realFiles } from '../../src/host/files.ts';
import { buildPackage, type PackageSpec } from '../fixtures/package-builder.ts';
import { putRecord } from '../fixtures/put-record.ts';
import type { DaemonPlace } from './daemon.ts';
import { treeOnDisk } from './disk-tree.ts';
import { difference, type Tree } from './model-tree.ts';
import { run } from './run-tool.ts';

export interface Device extends DaemonPlace {
  /** The files below allowedRoot, before. */
  readonly oldTree: Tree;
}

/** How the update, left alone, ends; `slow health`: with success, after some seconds. */
export type Ending = 'success' | 'failing health' | 'slow health';

const healthOf: Readonly<Record<Ending, object>> = {
  success: {},
  'failing health': { health: { exec: ['/bin/false'], timeout_s: 1 } },
  'slow health': { health: { exec: ['/bin/sleep', '3'], timeout_s: 20 } },
};

const oldFiles: Readonly<Record<string, number>> = {
  'api/api': 40_000,
  'voice/voice': 100,
  'web/index.html': 5_000,
  'web/js/gone.js': 3_000,
  'web/old/gone.html': 200,
  'leaving/program': 6_000,
  'leaving/deep/data': 300,
};

/** Of a module that an earlier update has deployed, and this one takes away. */
export const leaving = 'leaving';

/** cap_net_raw=ep, and a note. */
const oldAttributes: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'api/api': { 'security.capability': '0sAQAAAgAgAAAAAAAAAAAAAAAAAAA=', 'user.origin': 'factory' },
  'voice/voice': { 'security.capability': '0sAQAAAgAgAAAAAAAAAAAAAAAAAAA=' },
  'web/index.html': { 'user.origin': 'factory' },
};

/** Puts the old files and an empty work directory below `directory`; the daemon's socket goes to `socket`. */
export async function makeDevice(directory: string, socket: string): Promise<Device> {
  const allowedRoot = join(directory, 'opt');
  const workDirectory = join(directory, 'work');
  for (const name of ['tmp', 'backups', 'logs']) await mkdir(join(workDirectory, name), { recursive: true });
  for (const [name, sizeBytes] of Object.entries(oldFiles)) {
    const path = join(allowedRoot, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text(name, 'old', sizeBytes));
    await chmod(path, 0o755);
    for (const [attribute, value] of Object.entries(oldAttributes[name] ?? {})) {
      // Needs the program, root, and a filesystem that has them; without them the files are plain.
      await run(['setfattr', '-n', attribute, '-v', value, path]).catch(() => undefined);
    }
  }
  await recordLeaving(allowedRoot, join(workDirectory, 'backups'));
  return { allowedRoot, workDirectory, socket, oldTree: await treeOnDisk(allowedRoot) };
}

async function recordLeaving(allowedRoot: string, backups: string): Promise<void> {
  const tree = join(allowedRoot, leaving);
  const id = '20260101T000000000Z';
  const common = { module: leaving, mode: 0o755, uid: 0, gid: 0 };
  const service = { module: leaving, processName: undefined, restartOrder: undefined, unit: undefined };
  const directory = (path: string): RecordLine => ({ kind: 'directory', path, ...common });
  const file = (name: string, sizeBytes: number): RecordLine => {
    const sha256 = createHash('sha256')
      .update(text(name, 'old', sizeBytes))
      .digest('hex');
    return { kind: 'file', path: join(allowedRoot, name), entry: name, sizeBytes, sha256, ...common };
  };
  const lines: RecordLine[] = [
    { kind: 'module', name: leaving, id, tree, service: { ...service, start: undefined, health: undefined } },
    ...[tree, join(tree, 'deep')].map(directory),
    ...Object.entries(oldFiles)
      .filter(([name]) => name.startsWith(`${leaving}/`))
      .map(([name, sizeBytes]) => file(name, sizeBytes)),
  ];
  const origin = { sizeBytes: 1, md5: '0'.repeat(32), sha256: null };
  await putRecord(
    realFiles(),
    backups,
    { kind: 'header', format: 3, id, version: '1.0.0', package: origin },
    lines,
  );
}

/** Builds the update for a device, with what `more` makes of it, and serves it on loopback until close() is called. */
export async function servePackage(
  device: DaemonPlace,
  scratch: string,
  ending: Ending,
  more: (spec: PackageSpec) => PackageSpec = (spec) => spec,
): Promise<{ readonly request: PackageRequest; readonly close: () => void }> {
  const at = (name: string) => join(device.allowedRoot, name);
  const version = '1.1.0';
  const built = await buildPackage(
    more({
      version,
      manifest: { remove: [leaving] },
      modules: [
        { name: 'api', src: 'm/api', dst: at('api/api') },
        {
          ...{ name: 'voice', src: 'm/voice', dst: at('voice/voice'), ...healthOf[ending] },
          capabilities: 'cap_net_bind_service+ep',
        },
        { name: 'tool', src: 'm/tool', dst: at('tools/bin/tool') },
        { name: 'web', src: 'web', dst: at('web'), exact: true },
      ],
      files: {
        'm/api': text('api', 'new', 30_000),
        'm/voice': text('voice', 'new', 150),
        'm/tool': text('tool', 'new', 9_000),
        'web/index.html': text('index', 'new', 4_096),
        'web/css/new.css': text('css', 'new', 700),
      },
    }),
    join(scratch, `package-${version}.zip`),
  );
  const server = await serve(await readFile(built.path));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a server without a port');
  return {
    request: {
      version,
      package_url: `http://127.0.0.1:${address.port}/package.zip`,
      package_name: 'package.zip',
      package_size: built.sizeBytes,
      package_md5: built.md5,
    },
    close: () => server.close(),
  };
}

/**
 * How the device's files stand after a restart: all old, all new, or bad. `newTree`: undefined where the update cannot
 * succeed; `succeeded`: success was shown before the cut, so that old is bad too.
 */
export async function judgeDevice(
  device: Device,
  newTree: Tree | undefined,
  succeeded: boolean,
): Promise<{ readonly is: 'old' | 'new' } | { readonly is: 'bad'; readonly why: string }> {
  const tree = await treeOnDisk(device.allowedRoot);
  const fromOld = difference(device.oldTree, tree);
  if (fromOld.length === 0)
    return succeeded ? { is: 'bad', why: 'success was shown, the set is old' } : { is: 'old' };
  const fromNew = newTree === undefined ? ['there is none'] : difference(newTree, tree);
  if (fromNew.length === 0) return { is: 'new' };
  return {
    is: 'bad',
    why: `neither old nor new:\n  old: ${fromOld.join('\n       ')}\n  new: ${fromNew.join('\n       ')}`,
  };
}

function serve(content: Buffer): Promise<Server> {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-length': content.length, etag: '"one"' });
    response.end(content);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

function text(name: string, version: string, sizeBytes: number): string {
  return `${name} ${version} `.repeat(Math.ceil(sizeBytes / 8)).slice(0, sizeBytes);
}
