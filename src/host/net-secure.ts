/**
 * What the network's TLS connections have in common: the authorities, the client's certificate and key. They are read anew for each
 * connection, so that a renewed certificate is picked up; made anew, which takes memory that the collector does not see, only where the
 * files hold something else.
 */
import { readFile } from 'node:fs/promises';
import type * as Tls from 'node:tls';
import { errno, errorText, UpdateError } from '../errors.ts';

export interface TlsFiles {
  /** PEM file of the certificate authorities to trust instead of the built-in ones. */
  readonly caFile?: string | undefined;
  /** PEM files of the client's certificate (chain) and key, shown to servers that ask (mTLS). */
  readonly clientCertFile?: string | undefined;
  readonly clientKeyFile?: string | undefined;
}

type Material = readonly (Buffer | undefined)[];

/** Gives the context of the next connection. Rejects with DOWNLOAD_FAILED where a file cannot be read, or with what OpenSSL says of it. */
export function secureContexts(files: TlsFiles): (tls: typeof Tls) => Promise<Tls.SecureContext> {
  let last: { readonly material: Material; readonly context: Tls.SecureContext } | undefined;
  return async (tls) => {
    const material: Material = await Promise.all([
      pem('ca_file', files.caFile),
      pem('cert_file', files.clientCertFile),
      pem('key_file', files.clientKeyFile),
    ]);
    if (last === undefined || !isSame(last.material, material)) {
      const [ca, cert, key] = material;
      last = { material, context: tls.createSecureContext({ ca, cert, key }) };
    }
    return last.context;
  };
}

function isSame(a: Material, b: Material): boolean {
  return a.every((bytes, index) => {
    const other = b[index];
    return bytes === other || (bytes !== undefined && other?.equals(bytes) === true);
  });
}

/** Not a fault of the network: it is not tried again. */
async function pem(option: string, path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  return await readFile(path).catch((thrown: unknown) => {
    const why = errno(thrown) ?? errorText(thrown);
    throw new UpdateError('DOWNLOAD_FAILED', `${option}: ${path} cannot be read: ${why}`, { cause: thrown });
  });
}
