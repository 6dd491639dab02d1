/**
 * Which proxy a URL goes through, by HTTP_PROXY, HTTPS_PROXY and NO_PROXY (lower case wins). Loopback addresses never go through
 * one. NO_PROXY: `*`, host names with their subdomains, addresses and CIDR ranges, each with an optional port.
 */
import { BlockList, isIP } from 'node:net';
import { basicCredentials } from '../basic-credentials.ts';

export interface ProxyTarget {
  readonly protocol: 'http:' | 'https:';
  readonly hostname: string;
  readonly port: number;
  /** Value of Proxy-Authorization, from the userinfo of the proxy's URL. */
  readonly authorization: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The proxy for `url`, or undefined for a direct connection. Throws ERR_INVALID_URL for a proxy that is no http(s) URL. */
export function proxyFor(url: URL, environment: Environment): ProxyTarget | undefined {
  const named = variable(environment, url.protocol === 'https:' ? 'https_proxy' : 'http_proxy');
  if (named === undefined || isExempt(url, variable(environment, 'no_proxy') ?? '')) return undefined;
  return parsedProxy(named);
}

/** The host of a URL as sockets want it: an IPv6 address without its brackets. */
export function socketHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

export function socketPort(url: URL): number {
  if (url.port !== '') return Number(url.port);
  return url.protocol === 'https:' ? 443 : 80;
}

function variable(environment: Environment, name: string): string | undefined {
  return environment[name] || environment[name.toUpperCase()] || undefined;
}

function isExempt(url: URL, noProxy: string): boolean {
  const host = socketHost(url).replace(/\.$/, '');
  if (host === 'localhost' || host.endsWith('.localhost') || inSubnet(host, '127.0.0.0/8') || host === '::1')
    return true;
  return noProxy
    .split(/[\s,]+/)
    .filter((item) => item !== '')
    .some((item) => covers(item.toLowerCase(), host, socketPort(url)));
}

function covers(item: string, host: string, port: number): boolean {
  if (item === '*') return true;
  if (item.includes('/')) return inSubnet(host, item);
  const parts = /^(?:\[([^\]]+)\]|([^:]*)):(\d+)$/.exec(item);
  if (parts !== null && Number(parts[3]) !== port) return false;
  const name = (parts?.[1] ?? parts?.[2] ?? item).replace(/^\[|\]$/g, '').replace(/^\*?\./, '');
  if (isIP(name) !== 0) return inSubnet(host, `${name}/${isIP(name) === 6 ? 128 : 32}`);
  return host === name || host.endsWith(`.${name}`);
}

function inSubnet(host: string, subnet: string): boolean {
  const [address = '', prefix = ''] = subnet.split('/');
  const family = isIP(address);
  if (family === 0 || isIP(host) !== family || !/^\d{1,3}$/.test(prefix)) return false;
  if (Number(prefix) > (family === 6 ? 128 : 32)) return false;
  const list = new BlockList();
  const type = family === 6 ? 'ipv6' : 'ipv4';
  list.addSubnet(address, Number(prefix), type);
  return list.check(host, type);
}

function parsedProxy(named: string): ProxyTarget {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(named) ? named : `http://${named}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (url === undefined || !isHttp || url.port === '0')
    throw Object.assign(new Error('the proxy setting is not an http: or https: URL'), {
      code: 'ERR_INVALID_URL',
    });
  return {
    protocol: url.protocol === 'https:' ? 'https:' : 'http:',
    hostname: socketHost(url),
    port: socketPort(url),
    authorization: basicCredentials(url),
  };
}
