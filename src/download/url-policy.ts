/**
 * Which URLs a package may come from, and what of a URL may be written down. Pure.
 *
 * Invariants: https is allowed anywhere; http only to hosts of the local network unless the operator allows it; a
 * redirect obeys the same rule and never goes from https to http; credentials stay with the origin they were given
 * for; query strings and userinfo (pre-signed URLs are secrets) never reach a log or an error text.
 * Source: spec section 2 (`package_url`) and 6.
 */
import { basicCredentials } from '../basic-credentials.ts';
import { UpdateError } from '../errors.ts';

/** One address to ask: the URL without userinfo and fragment, and the Authorization header that goes with it. */
export interface Address {
  readonly url: URL;
  readonly authorization: string | undefined;
}

/** Checks `package_url`. Throws VALIDATION_ERROR naming the field, the rule and the URL without its secrets. */
export function packageAddress(packageUrl: string, allowHttp: boolean): Address {
  const url = parsed(packageUrl);
  const why = url === undefined ? 'not an absolute URL' : whyRefused(url, allowHttp);
  if (url === undefined || why !== undefined)
    throw new UpdateError('VALIDATION_ERROR', `package_url ${redactUrl(packageUrl)}: ${why}`);
  return addressOf(url, undefined);
}

/**
 * Where a redirect leads: `location` as the server sent it, absolute or relative to `from`. Throws DOWNLOAD_FAILED
 * when the policy forbids it. Credentials go along only where scheme, host and port stay the same.
 */
export function redirectAddress(from: Address, location: string, allowHttp: boolean): Address {
  const url = parsed(location, from.url.href);
  const why = url === undefined ? 'not a URL' : whyRedirectRefused(from.url, url, allowHttp);
  if (url === undefined || why !== undefined)
    throw new UpdateError(
      'DOWNLOAD_FAILED',
      `${redactUrl(from.url.href)} redirects to ${redactUrl(location)}: ${why}`,
    );
  return addressOf(url, url.origin === from.url.origin ? from.authorization : undefined);
}

/** A URL for logs and error texts: scheme, host and path; `?...` stands for a query. Takes any text. */
export function redactUrl(text: string): string {
  const url = parsed(text);
  if (url !== undefined) {
    const authority = url.host === '' ? '' : `//${url.host}`;
    return `${url.protocol}${authority}${url.pathname}`.slice(0, 300) + (url.search === '' ? '' : '?...');
  }
  const [path = '', ...query] = text.split(/[?#]/);
  return path.replace(/^.*@/s, '').slice(0, 300) + (query.length === 0 ? '' : '?...');
}

function parsed(text: string, base?: string): URL | undefined {
  return URL.canParse(text, base) ? new URL(text, base) : undefined;
}

function whyRedirectRefused(from: URL, to: URL, allowHttp: boolean): string | undefined {
  if (from.protocol === 'https:' && to.protocol === 'http:') return 'https is never left for http';
  return whyRefused(to, allowHttp);
}

function whyRefused(url: URL, allowHttp: boolean): string | undefined {
  // Node would ask the scheme's usual port instead.
  if (url.port === '0') return 'port 0 cannot be asked';
  if (url.protocol === 'https:') return undefined;
  if (url.protocol !== 'http:') return `scheme ${url.protocol} is not allowed, only https: and http:`;
  if (allowHttp || isLocalHost(url.hostname)) return undefined;
  return 'http is allowed only to loopback, private and .local hosts; use https';
}

/** `hostname` as the WHATWG URL parser writes it: lower case, IPv4 in four decimal parts, IPv6 in brackets. */
function isLocalHost(hostname: string): boolean {
  if (hostname.startsWith('[')) return isLocalIpv6(hostname.slice(1, -1));
  const name = hostname.replace(/\.$/, '');
  const octets = /^(\d+)\.(\d+)\.\d+\.\d+$/.exec(name);
  if (octets !== null) return isLocalIpv4(Number(octets[1]), Number(octets[2]));
  return name === 'localhost' || name.endsWith('.localhost') || name.endsWith('.local');
}

/** Loopback 127/8, RFC 1918, link-local 169.254/16 (RFC 3927). */
function isLocalIpv4(first: number, second: number): boolean {
  return (
    first === 127 ||
    first === 10 ||
    (first === 172 && second >= 16 && second <= 31) ||
    (first === 192 && second === 168) ||
    (first === 169 && second === 254)
  );
}

/** Loopback ::1, unique-local fc00::/7 (RFC 4193), link-local fe80::/10, and IPv4-mapped ::ffff:a.b.c.d. */
function isLocalIpv6(address: string): boolean {
  if (address === '::1') return true;
  const mapped = /^::ffff:([0-9a-f]{1,4}):[0-9a-f]{1,4}$/.exec(address);
  if (mapped !== null) {
    const high = Number.parseInt(mapped[1] ?? '', 16);
    return isLocalIpv4(high >> 8, high & 0xff);
  }
  return /^f[cd][0-9a-f]{2}:/.test(address) || /^fe[89ab][0-9a-f]:/.test(address);
}

function addressOf(from: URL, inherited: string | undefined): Address {
  const url = new URL(from);
  url.username = '';
  url.password = '';
  url.hash = '';
  return { url, authorization: basicCredentials(from) ?? inherited };
}
