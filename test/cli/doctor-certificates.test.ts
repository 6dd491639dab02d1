/** The doctor on the client's certificate, at several moments of its life. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { certificateChecks } from '../../src/cli/doctor-certificates.ts';
import { resolveConfig } from '../../src/config.ts';
import { makeCertificates } from '../network/certificates.ts';
import { suite } from '../runner/suites.ts';

const base = suite('doctor on certificates');
const certificates = makeCertificates();
if (certificates === undefined) console.log('skipped: there is no openssl program');
const test = certificates === undefined ? base.skip : base;
const folder = mkdtempSync(join(tmpdir(), 'doctor-certificates-'));
base.after(() => {
  certificates?.remove();
  rmSync(folder, { recursive: true });
});
const dayMs = 24 * 60 * 60 * 1000;

/** Level and words of each finding. */
async function look(certFile: string, nowMs: number): Promise<string[]> {
  const config = resolveConfig({ 'cert-file': certFile, 'key-file': certFile }, undefined);
  return (await certificateChecks(config, nowMs)).map(({ level, found }) => `${level} ${found}`);
}

function pairOf(name: 'client' | 'expired' | 'future') {
  if (certificates === undefined) throw new Error('there are no certificates');
  return certificates[name];
}

test('it is good, ends soon, has expired, or is not valid yet', async () => {
  const { certFile } = pairOf('client');
  const what = `cert_file: ${certFile}: CN=client`;
  const end = Date.UTC(2098, 0, 1);
  assert.equal(await look(certFile, end - 31 * dayMs), [`ok ${what} is valid until 2098-01-01 00:00 UTC`]);
  assert.equal(await look(certFile, end - 29 * dayMs), [
    `warn ${what} is valid until 2098-01-01 00:00 UTC only`,
  ]);
  assert.equal(await look(certFile, end + 1000), [`fail ${what} has expired, on 2098-01-01 00:00 UTC`]);
  const early = Date.UTC(1970, 0, 1);
  assert.equal(await look(certFile, early), [
    `fail ${what} is not valid before 2020-01-01 00:00 UTC, and now it is 1970-01-01 00:00 UTC`,
  ]);
});

test('one that lives for days only ends soon when it has missed its renewal', async () => {
  const certFile = join(folder, 'short.pem');
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', certFile];
  const args = ['req', '-x509', ...key, '-days', '10', '-subj', '/CN=short', '-out', `${certFile}.crt`];
  execFileSync('openssl', args, { stdio: 'pipe' });
  const begun = Date.now();
  assert.match((await look(`${certFile}.crt`, begun + 7 * dayMs)).join(), /^ok /);
  assert.match((await look(`${certFile}.crt`, begun + 9 * dayMs)).join(), /^warn .* only$/);
});

test('an issuer in its chain counts, too', async () => {
  const chain = join(folder, 'chain.pem');
  writeFileSync(
    chain,
    `${readFileSync(pairOf('client').certFile)}\n${readFileSync(pairOf('expired').certFile)}`,
  );
  assert.match((await look(chain, Date.now())).join(), /^fail .*: CN=expired has expired, on 2001-01-01 /);
});

test('a file without a certificate, and a damaged one', async () => {
  assert.match((await look(pairOf('client').keyFile, Date.now())).join(), /^fail .* holds no certificate: /);
  const damaged = join(folder, 'damaged.pem');
  writeFileSync(damaged, readFileSync(pairOf('client').certFile, 'latin1').replace(/\n.{40}/, '\n'));
  assert.match((await look(damaged, Date.now())).join(), /^fail .* holds no certificate: /);
});

base.run();
