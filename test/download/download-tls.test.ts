/** Downloads over https: resumed as over http, and what is told when the certificate or the clock is wrong. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Certificates, makeCertificates } from '../network/certificates.ts';
import { startFaultServer } from '../network/fault-server.ts';
import {
  obtain,
  quickClock,
  requestFor,
  skipped,
  someBytes,
  temporaryDirectory,
  testHost,
} from '../network/rig.ts';

const right = someBytes(700_000);
const certificates = makeCertificates();

if (certificates === undefined) {
  skipped('downloads over https', 'no openssl program');
  test.skip('https');
} else {
  test.after(() => certificates.remove());

  test('a cut is resumed over https', async () => {
    const { outcome, asked } = await from(certificates, 'server', { caFile: certificates.caFile }, 300_000);
    assert.is(outcome.error, undefined, outcome.error?.message);
    assert.equal(asked, [undefined, 'bytes=300000-']);
  });

  test('a device that lives in 1970 is told so', async () => {
    const { outcome } = await from(certificates, 'future', { caFile: certificates.caFile });
    assert.match(
      outcome.error?.message ?? '',
      /^DOWNLOAD_FAILED: https:.*TLS: certificate not yet valid: device clock says 1970-01-01T00:00:07\.000Z/,
    );
    assert.match(outcome.error?.message ?? '', /3 retries in a row/, 'the clock may be set meanwhile');
  });

  test('an expired certificate is told with the device clock', async () => {
    const { outcome } = await from(certificates, 'expired', { caFile: certificates.caFile });
    assert.match(outcome.error?.message ?? '', /TLS: certificate has expired: device clock says 1970-01-01T/);
  });

  test('an untrusted certificate is final at once', async () => {
    const { outcome, sleeps } = await from(certificates, 'server', {});
    assert.match(outcome.error?.message ?? '', /^DOWNLOAD_FAILED: .*\(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)$/);
    assert.equal(sleeps, []);
  });

  test('a missing CA file is final at once and named', async () => {
    const { outcome, sleeps } = await from(certificates, 'server', { caFile: '/no/such/ca.pem' });
    assert.match(outcome.error?.message ?? '', /^DOWNLOAD_FAILED: .*\/no\/such\/ca\.pem/);
    assert.equal(sleeps, []);
  });
}

test.run();

/** One download by a device whose clock stands at second 7 of 1970. */
async function from(
  made: Certificates,
  which: 'server' | 'future' | 'expired',
  net: { caFile?: string },
  cutAfterBytes?: number,
) {
  const sleeps: number[] = [];
  const tls = { cert: made[which].cert, key: made[which].key };
  const server = await startFaultServer({ versions: [right], tls });
  if (cutAfterBytes !== undefined) server.script([{ kind: 'cut', afterBytes: cutAfterBytes }]);
  const work = temporaryDirectory();
  const clock = { ...quickClock(sleeps), now: () => 7_000 };
  try {
    const outcome = await obtain(testHost({ clock }, net), work.path, requestFor(server.url, right));
    return { outcome, sleeps, asked: server.seen.map(({ headers }) => headers.range) };
  } finally {
    await server.close();
    work.remove();
  }
}
