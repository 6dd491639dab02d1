/**
 * Many installs on one daemon, each of another version with files of other sizes: what grows that must not? Open
 * descriptors, files anywhere on the device, resident memory.
 */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { executableFlags } from '../../build/pack.ts';
import { errno } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { type BuiltPackage, buildPackage } from '../fixtures/package-builder.ts';
import { type Daemon, downloadTo, pause, startDaemon } from './daemon.ts';
import { makeDevice } from './device.ts';
import { treeOnDisk } from './disk-tree.ts';
import { makeScratch, removeScratch } from './filesystems.ts';
import { seededRandom } from './seeded.ts';

export interface CyclesResult {
  readonly cycles: number;
  readonly descriptorsBefore: number;
  readonly descriptorsAfter: number;
  readonly namesBefore: readonly string[];
  readonly namesAfter: readonly string[];
  /** Resident memory in KiB, after the warm-up and at the end. */
  readonly residentBeforeKiB: number;
  readonly residentAfterKiB: number;
  readonly ms: number;
}

/** As the executable runs; Node 20 does not know how to keep quiet about experiments. */
const flags = executableFlags.filter((flag) => !flag.startsWith('--disable-warning'));

/** Both ends are measured when the daemon has kept its last three updates, so that the listings can be equal. */
export async function installMany(cycles: number, seed: number): Promise<CyclesResult> {
  const started = performance.now();
  const scratch = await makeScratch();
  try {
    await mkdir(join(scratch, 'device'));
    const device = await makeDevice(join(scratch, 'device'), join(scratch, 'socket'));
    const random = seededRandom(seed);
    let current: Buffer = Buffer.alloc(0);
    const server = createServer((_, response) => {
      response.writeHead(200, { 'content-length': current.length, etag: '"one"' });
      response.end(current);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;

    const daemon = await startDaemon(device, {}, flags);
    const cycle = async (number: number): Promise<void> => {
      const built = await randomPackage(device.allowedRoot, scratch, number, random);
      current = await readFile(built.path);
      await install(daemon, built, `http://127.0.0.1:${port}/package.zip`);
    };
    // When the history is as long as it gets, or after a tenth where there are too few cycles for that.
    const warmUp =
      cycles > 2 * limits.historyEntries ? limits.historyEntries : Math.max(4, Math.floor(cycles / 10));
    const { before, after } = await (async () => {
      for (let number = 1; number <= warmUp; number++) await cycle(number);
      const early = await measure(daemon, device.workDirectory, device.allowedRoot);
      for (let number = warmUp + 1; number <= cycles; number++) await cycle(number);
      const late = await measure(daemon, device.workDirectory, device.allowedRoot);
      await daemon.stop();
      return { before: early, after: late };
    })().finally(async () => {
      await daemon.kill();
      server.closeAllConnections();
      server.close();
    });
    return {
      cycles,
      descriptorsBefore: before.descriptors,
      descriptorsAfter: after.descriptors,
      namesBefore: before.names,
      namesAfter: after.names,
      residentBeforeKiB: before.residentKiB,
      residentAfterKiB: after.residentKiB,
      ms: performance.now() - started,
    };
  } finally {
    await removeScratch(scratch);
  }
}

async function randomPackage(
  root: string,
  scratch: string,
  number: number,
  random: () => number,
): Promise<BuiltPackage> {
  const size = () => 1 + Math.floor(random() * 200_000);
  return buildPackage(
    {
      version: `1.${Math.floor(number / 100)}.${number % 100}`,
      modules: [
        { name: 'api', src: 'm/api', dst: join(root, 'api/api') },
        { name: 'web', src: 'web', dst: join(root, 'web'), exact: true },
      ],
      files: {
        'm/api': { content: { random: size(), seed: number } },
        'web/index.html': { content: { random: size(), seed: number + 1 } },
        [`web/part-${number % 2}.js`]: { content: { random: size(), seed: number + 2 } },
      },
    },
    join(scratch, 'cycle.zip'),
  );
}

async function install(daemon: Daemon, built: BuiltPackage, url: string): Promise<void> {
  await downloadTo(daemon, {
    version: built.version,
    package_url: url,
    package_name: 'package.zip',
    package_size: built.sizeBytes,
    package_md5: built.md5,
  });
  await daemon.post('/api/v1.0/update', { version: built.version });
  const stage = await daemon.rest();
  if (stage !== 'success')
    throw new Error(`the install of ${built.version} ended as ${stage}:\n${daemon.output()}`);
}

async function measure(daemon: Daemon, workDirectory: string, root: string) {
  const names = await settledNames([workDirectory, root]);
  const descriptors = (await readdir(`/proc/${daemon.pid}/fd`)).length;
  const status = await readFile(`/proc/${daemon.pid}/status`, 'utf8');
  const residentKiB = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
  return { descriptors, residentKiB, names };
}

/** What is there when the daemon has tidied up after the last install: the listing that comes twice. */
async function settledNames(directories: readonly string[]): Promise<string[]> {
  let last: string[] | undefined;
  for (let attempt = 0; attempt < 100; attempt++) {
    const now = await listNames(directories).catch((thrown: unknown) => {
      if (errno(thrown) === 'ENOENT') return undefined; // gone while we looked
      throw thrown;
    });
    if (now !== undefined && last?.join() === now.join()) return now;
    last = now;
    await pause(100);
  }
  throw new Error('the work directory never comes to rest');
}

/** Ids and the two names that alternate differ from update to update; how many there are must not. */
async function listNames(directories: readonly string[]): Promise<string[]> {
  const trees = await Promise.all(directories.map(treeOnDisk));
  const paths = trees.flatMap((tree) => [...tree.keys()]);
  return paths.map((path) => path.replace(/\d{8}T\d{9}Z/, 'ID').replace(/part-\d/, 'part-N')).sort();
}
