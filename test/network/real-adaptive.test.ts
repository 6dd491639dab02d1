/** Adaptive downloads from the real servers that this machine has: the right bytes, and no more of them fetched than are missing. */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { limits } from '../../src/limits.ts';
import { deploy, packageOf } from '../download/adaptive-store.ts';
import { programPath, type RealServer, realServers, startRealServer } from './real-servers.ts';
import { obtain, requestFor, skipped, temporaryDirectory, testHost } from './rig.ts';

const test = suite('adaptive from real servers');

/** What does not know ranges sends the whole, once. */
const withoutRanges = new Set(['Python http.server']);
const stored = () => ({ content: randomBytes(500_000), compress: false });
const old = { 'web/a': stored(), 'web/b': stored(), 'web/c': stored() };

for (const server of realServers) {
  const program = programPath(server.program);
  if (program === undefined) {
    skipped(`real ${server.name}`, `no ${server.program} program`);
    test.skip(`real ${server.name}`);
    continue;
  }
  test(`real ${server.name}: one of three files changed`, () => play(server, program));
}

test.run();

async function play(server: RealServer, program: string): Promise<void> {
  const work = temporaryDirectory();
  const downloads = join(work.path, 'tmp');
  mkdirSync(downloads);
  const bytes = await packageOf(join(work.path, 'new.zip'), { ...old, 'web/b': stored() });
  const candidates = deploy(join(work.path, 'device'), old);
  const running = await startRealServer(server, program, work.path);
  try {
    const file = join(work.path, 'www', 'package.zip');
    writeFileSync(file, bytes);
    chmodSync(file, 0o644);
    utimesSync(file, 1_500_000_000, 1_500_000_000); // Apache does not believe in dates younger than a minute
    let fetched = 0;
    let requests = 0;
    const outcome = await obtain(testHost(), downloads, requestFor(running.url, bytes), {
      candidates,
      onReceived: (count) => {
        fetched += count;
      },
      onRequest: () => {
        requests += 1;
      },
    });
    assert.is(outcome.error, undefined, outcome.error?.message);
    assert.ok(bytes.equals(Buffer.from(outcome.file ?? [])), 'the right bytes');
    if (withoutRanges.has(server.name)) {
      assert.equal([fetched, requests], [bytes.length, 1]);
      return;
    }
    // The changed one, the end of the package, its manifest and a few headers.
    assert.ok(fetched <= 500_000 + limits.tailBytes + 4_000, `${fetched} of ${bytes.length}`);
    assert.ok(requests <= 4, `${requests} requests`);
  } finally {
    await running.stop();
    work.remove();
  }
}
