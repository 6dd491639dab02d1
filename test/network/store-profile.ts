/**
 * How real package stores answer when nothing is wrong: which validators they send, and how they read Range and If-Range.
 * The profiles are the rows of the table in servers.test.ts.
 */
import type { IncomingMessage } from 'node:http';

/** How one kind of server answers when nothing is wrong. */
export interface Profile {
  readonly etag: 'strong' | 'weak' | 'bare' | 'none';
  readonly lastModified: boolean;
  readonly ranges: boolean;
  /** Which If-Range it honours: any of its validators, only its date, or it pays no attention and answers 206. */
  readonly ifRange: 'both' | 'date' | 'ignored';
  readonly contentRangeOn416: boolean;
  /** hawkBit: a 200 that carries a Content-Range. */
  readonly contentRangeOn200: boolean;
}

export const plainProfile: Profile = {
  etag: 'strong',
  lastModified: true,
  ranges: true,
  ifRange: 'both',
  contentRangeOn416: true,
  contentRangeOn200: false,
};

/** One version of the file. */
export interface Entity {
  readonly bytes: Uint8Array;
  readonly version: number;
  /** In place of the ETag that the profile would give it. */
  readonly etag?: string;
}

export interface Reply {
  status: number;
  headers: Record<string, string>;
  body: Uint8Array;
}

/** The answer of a server that follows its profile. */
export function honestReply(
  profile: Profile,
  { bytes, version, etag }: Entity,
  request: IncomingMessage,
  ignoreRange: boolean,
): Reply {
  const validators = { ...validatorHeaders(profile, version), ...(etag ? { etag } : {}) };
  const [, offset, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const whole = { ...validators, 'content-length': String(bytes.length) };
  if (offset === undefined || !profile.ranges || ignoreRange)
    return { status: 200, headers: whole, body: bytes };
  const from = Number(offset);
  if (!ifRangeMatches(profile, validators, request.headers['if-range'])) {
    const odd = profile.contentRangeOn200 ? { 'content-range': rangeOf(0, bytes.length) } : {};
    return { status: 200, headers: { ...whole, ...odd }, body: bytes };
  }
  if (from >= bytes.length) {
    const range: Record<string, string> = profile.contentRangeOn416
      ? { 'content-range': `bytes */${bytes.length}` }
      : {};
    return { status: 416, headers: range, body: new Uint8Array() };
  }
  const until = last === undefined || last === '' ? bytes.length : Math.min(bytes.length, Number(last) + 1);
  const body = bytes.subarray(from, until);
  const headers = {
    ...validators,
    'content-length': String(body.length),
    'content-range': `bytes ${from}-${until - 1}/${bytes.length}`,
  };
  return { status: 206, headers, body };
}

function ifRangeMatches(
  profile: Profile,
  validators: Record<string, string>,
  ifRange: string | string[] | undefined,
): boolean {
  if (ifRange === undefined || profile.ifRange === 'ignored') return true;
  if (ifRange === validators['last-modified']) return true;
  return profile.ifRange === 'both' && ifRange === validators.etag;
}

function validatorHeaders(profile: Profile, version: number): Record<string, string> {
  const headers: Record<string, string> = {};
  if (profile.etag === 'strong') headers.etag = `"v${version}"`;
  if (profile.etag === 'weak') headers.etag = `W/"v${version}"`;
  if (profile.etag === 'bare') headers.etag = `v${version}`;
  if (profile.lastModified) headers['last-modified'] = new Date(Date.UTC(2020, 0, 1 + version)).toUTCString();
  return headers;
}

export function rangeOf(from: number, totalBytes: number): string {
  return `bytes ${from}-${totalBytes - 1}/${totalBytes}`;
}
