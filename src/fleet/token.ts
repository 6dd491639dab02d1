/**
 * The token of the fleet's server: read anew for each request, refused where others can read the file, sent to the server's own
 * origin (RFC 6454) alone.
 */
import { errno } from '../errors.ts';
import { readWhole } from '../host/durable-file.ts';
import type { Host } from '../host/host.ts';
import type { FleetOptions } from './context.ts';
import { ServerFault } from './exchange.ts';

const tokenBytes = 4096;
/** hawkBit compares the scheme with its case. */
const schemes = { target: 'TargetToken', gateway: 'GatewayToken' } as const;

/** The Authorization for requests to the server; undefined where the client certificate has to do. Throws a ServerFault. */
export async function authorizationOf(
  { files }: Pick<Host, 'files'>,
  { tokenFile, tokenKind }: Pick<FleetOptions, 'tokenFile' | 'tokenKind'>,
): Promise<string | undefined> {
  if (tokenFile === undefined) return undefined;
  try {
    const real = await files.realPath(tokenFile);
    const mode = (await files.stat(real))?.mode ?? 0;
    if ((mode & 0o007) !== 0)
      throw new ServerFault(`${tokenFile} can be read or written by others: chmod 600 it`);
    const text = new TextDecoder().decode(await readWhole(files, real, tokenBytes)).trim();
    if (!/^[!-~]+$/.test(text))
      throw new ServerFault(`${tokenFile} must hold the token alone, one word of visible ASCII`);
    return `${schemes[tokenKind]} ${text}`;
  } catch (thrown) {
    if (errno(thrown) === undefined) throw thrown;
    throw new ServerFault(`${tokenFile} cannot be read: ${errno(thrown)}`);
  }
}
