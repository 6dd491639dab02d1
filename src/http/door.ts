/**
 * Who may come in: the checks between a request's head and an endpoint (spec section 2). Pure. A web page on the device's
 * network must not drive the updater: so a request names us by an address, which no foreign DNS can point at us, comes from no
 * other origin, and says that its body is JSON, which a page cannot without asking first.
 */
import type { IncomingMessage } from 'node:http';
import { type DocumentName, documents, type EndpointName, endpoints } from './contract.ts';
import { HttpError } from './http-error.ts';

export interface DoorPolicy {
  /** The host name the server was told to listen on; it may be named in Host. */
  readonly host: string;
  /** Undefined: no token is asked for. */
  readonly token: string | undefined;
}

/** What the door looks at of a request. */
export type RequestHead = Pick<IncomingMessage, 'method' | 'url' | 'headers' | 'rawHeaders'>;

/** The endpoint a request may call, or the document it may have. Throws HttpError 400, 401, 403, 404, 405 or 415. */
export function admit(head: RequestHead, policy: DoorPolicy): EndpointName | DocumentName {
  const { authority, path } = targetOf(head);
  checkHost(authority, policy.host);
  checkOrigin(head.headers.origin, authority);
  const there = byPath.get(path);
  const first = there?.[0];
  if (first !== 'screen' && first !== 'healthz') checkToken(head.headers.authorization, policy.token);
  if (there === undefined) throw new HttpError(404, 'no such path');
  const name = there.find((candidate) => takes(candidate, head.method));
  if (name === undefined) throw wrongMethod(there);
  if (methodOf(name) === 'POST') checkContentType(head);
  return name;
}

/** What answers in its own form, not in the envelope. */
export function isDocument(name: EndpointName | DocumentName): name is DocumentName {
  return Object.hasOwn(documents, name);
}

/** True when the head announces a body (RFC 9112 section 6); one in a transfer encoding has not come so far. */
function hasBody(head: RequestHead): boolean {
  return Number(head.headers['content-length'] ?? 0) > 0;
}

/** What answers at a path: one name for each method. */
const byPath: ReadonlyMap<string, readonly (EndpointName | DocumentName)[]> = groupByPath([
  ...Object.entries(endpoints).map(([name, { path }]) => [path, name as EndpointName] as const),
  ...Object.entries(documents).map(([name, { path }]) => [path, name as DocumentName] as const),
]);

function groupByPath<Name>(entries: readonly (readonly [string, Name])[]): Map<string, Name[]> {
  const groups = new Map<string, Name[]>();
  for (const [path, name] of entries) groups.set(path, [...(groups.get(path) ?? []), name]);
  return groups;
}

function methodOf(name: EndpointName | DocumentName): 'GET' | 'POST' {
  return isDocument(name) ? 'GET' : endpoints[name].method;
}

/** The absolute form of a target brings its own authority, which outranks Host (RFC 9112 section 3.2.2). */
function targetOf(head: RequestHead): { authority: string | undefined; path: string } {
  if (hostCount(head) > 1) throw new HttpError(400, 'more than one Host header');
  const [beforeQuery = ''] = (head.url ?? '').split('?', 1);
  const absolute = /^http:\/\/([^/]+)(\/.*)?$/i.exec(beforeQuery);
  if (absolute === null) return { authority: head.headers.host, path: beforeQuery };
  return { authority: absolute[1], path: absolute[2] ?? '/' };
}

/** `rawHeaders` has names and values in turn; Node's own way to them by name fails on some names (CVE-2026-21710). */
function hostCount({ rawHeaders }: RequestHead): number {
  return rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length;
}

/** Loopback names, IP literals and the configured name pass: none of them can be pointed at us by foreign DNS. */
function checkHost(authority: string | undefined, configuredHost: string): void {
  if (authority === undefined) throw new HttpError(403, 'a Host header is required');
  const name = authority.replace(/:\d{0,5}$/, '').toLowerCase();
  const isLoopbackName = name === 'localhost' || name.endsWith('.localhost');
  const isAddress = /^\d{1,3}(\.\d{1,3}){3}$/.test(name) || /^\[[0-9a-f:.]+\]$/.test(name);
  if (isLoopbackName || isAddress || name === configuredHost.toLowerCase()) return;
  throw new HttpError(403, 'Host must be a loopback name, an IP address or the configured host');
}

/** Browsers send Origin with every POST; a page that the updater did not serve itself is foreign. */
function checkOrigin(origin: string | undefined, authority: string | undefined): void {
  if (origin === undefined || origin.toLowerCase() === `http://${authority?.toLowerCase()}`) return;
  throw new HttpError(403, 'requests from another origin are refused');
}

function checkToken(authorization: string | undefined, token: string | undefined): void {
  if (token === undefined) return;
  const given = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? '';
  if (isSame(given, token)) return;
  throw new HttpError(401, 'the token of --token-file is required', { 'WWW-Authenticate': 'Bearer' });
}

/** Takes the same time wherever the two differ, so that a token cannot be guessed character by character. */
function isSame(given: string, expected: string): boolean {
  const a = Buffer.from(given);
  const b = Buffer.from(expected);
  let difference = a.length ^ b.length;
  for (const [index, byte] of b.entries()) difference |= byte ^ (a[index] ?? 0);
  return difference === 0;
}

function takes(name: EndpointName | DocumentName, given: string | undefined): boolean {
  const method = methodOf(name);
  return given === method || (given === 'HEAD' && method === 'GET');
}

function wrongMethod(names: readonly (EndpointName | DocumentName)[]): HttpError {
  const methods = names.map(methodOf);
  const allow = methods.map((method) => (method === 'GET' ? 'GET, HEAD' : method)).join(', ');
  return new HttpError(405, `the method here is ${methods.join(' or ')}`, { Allow: allow });
}

/** A request without a body need not say what its body is, but if it does it must be right. */
function checkContentType(head: RequestHead): void {
  const type = head.headers['content-type'];
  const encoding = head.headers['content-encoding'];
  if (type === undefined && !hasBody(head)) return;
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    throw new HttpError(415, 'Content-Encoding must be identity');
  if (!/^application\/json *(;|$)/i.test(type ?? ''))
    throw new HttpError(415, 'Content-Type must be application/json');
}
