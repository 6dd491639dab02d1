/**
 * What to ask of a package store, and what its answer means for the bytes we already have. Pure: the rules of resuming
 * a download as a decision table, written from how real servers answer (RFC 9110 sections 13.1.5, 14 and 15.5.17).
 *
 * Invariants: validators are kept and compared verbatim; bytes are only ever appended to a partial file when the
 * answer's offset, total and every validator it carries agree with what the partial file was begun with; the validators
 * may differ only where the question says that the digest shall decide.
 */
import * as v from 'valibot';
import { TrafficSchema } from './traffic.ts';

const etagChars = 1024;
const dateChars = 128;

/** What state.json remembers of a download. `bytes_downloaded` is for readers; the bytes really on disk count. */
export const ResumeSchema = v.object({
  bytes_downloaded: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  etag: v.nullable(v.pipe(v.string(), v.maxLength(etagChars))),
  last_modified: v.nullable(v.pipe(v.string(), v.maxLength(dateChars))),
  total: v.nullable(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
  /** What this download has taken so far; absent in what earlier versions wrote. */
  traffic: v.optional(TrafficSchema),
});
export type ResumeInfo = v.InferOutput<typeof ResumeSchema>;

/** How the server names one version of the file, verbatim. `total`: its whole size in bytes, where it was told. */
export type Validators = Pick<ResumeInfo, 'etag' | 'last_modified' | 'total'>;

export const noValidators: Validators = { etag: null, last_modified: null, total: null };

/** One question: where to go on, and whether with If-Range. `expectedBytes` is package_size. */
export interface Question {
  readonly bytesOnDisk: number;
  /** Up to where, exclusive; undefined: to the end. */
  readonly until?: number | undefined;
  readonly validators: Validators;
  readonly withIfRange: boolean;
  readonly expectedBytes: number;
  /** The edges of a CDN may name one file differently: offset and total are enough, the digest decides. */
  readonly trustsTotal?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

/** What to do with the answer; each `why` names the facts. */
export type Decision =
  /** The body goes on where the partial file ends. */
  | { readonly kind: 'append' }
  /** The body is the whole file. */
  | { readonly kind: 'startOver'; readonly why: string }
  /** The file is unchanged but the server does not understand our If-Range: ask once more with Range alone. */
  | { readonly kind: 'askWithoutIfRange' }
  /** Not our bytes: drop the answer and ask for the whole. */
  | { readonly kind: 'askForWhole'; readonly why: string }
  | { readonly kind: 'redirect'; readonly location: string }
  /** A failure that may pass: a try has failed. `isPage`: somebody else than the store seems to answer. */
  | { readonly kind: 'retry'; readonly why: string; readonly isPage?: true }
  /** Final; the partial file is kept. `needsReason`: the body may say why. */
  | {
      readonly kind: 'refuse';
      readonly code: 'DOWNLOAD_FAILED' | 'SIZE_MISMATCH';
      readonly why: string;
      readonly needsReason: boolean;
    };

/** The request headers that ask for the rest of the file. */
export function rangeHeaders(question: Question): Record<string, string> {
  const { bytesOnDisk, until } = question;
  if (bytesOnDisk === 0 && until === undefined) return {};
  const range = `bytes=${bytesOnDisk}-${until === undefined ? '' : until - 1}`;
  const ifRange = question.withIfRange ? ifRangeOf(question.validators) : undefined;
  return ifRange === undefined ? { range } : { range, 'if-range': ifRange };
}

/** The version of the file that an answer carries. A validator too long to be kept counts as absent. */
export function validatorsOf(answer: Answer): Validators {
  const { etag, 'last-modified': modified } = answer.headers;
  return {
    etag: etag !== undefined && etag.length <= etagChars ? etag : null,
    last_modified: modified !== undefined && modified.length <= dateChars ? modified : null,
    total: answer.status === 206 ? (contentRange(answer)?.total ?? null) : contentLength(answer),
  };
}

/** The decision table. `worthBytes`: less than this on disk is not worth a second request (limits.resumeWorthBytes). */
export function decide(question: Question, answer: Answer, worthBytes: number): Decision {
  const { status, headers } = answer;
  if (status === 200 || status === 206) {
    const coding = headers['content-encoding'];
    if (coding !== undefined && coding !== '' && coding.toLowerCase() !== 'identity')
      return refuse(`the server sends Content-Encoding ${coding} although identity was asked`);
    return status === 206 ? onPart(question, answer) : onWhole(question, answer, worthBytes);
  }
  if ([301, 302, 303, 307, 308].includes(status)) {
    const location = headers.location;
    return location ? { kind: 'redirect', location } : refuse(`HTTP ${status} without a Location`);
  }
  if (status === 416 && (question.bytesOnDisk > 0 || question.until !== undefined))
    return {
      kind: 'askForWhole',
      why: `HTTP 416 for the range from ${question.bytesOnDisk}${told('content-range', headers)}`,
    };
  if (status === 511) return { kind: 'retry', why: 'HTTP 511: the network wants a login', isPage: true };
  if (status === 404 || status === 408 || status === 429 || (status >= 500 && status <= 599))
    return { kind: 'retry', why: `HTTP ${status}` };
  return { kind: 'refuse', code: 'DOWNLOAD_FAILED', why: `HTTP ${status}`, needsReason: true };
}

/** If-Range takes a strong, quoted ETag, else a date (RFC 9110 section 13.1.5); a weak or bare one never matches. */
function ifRangeOf({ etag, last_modified }: Validators): string | undefined {
  if (etag !== null && /^"[^"]*"$/.test(etag)) return etag;
  return last_modified ?? undefined;
}

function onPart(question: Question, answer: Answer): Decision {
  const { bytesOnDisk, until, validators, expectedBytes } = question;
  if (bytesOnDisk === 0 && until === undefined)
    return { kind: 'retry', why: 'HTTP 206 to a request without Range' };
  const why = whyNotOurs();
  return why === undefined ? { kind: 'append' } : { kind: 'askForWhole', why };

  function whyNotOurs(): string | undefined {
    const range = contentRange(answer);
    if (range === undefined)
      return `HTTP 206 without a usable Content-Range${told('content-range', answer.headers)}`;
    if (range.first !== bytesOnDisk)
      return `asked from byte ${bytesOnDisk}, the answer is from ${range.first}`;
    if (range.total !== expectedBytes)
      return `the file has ${range.total ?? 'an unknown number of'} bytes, expected ${expectedBytes}`;
    if (until !== undefined && range.last >= until)
      return `asked up to byte ${until - 1}, the answer ends at ${range.last}`;
    const length = contentLength(answer);
    if (length !== null && length !== range.last - range.first + 1)
      return `Content-Range says ${range.last - range.first + 1} bytes, Content-Length ${length}`;
    return question.trustsTotal ? undefined : whyChanged(validators, answer);
  }
}

function onWhole(question: Question, answer: Answer, worthBytes: number): Decision {
  const { bytesOnDisk, until, validators, withIfRange, expectedBytes } = question;
  const length = contentLength(answer);
  if (length !== null && length !== expectedBytes && isHtml(answer))
    return { kind: 'retry', why: `a page of ${length} bytes in place of the package`, isPage: true };
  if (length !== null && length !== expectedBytes)
    return {
      kind: 'refuse',
      code: 'SIZE_MISMATCH',
      why: `the server's file has ${length} bytes, package_size is ${expectedBytes}`,
      needsReason: false,
    };
  if (bytesOnDisk === 0 && until === undefined) return { kind: 'startOver', why: 'nothing on disk' };
  const asked = withIfRange && ifRangeOf(validators) !== undefined;
  const changed = whyChanged(validators, answer);
  const same = isNamed(answer) && length === validators.total && changed === undefined;
  if (asked && same && (until !== undefined || bytesOnDisk >= worthBytes))
    return { kind: 'askWithoutIfRange' };
  return { kind: 'startOver', why: changed ?? `HTTP 200 to the range from byte ${bytesOnDisk}` };
}

/** Says which validator that the answer carries differs from the one the partial file was begun with. */
function whyChanged(stored: Validators, answer: Answer): string | undefined {
  const { etag, last_modified } = validatorsOf(answer);
  if (etag !== null && etag !== stored.etag) return `ETag was ${stored.etag ?? 'absent'}, is ${etag}`;
  if (last_modified !== null && last_modified !== stored.last_modified)
    return `Last-Modified was ${stored.last_modified ?? 'absent'}, is ${last_modified}`;
  return undefined;
}

/** True of what a login page calls itself; so does a script that never said what it serves. */
export function isHtml({ headers }: Answer): boolean {
  return /^(text\/html|application\/xhtml\+xml)\b/i.test(headers['content-type'] ?? '');
}

function isNamed(answer: Answer): boolean {
  const { etag, last_modified } = validatorsOf(answer);
  return etag !== null || last_modified !== null;
}

/** `bytes first-last/total` (RFC 9110 section 14.4); total is null for `*`. */
function contentRange(answer: Answer): { first: number; last: number; total: number | null } | undefined {
  const parts = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(answer.headers['content-range'] ?? '');
  if (parts === null) return undefined;
  const [first, last] = [Number(parts[1]), Number(parts[2])];
  const total = parts[3] === '*' ? null : Number(parts[3]);
  return last < first || (total !== null && last >= total) ? undefined : { first, last, total };
}

function contentLength(answer: Answer): number | null {
  const text = answer.headers['content-length'];
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

function told(name: string, headers: Answer['headers']): string {
  return headers[name] === undefined ? '' : ` (${name}: ${headers[name]})`;
}

function refuse(why: string): Decision {
  return { kind: 'refuse', code: 'DOWNLOAD_FAILED', why, needsReason: false };
}
