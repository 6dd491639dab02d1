/**
 * Error texts for what goes wrong between us and a package store, and whether trying again can help. Pure.
 * Nothing of a URL's query or userinfo enters them.
 */
import { errno, UpdateError } from '../errors.ts';

/** Faults of a certificate or of our TLS files that no second try mends. Dates are not among them: clocks get set. */
const certificateCodes = new Set([
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'INVALID_CA',
  'INVALID_PURPOSE',
]);
const finalCodes = new Set([...certificateCodes, 'ERR_INVALID_URL', 'ENOENT', 'EACCES', 'EISDIR']);

/** True for a system error of the network; false for a bug, which must surface as one. */
export function isNetworkError(thrown: unknown): thrown is Error {
  return thrown instanceof Error && !(thrown instanceof UpdateError) && errno(thrown) !== undefined;
}

export function isFinal(thrown: Error): boolean {
  const code = errno(thrown) ?? '';
  return (
    finalCodes.has(code) || code.startsWith('ERR_OSSL_') || code.startsWith('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA')
  );
}

/**
 * What to wait for where a try brought no answer, in words for a screen. A certificate that another server shows in place of
 * the store's is final for who asks now; for who can wait it may be a login page's, which goes away.
 */
export function awaited(thrown: Error, nowMs: number): string | undefined {
  const code = errno(thrown) ?? '';
  if (code === 'CERT_NOT_YET_VALID') return `the clock is at ${new Date(nowMs).getUTCFullYear()}`;
  if (!isFinal(thrown)) return 'no network yet';
  return certificateCodes.has(code) ? loginPage : undefined;
}

/** A portal answers everything until somebody has logged in. */
export const loginPage = 'another server answers, perhaps the login page of the network';

/** What happened, in words. TLS date errors name the device clock: devices without a battery start in 1970. */
export function networkErrorText(thrown: Error, nowMs: number): string {
  const code = errno(thrown);
  const clock = `device clock says ${new Date(nowMs).toISOString()}`;
  if (code === 'CERT_NOT_YET_VALID') return `TLS: certificate not yet valid: ${clock} (${code})`;
  if (code === 'CERT_HAS_EXPIRED') return `TLS: certificate has expired: ${clock} (${code})`;
  const words = thrown.message.trim().slice(0, 300);
  return code === undefined || words.includes(code) ? words : `${words} (${code})`;
}

/** The reason in a refusal's body, on one line: S3's <Code> and <Message>, else the first words of a text. */
export function refusalReason(contentType: string | undefined, body: string): string | undefined {
  const s3 = ['Code', 'Message'].map((tag) => new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(body)?.[1] ?? '');
  if (s3.some((part) => part !== '')) return oneLine(s3.filter((part) => part !== '').join(': '));
  // Other XML may repeat the request, and with it the secrets of a pre-signed URL.
  if (!/^(text\/(plain|html)|application\/(problem\+)?json)\b/i.test(contentType ?? '')) return undefined;
  return oneLine(body.replace(/<(script|style)[\s\S]*?<\/\1>/gi, ' ').replace(/<[^>]*>/g, ' ')) || undefined;
}

function oneLine(text: string): string {
  return text
    .replace(/[^\x20-\x7e\u00a0-\uffff]+/g, ' ')
    .replace(/([?&][\w.-]{1,64}=)[^\s&"'<>]+/g, '$1...')
    .replace(/ {2,}/g, ' ')
    .trim()
    .slice(0, 200);
}
