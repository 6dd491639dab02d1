/**
 * Certificates for the tests, made at test time with the `openssl` program: an authority, a server certificate for
 * localhost, store.test, 127.0.0.1 and ::1, one that is not valid before 2090, one that expired in 2001, and a client's.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface KeyPair {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface Certificates {
  readonly caFile: string;
  readonly ca: Buffer;
  readonly server: KeyPair;
  readonly future: KeyPair;
  readonly expired: KeyPair;
  readonly client: KeyPair;
  remove(): void;
}

/** Undefined when there is no `openssl` on this machine. */
export function makeCertificates(): Certificates | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'tope-certificates-'));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  try {
    openssl('version');
  } catch {
    remove();
    return undefined;
  }
  writeFileSync(join(directory, 'ca.conf'), authorityConfig);
  writeFileSync(join(directory, 'index.txt'), '');
  openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'ca.key');
  const subject = ['-subj', '/CN=test authority', '-addext', 'basicConstraints=critical,CA:TRUE'];
  openssl('req', '-x509', '-key', 'ca.key', '-out', 'ca.crt', '-days', '30000', ...subject);
  const pair = (name: string, from: string, until: string): KeyPair => {
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${name}.key`);
    openssl('req', '-new', '-key', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const dates = ['-startdate', from, '-enddate', until];
    openssl(
      'ca',
      '-batch',
      '-config',
      'ca.conf',
      '-in',
      `${name}.csr`,
      '-out',
      `${name}.crt`,
      '-notext',
      ...dates,
    );
    const [certFile, keyFile] = [join(directory, `${name}.crt`), join(directory, `${name}.key`)];
    return { certFile, keyFile, cert: readFileSync(certFile), key: readFileSync(keyFile) };
  };
  return {
    caFile: join(directory, 'ca.crt'),
    ca: readFileSync(join(directory, 'ca.crt')),
    server: pair('server', '20200101000000Z', '20980101000000Z'),
    future: pair('future', '20900101000000Z', '20980101000000Z'),
    expired: pair('expired', '20000101000000Z', '20010101000000Z'),
    client: pair('client', '20200101000000Z', '20980101000000Z'),
    remove,
  };
}

const authorityConfig = `
[ca]
default_ca = authority
[authority]
database = index.txt
new_certs_dir = .
certificate = ca.crt
private_key = ca.key
rand_serial = yes
unique_subject = no
default_md = sha256
policy = anything
x509_extensions = leaf
[anything]
commonName = supplied
[leaf]
subjectAltName = DNS:localhost,DNS:store.test,IP:127.0.0.1,IP:::1
basicConstraints = CA:FALSE
`;
