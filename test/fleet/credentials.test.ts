/** Who the device is to the server: by the token of the gateway, or by a client certificate (mutual TLS). */
import * as assert from 'uvu/assert';
import { type Daemon, until } from '../integration/daemon.ts';
import { makeCertificates } from '../network/certificates.ts';
import { concurrently } from '../runner/concurrently.ts';
import { askFleet, type FleetDevice, token, withFleet } from './device.ts';

const test = concurrently('credentials of a fleet');
const certificates = makeCertificates();
process.once('exit', () => certificates?.remove());

test("with the gateway's token the device polls, downloads and tells", () =>
  withFleet(
    async (device) => {
      const id = await device.order(device.usual('2.0.0'), { type: 'downloadonly' });
      const daemon = await device.join(['--fleet-token-kind', 'gateway']);
      await device.ends(daemon, id, 'downloaded');
      const words = device.server.seen.map(({ headers }) => headers.authorization);
      assert.equal([...new Set(words)], [`GatewayToken ${token}`]);
    },
    { authorization: `GatewayToken ${token}` },
  ));

const tls = certificates && {
  key: certificates.server.key,
  cert: certificates.server.cert,
  ca: certificates.ca,
  requestCert: true,
  rejectUnauthorized: true,
};

/** Starts the daemon without a token, with the certificate of that name. */
async function joinBy(device: FleetDevice, name: 'client' | 'server'): Promise<Daemon> {
  if (certificates === undefined) throw new Error('there are no certificates');
  const { certFile, keyFile } = certificates[name];
  const flags = ['--ca-file', certificates.caFile, '--cert-file', certFile, '--key-file', keyFile];
  const daemon = await device.start(['--fleet-url', device.server.url, '--fleet-id', 'client', ...flags]);
  await askFleet(daemon, { poll: true });
  return daemon;
}

test.needing(
  certificates === undefined ? 'there is no openssl program' : undefined,
  'with a client certificate, and no token, the device polls, downloads and tells over mutual TLS',
  () =>
    withFleet(
      async (device) => {
        const id = await device.order(device.usual('2.0.0'), { type: 'downloadonly' });
        const daemon = await joinBy(device, 'client');
        await device.ends(daemon, id, 'downloaded');
        assert.ok(device.server.log().some((line) => /^GET \/softwaremodules\/.* -> 200$/.test(line)));
        for (const { headers } of device.server.seen) assert.is(headers.authorization, undefined);
      },
      { authorization: undefined, device: 'client', checksName: true, ...(tls && { tls }) },
    ),
);

test.needing(
  certificates === undefined ? 'there is no openssl program' : undefined,
  'the certificate of another device is answered 401, and that is told',
  () =>
    withFleet(
      async (device) => {
        const daemon = await joinBy(device, 'server');
        await until('a poll has failed', async () => (await askFleet(daemon)).data.problem !== null);
        assert.match((await askFleet(daemon)).data.problem ?? '', /^GET \/: HTTP 401/);
      },
      { authorization: undefined, device: 'client', checksName: true, ...(tls && { tls }) },
    ),
);

test.run();
