/** Adaptive downloads from the real servers that this machine has: the right bytes, and no more of them fetched than are missing. */

import { suite } from '../runner/suites.ts';
import { programPath, realServers, startRealServer } from './real-servers.ts';
import { skipped } from './rig.ts';
import { prepareUpdate, servedUpdates } from './served-updates.ts';

const test = suite('adaptive from real servers');

/** What does not know ranges sends the whole, once. */
const withoutRanges = new Set(['Python http.server']);

const quickProgram = realServers
  .map(({ program }) => programPath(program))
  .find((path) => path !== undefined);

for (const update of servedUpdates) {
  const made = { prepared: undefined as Awaited<ReturnType<typeof prepareUpdate>> | undefined };
  for (const server of realServers) {
    const name = `real ${server.name}: ${update.name}`;
    const program = programPath(server.program);
    if (program === undefined) {
      skipped(name, `no ${server.program} program`);
      continue;
    }
    // Quick: every server with the first update, every update from the first server.
    const isQuick = update.isLong !== true && (update === servedUpdates[0] || program === quickProgram);
    (isQuick ? test : test.long)(name, async () => {
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
