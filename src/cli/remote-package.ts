/**
 * A package behind a URL, read without storing it: its digests in one pass, its manifest by a few Range requests. The daemon
 * downloads and checks by itself.
 */

import { newDigests } from '../download/digest.ts';
import { type Address, packageAddress, redactUrl, redirectAddress } from '../download/url-policy.ts';
import { errorText } from '../errors.ts';
import type { HttpResponse, Net } from '../host/host.ts';
import { freeMemory } from '../host/memory.ts';
import { limits } from '../limits.ts';
import type { PackageFile } from '../package/extraction.ts';
import { CommandError } from './failure.ts';
import { type PackageFacts, readSaid } from './package-facts.ts';

/** What the person told already; the rest is found out. */
export type KnownFacts = {
  readonly [Key in Exclude<keyof PackageFacts, 'notes'>]: PackageFacts[Key] | undefined;
};

/** Each Range request brings this much: entries of a package lie close together. */
const windowBytes = 256 * 1024;

/** Completes what is known. `onBytes` hears how much has been read. Throws a CommandError that names the URL. */
export async function remoteFacts(
  net: Net,
  packageUrl: string,
  known: KnownFacts,
  onBytes: (bytes: number) => void,
): Promise<PackageFacts> {
  // The daemon alone knows whether it takes plain http from everywhere.
  const address = packageAddress(packageUrl, true);
  const content = await contentFacts(net, address, known, onBytes);
  const remote = { open: async () => remoteFile(net, address, content.sizeBytes) };
  try {
    const said =
      known.version === undefined
        ? await readSaid(remote, redactUrl(packageUrl))
        : { version: known.version, notes: undefined };
    return { ...said, ...content };
  } catch (thrown) {
    // The archive's reader wraps what the network said.
    if (thrown instanceof Error && thrown.cause instanceof CommandError) throw thrown.cause;
    throw thrown;
  }
}

async function contentFacts(
  net: Net,
  address: Address,
  known: KnownFacts,
  onBytes: (bytes: number) => void,
): Promise<Omit<PackageFacts, 'version' | 'notes'>> {
  const { sizeBytes: givenBytes, md5: givenMd5, sha256: givenSha256 } = known;
  if (givenBytes !== undefined && givenMd5 !== undefined)
    return { sizeBytes: givenBytes, md5: givenMd5, sha256: givenSha256 };
  const digests = await newDigests(freeMemory, true, 0);
  const response = await ask(net, address, {}, 200);
  let sizeBytes = 0;
  for await (const chunk of response.body) {
    digests.update(chunk);
    sizeBytes += chunk.length;
    onBytes(sizeBytes);
  }
  const found = { sizeBytes, ...(await digests.finish()) };
  for (const key of ['sizeBytes', 'md5', 'sha256'] as const) {
    const told = known[key];
    if (told !== undefined && told !== found[key])
      throw new CommandError(`${redactUrl(address.url.href)}: ${key} is ${found[key]}, not ${told}`);
  }
  return found;
}

/** Reading only; every window is one request. */
function remoteFile(net: Net, address: Address, sizeBytes: number): PackageFile {
  let window: { start: number; bytes: Uint8Array } = { start: 0, bytes: new Uint8Array(0) };
  return {
    read: async (buffer, offset, length, position) => {
      if (position >= sizeBytes) return 0;
      const covers = position >= window.start && position < window.start + window.bytes.length;
      if (!covers) window = { start: position, bytes: await rangeOf(net, address, position, sizeBytes) };
      const part = window.bytes.subarray(position - window.start).subarray(0, length);
      buffer.set(part, offset);
      return part.length;
    },
    stat: async () => ({ sizeBytes }),
    close: async () => undefined,
  };
}

async function rangeOf(net: Net, address: Address, start: number, sizeBytes: number): Promise<Uint8Array> {
  const end = Math.min(start + windowBytes, sizeBytes);
  const response = await ask(net, address, { range: `bytes=${start}-${end - 1}` }, 206);
  const bytes = new Uint8Array(end - start);
  let length = 0;
  for await (const chunk of response.body) {
    if (length + chunk.length > bytes.length) break;
    bytes.set(chunk, length);
    length += chunk.length;
  }
  if (length === bytes.length) return bytes;
  throw new CommandError(`${redactUrl(address.url.href)}: asked for ${bytes.length} bytes, got ${length}`);
}

/** A GET, redirects followed by the daemon's own rules; any other status than the one wanted is an error. */
async function ask(
  net: Net,
  start: Address,
  headers: Readonly<Record<string, string>>,
  wantedStatus: number,
): Promise<HttpResponse> {
  let address = start;
  for (let hops = 0; hops <= limits.redirects; hops++) {
    const { url, authorization } = address;
    const response = await net
      .request({
        method: 'GET',
        url: url.href,
        headers: {
          ...headers,
          'accept-encoding': 'identity',
          ...(authorization === undefined ? {} : { authorization }),
        },
        headTimeoutMs: limits.downloadStallMs,
        stallTimeoutMs: limits.downloadStallMs,
      })
      .catch((thrown: unknown) => {
        const why = errorText(thrown);
        throw new CommandError(`${redactUrl(url.href)}: ${why}`, 1, { cause: thrown });
      });
    if (response.status === wantedStatus) return response;
    response.discard();
    const { location } = response.headers;
    const isRedirect = [301, 302, 303, 307, 308].includes(response.status) && location !== undefined;
    if (!isRedirect) throw new CommandError(unexpected(url, response.status, wantedStatus));
    address = redirectAddress(address, location, true);
  }
  throw new CommandError(`${redactUrl(start.url.href)}: more than ${limits.redirects} redirects`);
}

function unexpected(url: URL, status: number, wanted: number): string {
  const where = redactUrl(url.href);
  return wanted === 206 && status === 200
    ? `${where}: the server has no ranges, so the version cannot be read; give it with --release`
    : `${where}: HTTP ${status}`;
}
