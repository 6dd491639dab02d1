/** Adaptive downloads from the real servers that this machine has: the right bytes, and no more of them fetched than are missing. */

import { suite } from '../runner/suites.ts';
import { programPath, realServers, startRealServer } from './real-servers.ts';
import { skipped } from './rig.ts';
import { prepareUpdate, servedUpdates } from './served-updates.ts';

const test = suite('adaptive from real servers');

/** What does not know ranges sends the whole, once. */
const withoutRanges = new Set(['Python http.server']);

for (const update of servedUpdates) {
  const made = { prepared: undefined as Awaited<ReturnType<typeof prepareUpdate>> | undefined };
  const add = update.isLong === true ? test.long : test;
  for (const server of realServers) {
    const name = `real ${server.name}: ${update.name}`;
    const program = programPath(server.program);
    if (program === undefined) {
      skipped(name, `no ${server.program} program`);
      continue;
    }
    add(name, async () => {
      made.prepared ??= await prepareUpdate(update);
      await made.prepared.downloadFrom(
        (directory) => startRealServer(server, program, directory),
        !withoutRanges.has(server.name),
      );
    });
  }
  test.after(() => made.prepared?.remove());
}

test.run();
