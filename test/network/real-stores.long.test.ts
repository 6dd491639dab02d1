/**
 * Adaptive downloads from servers out of npm, PyPI and Go, S3's stand-ins by presigned URLs among them: the right bytes, and no more
 * of them fetched than are missing. `make store-servers` installs them; what is not there is skipped.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { limits } from '../../src/limits.ts';
import { changedBytes, changedThird } from './changed-third.ts';
import { skipped } from './rig.ts';
import { startStoreServer, storeServers, whyMissing } from './store-servers.ts';

const test = suite('adaptive from stores');

for (const server of storeServers) {
  const missing = whyMissing(server);
  const name = `${server.name}: one of three files changed`;
  if (missing !== undefined) {
    skipped(name, missing);
    test.skip(name);
    continue;
  }
  test(name, async () => {
    const { bytes, fetched, requests } = await changedThird((directory) =>
      startStoreServer(server, directory),
    );
    // The changed one, the end of the package, its manifest and a few headers.
    assert.ok(fetched <= changedBytes + limits.tailBytes + 4_000, `${fetched} of ${bytes.length}`);
    assert.ok(requests <= 4, `${requests} requests`);
  });
}

test.run();
