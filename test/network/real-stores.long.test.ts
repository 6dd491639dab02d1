/**
 * Adaptive downloads from servers out of npm, PyPI and Go, S3's stand-ins by presigned URLs among them: the right bytes, and no more
 * of them fetched than are missing. `make store-servers` installs them; what is not there is skipped.
 */
import { suite } from 'uvu';
import { skipped } from './rig.ts';
import { prepareUpdate, servedUpdates } from './served-updates.ts';
import { startStoreServer, storeServers, whyMissing } from './store-servers.ts';

const test = suite('adaptive from stores');

for (const update of servedUpdates) {
  const made = { prepared: undefined as Awaited<ReturnType<typeof prepareUpdate>> | undefined };
  for (const server of storeServers) {
    const missing = whyMissing(server);
    const name = `${server.name}: ${update.name}`;
    if (missing !== undefined) {
      skipped(name, missing);
      test.skip(name);
      continue;
    }
    test(name, async () => {
      made.prepared ??= await prepareUpdate(update);
      await made.prepared.downloadFrom((directory) => startStoreServer(server, directory));
    });
  }
  test.after(() => made.prepared?.remove());
}

test.run();
