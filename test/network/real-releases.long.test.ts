/** Two releases of a real program, the second with a patch, from a real server: at most 15 % of it is fetched. `make real-releases` packs them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { realFiles } from '../../src/host/files.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { openArchive } from '../../src/package/archive.ts';
import { deploy } from '../download/adaptive-store.ts';
import { programPath, realServers, startRealServer } from './real-servers.ts';
import { releasePath } from './releases-install.ts';
import { skipped, temporaryDirectory } from './rig.ts';
import { downloading } from './served-updates.ts';

const test = suite('a real program by its patch');
const name = 'a program of 150 MB, all of it changed';
const server = realServers.find(({ program }) => programPath(program) !== undefined);

if (server === undefined || !existsSync(releasePath('new'))) {
  skipped(name, server === undefined ? 'no web server' : 'not packed (make real-releases)');
  test.skip(name);
} else
  test(`real ${server.name}: ${name}`, async () => {
    const work = temporaryDirectory();
    try {
      const here = deploy(join(work.path, 'device'), {
        node: { content: await programIn(releasePath('old')) },
      });
      const bounds = { name, mostFetched: (bytes: number) => 0.15 * bytes, requests: [2, 5] } as const;
      await downloading(
        releasePath('new'),
        here,
        bounds,
      )((directory) => startRealServer(server, programPath(server.program) ?? '', directory));
    } finally {
      work.remove();
    }
  });

test.run();

async function programIn(path: string): Promise<Buffer> {
  const archive = await openArchive({ files: realFiles(), memory: freeMemory }, path);
  const chunks: Buffer[] = [];
  try {
    await archive.readEntry('node', Number.MAX_SAFE_INTEGER, (chunk) => void chunks.push(Buffer.from(chunk)));
    return Buffer.concat(chunks);
  } finally {
    await archive.close();
  }
}
