/** Adaptive downloads from the real servers that this machine has: the right bytes, and no more of them fetched than are missing. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { limits } from '../../src/limits.ts';
import { changedBytes, changedThird } from './changed-third.ts';
import { programPath, realServers, startRealServer } from './real-servers.ts';
import { skipped } from './rig.ts';

const test = suite('adaptive from real servers');

/** What does not know ranges sends the whole, once. */
const withoutRanges = new Set(['Python http.server']);

for (const server of realServers) {
  const program = programPath(server.program);
  if (program === undefined) {
    skipped(`real ${server.name}`, `no ${server.program} program`);
    test.skip(`real ${server.name}`);
    continue;
  }
  test(`real ${server.name}: one of three files changed`, async () => {
    const { bytes, fetched, requests } = await changedThird((directory) =>
      startRealServer(server, program, directory),
    );
    if (withoutRanges.has(server.name)) {
      assert.equal([fetched, requests], [bytes.length, 1]);
      return;
    }
    // The changed one, the end of the package, its manifest and a few headers.
    assert.ok(fetched <= changedBytes + limits.tailBytes + 4_000, `${fetched} of ${bytes.length}`);
    assert.ok(requests <= 4, `${requests} requests`);
  });
}

test.run();
